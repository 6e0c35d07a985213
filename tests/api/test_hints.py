"""What is probably not meant is said in a line; it refuses nothing."""

from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.core.events import JobFinished
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.driver import hints
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS


@pytest.mark.parametrize(
    ("space", "lines"),
    [
        (
            {"lr": [1e-4, 1e-1]},
            [
                'lr=[0.0001, 0.1] is a choice of two values; a range is (0.0001, 0.1, "log"), in '
                "a .json file "
                '{"low": 0.0001, "high": 0.1, "log": true}'
            ],
        ),
        (
            {"p": [0.0, 0.5]},
            [
                "p=[0.0, 0.5] is a choice of two values; a range is (0.0, 0.5), in a .json file "
                '{"low": 0.0, "high": 0.5}'
            ],
        ),
        ({"lr": [0.1, 1e-4]}, []),
        ({"momentum": [0.9, 0.99]}, []),
        ({"width": [16, 256], "lr": (1e-4, 1e-1), "c": [1e-4, 1e-3, 1e-2], "k": ["a", "b"]}, []),
        (5, []),
    ],
)
def test_a_choice_of_two_distant_floats_gets_a_hint_about_ranges(
    space: Any, lines: list[str]
) -> None:
    assert hints.of_the_space(space) == lines


@pytest.mark.parametrize(
    ("scheduler", "trials", "is_odd"),
    [
        ("ash", 4, True),
        ("ash", 30, False),
        ("ash", None, False),
        ("sh", 8, True),
        ("sh", 9, False),
        ("full", 1, False),
    ],
)
def test_a_hint_warns_of_too_few_trials_to_reach_the_top_rung(
    scheduler: str, trials: int | None, is_odd: bool
) -> None:
    lines = hints.of_the_trials(SCHEDULERS.part(scheduler), Ladder(1, 9, 3), trials, unit="epoch")
    assert (
        lines
        == [
            "too few trials: probably none reaches epoch 9; give more trials, or a lower "
            "max_resource"
        ]
        * is_odd
    )


def finished(trial: int, losses: list[float]) -> JobFinished:
    *curve, last = losses
    return JobFinished(
        time=0.0, worker=WorkerId(0), trial=TrialId(trial), rung=0, resource=len(losses),
        metrics={"q": last},
        seconds=1.0, curve=[(epoch, {"q": loss}) for epoch, loss in enumerate(curve, 1)],
    )  # fmt: skip


def test_a_hint_says_that_most_trials_get_worse_during_training() -> None:
    falling = [finished(trial, [3.0, 2.0, 1.0]) for trial in range(20)]
    [line] = hints.of_the_results(Goal("q", "max"), falling)
    assert (
        line == "q got worse with training in 20 of 20 trials; if mode='max' is a mistake, give "
        "mode='min'"
    )
    assert hints.of_the_results(Goal("q", "min"), falling) == []
    assert hints.of_the_results(Goal("q", "max"), falling[:5]) == []
    rising = [finished(trial, [1.0, 2.0]) for trial in range(20, 30)]
    assert hints.of_the_results(Goal("q", "max"), falling + rising) == []
    assert (
        hints.of_the_results(Goal("q", "max"), [finished(trial, [1.0]) for trial in range(30)])
        == []
    )


def test_hints_are_printed_once_unless_the_option_quiet_is_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(loss=trial["x"] / epoch)

    for quiet in (True, False):
        ashtune.tune(
            train, {"x": [0.1, 10.0], "y": (0.0, 1.0)}, metric="loss", mode="max", trials=12,
            max_resource=4,
            min_resource=4, search="random", workers=1, directory=tmp_path / str(quiet),
            quiet=quiet,
        )  # fmt: skip
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("hint: ")]
        assert len(lines) == (0 if quiet else 2)
    assert "x=[0.1, 10.0] is a choice" in lines[0]
    assert "got worse with training in 12 of 12 trials" in lines[1]
