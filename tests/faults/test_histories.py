"""Five hundred studies in a simulated world: whatever is done to them, they end, and what is there
is right.

``make test-faults`` runs a hundred thousand; ``run_histories.py`` shows one of them again.
"""

from functools import cache
from typing import Any

import pytest

from tests.faults import histories, run_histories

HISTORIES, BLOCK = 500, 50


@cache
def block(first: int) -> Any:
    return run_histories.run_block(range(first, first + BLOCK))


@pytest.mark.parametrize("first", range(0, HISTORIES, BLOCK))
def test_studies_end_correctly_under_simulated_faults(first: int) -> None:
    _, _, ends, failures = block(first)
    report = "\n".join(
        f"{error}\n  {run_histories.command(run_histories.shrunk(seed))}"
        for seed, error in failures[:2]
    )
    assert not failures, f"\n{report}"
    assert ends["complete"] == BLOCK


def test_a_simulated_history_of_a_study_is_reproducible_from_its_seed() -> None:
    for seed in (3, 30, 300):
        assert histories.run(seed) == histories.run(seed)


def test_every_kind_of_fault_occurs_in_at_least_one_simulated_history() -> None:
    injected = {name for first in range(0, HISTORIES, BLOCK) for name in block(first)[0]}
    for fault in histories.FAULTS:
        assert any(name.startswith(fault) for name in injected), f"{fault!r} never happens"
