"""Workers that die with several trials in hand: the one to blame fails, and no other."""

import time
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from toy_lanes import ToyBackend

import ashtune
from ashtune.events import WorkerLost
from ashtune.study.journal import NAME, read_events
from ashtune.training.desk import Tray
from ashtune.training.fused.bench import FusedBench
from ashtune.training.messages import Setup


class Toy:
    """A training function that trains eight together."""

    __name__ = "toy"
    grouped_by = ()

    def __call__(self, trial: Any) -> None:
        raise AssertionError("a bench of its own runs it")

    def bench(
        self, setup: Setup, desk: Tray, *, file: str, profiler: AbstractContextManager[None] | None
    ) -> FusedBench:
        return FusedBench(ToyBackend(8), setup, desk, lanes=8, file=file, profiler=profiler)


def tuned(study: Path, enqueue: list[dict[str, Any]], **more: Any) -> ashtune.Study:
    space = {"x": (0.0, 1.0), "kills": [0, 1, 2], "sleeps": [0, 1]}
    first = [{"x": 0.5, "kills": 0, "sleeps": 0, **config} for config in enqueue]
    return ashtune.tune(
        Toy(), space, metric="score", mode="max", trials=len(first), max_resource=4, workers=2, quiet=True,
        directory=study, enqueue=first, **more,
    )  # fmt: skip


@pytest.mark.parametrize("killers", [[3], [0], [2, 9, 15]])
def test_only_who_kills_when_alone_fails(tmp_path: Path, killers: list[int]) -> None:
    study = tuned(tmp_path / "s", [{"kills": int(trial in killers)} for trial in range(16)])
    table = study.trials_dataframe()
    assert sorted(table.number[table.status == "failed"]) == killers
    lost = [event for _, event in read_events(tmp_path / "s" / NAME) if isinstance(event, WorkerLost)]
    blamed = Counter(event.trial for event in lost if event.trial is not None)
    assert blamed == dict.fromkeys(killers, 2), "each of them twice, and no other even once"


def test_a_pack_that_takes_too_long_is_trained_one_by_one(tmp_path: Path) -> None:
    began = time.monotonic()
    study = tuned(tmp_path / "s", [{"sleeps": int(trial == 2)} for trial in range(8)], trial_timeout=1.0)
    table = study.trials_dataframe()
    assert list(table.number[table.status == "failed"]) == [2]
    assert time.monotonic() - began < 60
