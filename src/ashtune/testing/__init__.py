"""Conformance suites for your own scheduler, search, engine, observer, exporter, report section or checkpoint store.

Import the suite that you need, as in ``from ashtune.testing.schedulers import check_scheduler``. Importing this package
imports nothing else; some suites need pytest or Hypothesis.
"""
