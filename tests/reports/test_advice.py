"""Advice after a study: which ranges are widened, what is confirmed, and where the user reads it."""

import json
import re
import statistics
from pathlib import Path
from random import Random
from typing import Any

import pytest

import ashtune
from ashtune._src.analysis.advice import FEWEST, advice
from ashtune._src.analysis.hyperparameters import hyperparameters
from ashtune._src.space.space import Space
from tests.helpers import commands


def advised(space: dict[str, Any], *best: Any) -> dict[str, Any]:
    """Return the advised range of each hyperparameter, given the best trials' values of ``x``."""
    known = hyperparameters(Space.parse(space).to_record())
    found = advice(known, [{"x": value} for value in best])
    assert [each.name for each in found] == list(dict.fromkeys(each.name for each in found))
    return {each.name: each.range for each in found}


def test_advice_widens_a_range_if_half_the_best_trials_reach_its_end() -> None:
    space = {"x": (1e-4, 1.0, "log")}
    assert advised(space, 1e-4, 1.1e-4, 0.1, 0.5) == {"x": (1e-6, 1.0, "log")}
    assert advised(space, 1e-4, 0.01, 0.1, 0.5) == {}
    assert advised(space, 1.0, 0.9, 0.8, 0.01) == {"x": (1e-4, 100.0, "log")}
    assert advised(space, 1e-4, 1e-4, 1.0, 1.0) == {"x": (1e-6, 100.0, "log")}


def test_advice_widens_linear_and_logarithmic_ranges_on_their_own_scale() -> None:
    assert advised({"x": (-2.0, 2.0)}, 2.0, 2.0, 2.0, 2.0) == {"x": (-2.0, 4.0)}
    assert advised({"x": (10, 50)}, 50, 50, 50, 12) == {"x": (10, 70)}
    assert advised({"x": (8, 128, "log")}, 8, 8, 8, 20) == {"x": (2, 128, "log")}


def test_advice_for_a_range_far_from_zero_keeps_all_digits() -> None:
    assert advised({"x": (1000.0, 1010.0)}, 1010.0, 1010.0, 1010.0, 1010.0) == {
        "x": (1000.0, 1015.0)
    }
    assert advised({"x": (1.0, 1.02)}, 1.0, 1.0, 1.0, 1.0) == {"x": (0.99, 1.02)}


def test_no_range_is_widened_beyond_a_natural_limit() -> None:
    assert advised({"x": (0.0, 5.0)}, 0.0, 0.0, 0.0, 0.0) == {}
    assert advised({"x": (0.1, 0.99)}, 0.99, 0.98, 0.99, 0.5) == {}
    assert advised({"x": (0.1, 0.8)}, 0.8, 0.8, 0.8, 0.8) == {"x": (0.1, 1.0)}
    assert advised({"x": (0.001, 0.1)}, 0.001, 0.001, 0.001, 0.001) == {"x": (0.0, 0.1)}
    assert advised({"x": (0.0, 1.0)}, 1.0, 1.0, 1.0, 1.0) == {}
    assert advised({"x": (1, 30)}, 1, 1, 1, 1) == {}
    assert advised({"x": (5, 40)}, 5, 5, 5, 5) == {"x": (1, 40)}
    assert advised({"x": (-5, 40)}, -5, -5, -5, -5) == {"x": (-28, 40)}


def test_advice_widens_small_integer_ranges_if_all_best_trials_reach_an_end() -> None:
    assert advised({"x": (2, 4)}, 4, 4, 4, 3) == {}
    assert advised({"x": (2, 4)}, 4, 4, 4, 4) == {"x": (2, 5)}


def test_no_advice_is_given_for_few_trials_or_for_choices() -> None:
    assert advised({"x": (1.0, 2.0)}, 2.0, 2.0, 2.0) == {}
    assert advised({"x": ["a", "b"]}, "a", "a", "a", "a") == {}
    assert advised({"x": (1.0, 2.0), "y": (1.0, 2.0)}, 2.0, 2.0, 2.0, None, 2.0) == {
        "x": (1.0, 2.5)
    }


def train(trial: ashtune.Trial) -> None:
    for epoch in trial.epochs():
        trial.report(loss=trial["x"] + trial["y"] / 100 + 1 / epoch)
    trial.save(epoch)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ashtune.Study:
    space = {"x": (1.0, 2.0), "y": (0.0, 1.0)}
    return ashtune.tune(
        train, space, metric="loss", mode="min", trials=FEWEST, max_resource=4, engine="threads",
        workers=1, search="random", seed=3, enqueue=[{"x": 1.0}, {"x": 1.001}, {"x": 1.002}],
        directory=tmp_path_factory.mktemp("advice") / "study", quiet=True,
    )  # fmt: skip


def test_all_outputs_of_a_study_give_the_same_advice(
    study: ashtune.Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sentence,) = study.advice()
    assert sentence.startswith("x is at its lower bound 1 in ")
    assert sentence.endswith(" of the best 4 trials: widen it, as in 'x': (0.5, 2.0)")
    directory = str(study.directory)
    printed = commands.ashtune(tmp_path, "report", directory).stdout
    assert sentence in " ".join(printed.split())
    printed = commands.ashtune(tmp_path, "report", directory, "--json").stdout
    (own,) = json.loads(printed)["sections"]["advice"]["advice"]
    assert (own["name"], own["range"]) == ("x", [0.5, 2.0])
    study.resume(train, engine="threads", workers=1)
    assert sentence in capsys.readouterr().err


def test_the_margin_compares_the_best_result_with_the_next_best_result(
    study: ashtune.Study, tmp_path: Path
) -> None:
    first, second = study.top(2)
    margin = second.metrics["loss"] - first.metrics["loss"]
    text = commands.ashtune(tmp_path, "report", str(study.directory)).stdout
    assert f"next best: trial {second.trial}, worse by {margin:.2g}" in text


def test_with_few_results_and_constraints_the_report_gives_no_advice_or_margin(
    tmp_path: Path,
) -> None:
    def fails_mostly(trial: ashtune.Trial) -> None:
        if trial.number > 4:
            raise ValueError("no")
        for _ in trial.epochs():
            trial.report(loss=trial["x"], size=1.0)

    study = ashtune.tune(
        fails_mostly, {"x": (1.0, 2.0)}, metric="loss", mode="min", trials=FEWEST, max_resource=1,
        engine="threads", workers=1, search="random", seed=3, constraints={"size": "<= 2"},
        enqueue=[{"x": 1.0}, {"x": 1.001}, {"x": 1.002}, {"x": 1.003}],
        directory=tmp_path / "study", quiet=True,
    )  # fmt: skip
    assert study.advice() == []
    assert "next best" not in commands.ashtune(tmp_path, "report", str(study.directory)).stdout


NOISE = 0.1


def study_with_noise(folder: Path, noise: float, **options: Any) -> ashtune.Study:
    """Return a study in which half of the trials differ less than by the noise. Each report of a
    trial has its own noise, and the last one also depends on the seed.
    """

    def train(trial: ashtune.Trial) -> None:
        chance = Random(trial.seed)
        for epoch in trial.epochs():
            trial.report(loss=round(trial["x"]) + chance.gauss(0, noise) + 0.01 / epoch)

    return ashtune.tune(
        train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=FEWEST, max_resource=4,
        engine="threads", workers=1, search="random", seed=3, directory=folder, quiet=True, **options
    )  # fmt: skip


def within(study: ashtune.Study, loss: float) -> int:
    highest = [each for each in study.top(100) if each.resource == 4]
    return sum(each.metrics["loss"] <= loss for each in highest)


def test_a_study_advises_to_confirm_trials_that_are_within_the_noise(tmp_path: Path) -> None:
    study = study_with_noise(tmp_path / "study", NOISE)
    text = commands.ashtune(tmp_path, "report", str(study.directory)).stdout
    found = re.search(r"; (\d+) trials within the noise of about ([\d.]+)", " ".join(text.split()))
    assert found is not None
    noise = float(found[2])
    assert NOISE / 2 < noise < 2 * NOISE
    near = int(found[1])
    assert study.best is not None
    assert within(study, study.best.metrics["loss"] + noise) == pytest.approx(near + 1, abs=1)
    (sentence,) = [each for each in study.advice() if "confirm" in each]
    best = min(10, near + 1)
    assert sentence.startswith(f"{near} trials within the noise of the best")
    assert sentence.endswith(f"`ashtune resume {study.directory} --confirm {best}`")
    command = sentence.split("`")[1].split()[1:]
    answer = commands.ashtune(tmp_path, *command, "--engine", "threads", "--workers", "1")
    assert answer.returncode == 0
    confirmed = ashtune.Study.load(study.directory).confirmed
    assert confirmed is not None
    assert confirmed.noise is not None
    assert NOISE / 2 < confirmed.noise < 2 * NOISE
    assert len(confirmed.all) == best


def test_no_trials_are_within_the_noise_of_smooth_learning_curves(tmp_path: Path) -> None:
    study = study_with_noise(tmp_path / "study", 0.0)
    text = " ".join(commands.ashtune(tmp_path, "report", str(study.directory)).stdout.split())
    assert "next best: trial" in text
    assert "within the noise" not in text
    assert not [each for each in study.advice() if "confirm" in each]


def test_the_noise_over_seeds_is_the_deviation_of_repeated_results(tmp_path: Path) -> None:
    study = study_with_noise(tmp_path / "study", NOISE, confirm=ashtune.Confirm(best=6, seeds=4))
    assert study.confirmed is not None
    deviations = [statistics.variance(each.values) for each in study.confirmed.all]
    assert study.confirmed.noise == pytest.approx(statistics.fmean(deviations) ** 0.5)
