"""Conformance suites for your own scheduler, search, engine, observer, exporter, report section or
checkpoint store.

Import a suite from its own module, as in
``from ashtune.testing.scheduler_suite import check_scheduler``. Some suites need pytest or
Hypothesis.
"""
