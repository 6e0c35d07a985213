"""A few studies of ``chaos.py``; more are run by hand:
``python -m tests.faults.chaos --local 40 --mpi 20``.
"""

import sys

import pytest

from tests.faults.chaos import run, table

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
    pytest.mark.timeout(900),
]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_study_under_random_faults_ends_correctly(seed: int) -> None:
    outcome = run("local", seed)
    assert outcome.complaints == [], table([outcome])
