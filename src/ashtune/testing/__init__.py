"""Conformance suites that a scheduler, a search, an engine, an observer, a section of the report or a store must pass.

They are shipped for the authors of such classes. Import the suite you need, as in ``from ashtune.testing.schedulers
import check_scheduler``. Nothing is imported here: pytest and Hypothesis are needed only where a suite needs them.
"""
