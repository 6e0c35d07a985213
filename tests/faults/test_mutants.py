"""The simulated histories find what they are made to find: code that is broken on purpose does not
get past them.
"""

import pytest

from tests.faults import run_mutants

pytestmark = pytest.mark.thorough


def test_there_are_at_least_ten_mutants() -> None:
    assert len(run_mutants.names()) >= 10


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", run_mutants.names())
def test_the_simulated_histories_detect_each_mutant(name: str) -> None:
    caught = run_mutants.caught(name, first=run_mutants.known_seed(name))
    assert caught is not None, f"{name} gets past {run_mutants.MOST_HISTORIES:,} histories"
