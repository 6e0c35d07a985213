"""Workers that die with several trials in hand: the one to blame fails, and no other."""

from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.core.events import WorkerLost
from ashtune._src.study.journal import NAME, read_events
from ashtune._src.training.fused.fused_runner import FusedRunner
from ashtune._src.training.worker_messages import Mailbox, Setup
from tests import ROOT
from tests.helpers.launching import FAMILY, PYTHON, mpiexec
from tests.training.fused.toy_lanes import ToyBackend

pytestmark = pytest.mark.thorough


class Toy:
    """A training function that trains eight together."""

    __name__ = "toy"
    grouped_by = ()

    def __call__(self, trial: Any) -> None:
        raise AssertionError("its own runner runs it")

    def make_runner(
        self,
        setup: Setup,
        mailbox: Mailbox,
        *,
        file: str,
        profiler: AbstractContextManager[None] | None,
    ) -> FusedRunner:
        return FusedRunner(ToyBackend(8), setup, mailbox, lanes=8, file=file, profiler=profiler)


def tuned(study: Path, enqueue: list[dict[str, Any]], **more: Any) -> ashtune.Study:
    space = {"x": (0.0, 1.0), "kills": [0, 1, 2], "sleeps": [0, 1]}
    first = [{"x": 0.5, "kills": 0, "sleeps": 0, **config} for config in enqueue]
    return ashtune.tune(
        Toy(), space, metric="score", mode="max", trials=len(first), max_resource=4, workers=2,
        quiet=True,
        directory=study, enqueue=first, **more,
    )  # fmt: skip


def tuned_with(study: Path, killers: list[int]) -> ashtune.Study:
    return tuned(study, [{"kills": int(trial in killers)} for trial in range(16)])


def assert_only_these_fail(study: Path, killers: list[int]) -> None:
    """Each of them was to blame twice, when it was trained alone, and no other even once."""
    table = ashtune.Study.load(study).dataframe()
    assert sorted(table.number[table.status == "failed"]) == killers
    assert "trained to the top" in set(table.status)
    lost = [event for event in read_events(study / NAME) if isinstance(event, WorkerLost)]
    if 0 not in killers:  # the first may come before the worker has another
        assert any(event.trial is None for event in lost), "none died with several in hand"
    assert Counter(event.trial for event in lost if event.trial is not None) == dict.fromkeys(
        killers, 2
    )


@pytest.mark.parametrize("killers", [[0], [2, 9, 15]])
def test_a_fused_trial_fails_only_if_it_kills_workers_while_training_alone(
    tmp_path: Path, killers: list[int]
) -> None:
    tuned_with(tmp_path / "s", killers)
    assert_only_these_fail(tmp_path / "s", killers)


@pytest.mark.skipif(FAMILY is None, reason="no MPI is installed in this environment")
def test_under_mpi_fused_trials_fail_only_for_killing_workers_while_training_alone(
    tmp_path: Path,
) -> None:
    killers = [2, 9, 15]
    (tmp_path / "script.py").write_text(
        "from tests.training.fused.test_fused_deaths import Path, tuned_with\n"
        f"tuned_with(Path({str(tmp_path / 's')!r}), {killers})\n"
    )
    ended = mpiexec(3, PYTHON, str(tmp_path / "script.py"), variables={"PYTHONPATH": str(ROOT)})
    assert ended.status == 0, str(ended)
    assert_only_these_fail(tmp_path / "s", killers)
