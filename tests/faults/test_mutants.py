"""The simulated histories find what they are made to find: code that is broken on purpose does not
get past them.
"""

import subprocess

import pytest

from tests import ROOT
from tests.faults import run_mutants


def test_the_patch_of_each_mutant_can_be_applied_to_the_code() -> None:
    assert not [
        name
        for name in run_mutants.names()
        if subprocess.run(
            ["patch", "--dry-run", "--quiet", "--strip=1", f"--directory={ROOT}",
             f"--input={run_mutants.MUTANTS / name}.patch"],
            check=False,
        ).returncode
    ]  # fmt: skip


def test_there_are_at_least_ten_mutants() -> None:
    assert len(run_mutants.names()) >= 10


@pytest.mark.thorough
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", run_mutants.names())
def test_the_tests_with_simulated_histories_detect_each_mutant(name: str) -> None:
    caught = run_mutants.caught(name, first=run_mutants.known_seed(name))
    assert caught is not None, f"{name} gets past {run_mutants.MOST_HISTORIES:,} histories"
