"""Observers for :func:`~ashtune.tune` and :meth:`Study.resume <ashtune.Study.resume>`, and their
base classes.

An observer receives the events of a running study. Each observer has its own thread, so a slow
observer does not delay the study. An observer that raises an exception is removed, and a line is
printed on stderr. How to add an observer: ``docs/how-to/add-an-observer.md``.

Example:
    >>> from ashtune.observers import CsvLog
    >>> study = ashtune.tune(train, space, ..., observers=[CsvLog()])  # doctest: +SKIP
"""

from ashtune._src.core.observer import Exporter, ObservedStudy, Observer
from ashtune._src.reports.csv_log import CsvLog

__all__ = ["CsvLog", "Exporter", "ObservedStudy", "Observer"]
