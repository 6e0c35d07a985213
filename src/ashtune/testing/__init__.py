"""Conformance suites for your own scheduler, search, engine, observer, exporter, report section or checkpoint store.

Import a suite from its own module, as in ``from ashtune.testing.schedulers import check_scheduler``. Some suites need
pytest or Hypothesis.
"""
