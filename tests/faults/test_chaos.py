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
def test_a_study_under_kills_stops_alarms_and_full_disks_ends_right_and_leaves_no_process(
    seed: int,
) -> None:
    outcome = run("local", seed)
    assert outcome.complaints == [], table([outcome])
