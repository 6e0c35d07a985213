"""Observers to give to :func:`~ashtune.tune` and :meth:`Study.resume <ashtune.Study.resume>`, and their base classes.

An observer is told what happens in a study while it runs. Each has a thread of its own, so a slow one never holds up
the study; one that raises is dropped with a line on stderr. How to add one: ``docs/how-to/add-an-observer.md``.

Example:
    >>> from ashtune.observers import CsvLog
    >>> study = ashtune.tune(train, space, ..., observers=[CsvLog()])  # doctest: +SKIP
"""

from ashtune._src.core.observer import Exporter, ObservedStudy, Observer
from ashtune._src.reports.csv_log import CsvLog

__all__ = ["CsvLog", "Exporter", "ObservedStudy", "Observer"]
