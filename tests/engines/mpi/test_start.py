"""Ranks that wait for one that never starts."""

import subprocess
import sys

import pytest

from ashtune._src.core.errors import StudyError
from ashtune._src.engines.mpi.start import START_SECONDS, START_VARIABLE, start_seconds

STUCK = """
import ctypes
from ashtune._src.engines.mpi.start import all_ranks_start_within
with all_ranks_start_within(5):
    ctypes.PyDLL(None).sleep(600)  # holds the interpreter, as initialising MPI does
"""


def test_a_stuck_mpi_start_is_ended_even_if_python_is_blocked() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=200, check=False
    )
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr


def test_the_start_time_limit_does_not_apply_to_training_after_the_start() -> None:
    script = STUCK.replace("(600)", "(0)") + "import time; time.sleep(7); print('alive')"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=200, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "alive\n", "")


def test_the_start_may_take_ten_minutes_unless_the_user_sets_another_limit() -> None:
    assert start_seconds({}) == START_SECONDS
    assert start_seconds({START_VARIABLE: "90"}) == 90


@pytest.mark.parametrize("text", ["", "soon", "0", "-1", "nan", "inf"])
def test_a_start_time_limit_that_is_not_a_number_is_refused(text: str) -> None:
    with pytest.raises(StudyError):
        start_seconds({START_VARIABLE: text})
