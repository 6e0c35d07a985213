"""Conformance suites that a scheduler, an engine or a journal must pass; shipped for their authors.

Import the suite you need, as in ``from ashtune.testing.schedulers import check_scheduler``. Nothing
is imported here, so the package needs Hypothesis only where a suite does.
"""
