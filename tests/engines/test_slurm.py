"""Inside a SLURM job: how long a study may run, and how long before the end
its trials are paused.
"""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashtune._src.engines.stop import SLURM_END_TIME, TRY_AGAIN, time_in_slurm

NOW = 1_700_000_000


@pytest.mark.parametrize(
    "text",
    ["", "soon", "nan", "inf", "-inf", "UNLIMITED", "2026-01-01T00:00:00", "0", "-5", "1700000000"],
)
def test_no_time_limit_is_set_if_the_slurm_end_time_is_invalid(text: str) -> None:
    assert time_in_slurm({SLURM_END_TIME: text}, NOW) is None


def test_a_study_outside_a_slurm_job_has_no_slurm_time_limit() -> None:
    assert time_in_slurm({}, NOW) is None
    assert time_in_slurm({"SLURM_JOB_ID": "7"}, NOW) is None


@pytest.mark.parametrize(
    ("left", "pause"),
    [
        (4, 4),
        (10, 10),
        (11, 10),
        (100, 10),
        (101, 10.1),
        (600, 60),
        (1200, 120),
        (1201, 120),
        (10**6, 120),
    ],
)
def test_pausing_gets_a_tenth_of_the_remaining_time_within_two_limits(
    left: float, pause: float
) -> None:
    times = time_in_slurm({SLURM_END_TIME: str(NOW + left)}, NOW)
    assert times is not None
    assert times[1] == pytest.approx(pause)


@given(st.integers(1, 100 * 24 * 3600))
def test_the_slurm_time_limit_is_positive_and_leaves_time_for_pausing(left: int) -> None:
    times = time_in_slurm({SLURM_END_TIME: str(NOW + left)}, NOW)
    assert times is not None
    assert times[0] >= 0.001
    assert times[0] == 0.001 or sum(times) == pytest.approx(left)


def test_a_paused_study_exits_with_the_status_for_a_temporary_failure() -> None:
    assert TRY_AGAIN == os.EX_TEMPFAIL
