"""Inside a SLURM job: when it ends, and when to pause before that."""

import doctest
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashtune.engines import slurm
from ashtune.engines.slurm import END_TIME, TRY_AGAIN, pause_before, time_left, time_limit

NOW = 1_700_000_000.5
YEAR = 365 * 24 * 3600


def test_the_time_left_is_the_end_of_the_job_less_now() -> None:
    assert time_left({END_TIME: "1700003600"}, NOW) == 3599.5


@pytest.mark.parametrize(
    "text", ["", "soon", "nan", "inf", "-inf", "UNLIMITED", "2026-01-01T00:00:00", "0", "-5", "1700000000"]
)
def test_an_end_that_cannot_be_read_or_has_passed_says_nothing(text: str) -> None:
    assert time_left({END_TIME: text}, NOW) is None
    assert time_limit({END_TIME: text}, NOW) is None


def test_outside_a_job_there_is_no_limit() -> None:
    assert time_left({}, NOW) is None
    assert time_limit({"SLURM_JOB_ID": "7"}, NOW) is None


@pytest.mark.parametrize("end", [int(NOW) + YEAR - 86_400, int(NOW) + 2 * YEAR, 2**32 - 2])
def test_a_job_that_slurm_ends_a_year_after_its_start_is_unlimited_also_on_its_second_day(end: int) -> None:
    assert time_left({END_TIME: str(end)}, NOW) is None


@pytest.mark.parametrize(
    ("left", "pause"),
    [(0, 0), (4, 4), (10, 10), (11, 10), (100, 10), (101, 10.1), (600, 60), (1200, 120), (1201, 120), (10**6, 120)],
)
def test_the_pause_is_a_tenth_of_the_time_left_between_ten_seconds_and_two_minutes(left: float, pause: float) -> None:
    assert pause_before(left) == pytest.approx(pause)


@given(st.integers(1, 100 * 24 * 3600))
def test_a_limit_is_above_zero_and_leaves_the_pause_before_the_end(left: int) -> None:
    limit = time_limit({END_TIME: str(1_700_000_000 + left)}, 1_700_000_000)
    assert limit is not None
    assert limit >= 0.001
    assert limit == 0.001 or limit + pause_before(left) == pytest.approx(left)


def test_a_job_in_its_last_seconds_has_the_least_limit_there_is() -> None:
    assert time_limit({END_TIME: "1700000010"}, 1_700_000_000) == 0.001


def test_the_exit_status_is_the_one_that_means_try_again() -> None:
    assert TRY_AGAIN == os.EX_TEMPFAIL


def test_its_examples_are_true() -> None:
    assert doctest.testmod(slurm).failed == 0
