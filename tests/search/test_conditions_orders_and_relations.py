"""Conditions, orders and relations as a user writes them: what is drawn, what is near, and what is
valid.
"""

import json
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ashtune
from ashtune import Choice, Ordered, When
from ashtune._src.cli.load_names import load_space
from ashtune._src.core.errors import SpaceError, StudyError
from ashtune._src.search.gp import GP
from ashtune._src.search.grid import GridDesign
from ashtune._src.search.mutation import take_steps
from ashtune._src.search.random import Random, Sobol
from ashtune._src.space.space import Space
from ashtune._src.study.objective_file import VALID
from ashtune.testing.search_suite import check_design, check_proposer
from tests.helpers.studies import started

NESTED = {
    "momentum": When("nesterov", True, (0.0, 1.0)),
    "nesterov": When("solver", ["sgd", "rmsprop"], [True, False]),
    "solver": ["sgd", "adam", "rmsprop"],
    "beta": When("solver", "adam", When("amsgrad", False, (0.8, 1.0))),
    "amsgrad": [True, False],
    "pad": When("shape", (64, 64), (1, 4)),
    "shape": [(64, 64), (128,)],
}
SIZES = [16, 32, 64, 128]
WORDS = ["small", "base", "large"]


def drawn(space: Any, count: int, valid: Any = None) -> list[dict[str, Any]]:
    design = Random().build(Space.parse(space, valid), 0)
    return [design.configuration(trial) for trial in range(count)]


def test_a_hyperparameter_is_active_if_all_its_conditions_hold() -> None:
    for each in drawn(NESTED, 500):
        is_nested = each["solver"] != "adam"
        assert ("nesterov" in each) == is_nested
        assert ("momentum" in each) == (is_nested and each["nesterov"])
        assert ("beta" in each) == (each["solver"] == "adam" and not each["amsgrad"])
        assert ("pad" in each) == (each["shape"] == [64, 64])


IN_RANGES = {
    "layers": (1, 8),
    "dropout": When("layers", above=2, values=(0.0, 0.5)),
    "rate": (1e-4, 1.0, "log"),
    "warmup": When("rate", above=0.01, below=0.1, values=When("layers", below=6, values=(1, 9))),
    "size": Ordered(WORDS),
    "heads": When("size", above="small", values=When("dropout", below=0.25, values=[1, 2, 4])),
}


def fits_ranges(configuration: dict[str, Any]) -> bool:
    """Say, written out by hand, whether a configuration has the right hyperparameters of
    ``IN_RANGES``.
    """
    layers, rate = configuration["layers"], configuration["rate"]
    names = {"layers", "rate", "size"}
    names |= {"dropout"} if layers > 2 else set()
    names |= {"warmup"} if 0.01 < rate < 0.1 and layers < 6 else set()
    names |= (
        {"heads"}
        if configuration["size"] != "small" and configuration.get("dropout", 1.0) < 0.25
        else set()
    )
    return configuration.keys() == names


@pytest.mark.parametrize(
    "search", [Random(), Sobol(), ashtune.Grid(points=4), GP(first=4), ashtune.Mutation(first=4)]
)
def test_a_condition_on_a_range_holds_in_every_draw_and_proposal(search: Any) -> None:
    space = Space.parse(IN_RANGES)
    check_design(search, space)
    design = search.build(space, 0)
    found = [design.configuration(trial) for trial in range(min(400, design.size or 400))]
    assert all(fits_ranges(each) for each in found)
    assert {len(each) for each in found} == {3, 4, 5, 6}
    if search.has_proposer:
        check_proposer(search, space, trials=30)


def test_a_study_with_conditions_on_ranges_gets_proposals_and_resumes(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "metric": "loss",
        "mode": "min",
        "max_resource": 1,
        "workers": 1,
        "quiet": True,
    }
    options |= {"search": ashtune.GP(first=4, random_share=0.0, ahead=0), "directory": tmp_path}
    for trials in (10, 14):
        ashtune.tune(
            lambda trial: trial["rate"] + trial.config.get("dropout", 1.0),
            IN_RANGES,
            trials=trials,
            **options,
        )
    found = started(tmp_path)
    assert len(found) == 14
    assert all(fits_ranges(each.configuration) for each in found)
    assert sum(each.origin.startswith("gp") for each in found) >= 6


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"layers": 2, "dropout": 0.1},
            "dropout=0.1 is inactive in this configuration, because dropout is used only if layers > 2",
        ),
        ({"layers": 3}, "dropout is missing in {"),
        ({"layers": 1, "rate": 0.05}, "warmup is missing in {"),
        (
            {"layers": 1, "rate": 0.1, "warmup": 1},
            "only if (rate > 0.01 and rate < 0.1 and layers < 6)",
        ),
        ({"layers": 4, "dropout": 0.1, "size": "base"}, "heads is missing in {"),
    ],
)
def test_a_configuration_that_violates_a_condition_on_a_range_is_refused(
    given: dict[str, Any], says: str
) -> None:
    space = Space.parse(IN_RANGES)
    with pytest.raises(SpaceError) as refusal:
        space.check({"rate": 0.5, "size": "small", **given})
    assert says in str(refusal.value)
    assert space.check({"rate": 0.5, "size": "small", "layers": 2})


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        (
            When("layers", above=2),
            "x=When(name='layers', above=2) is not a condition; give When('solver', 'sgd'",
        ),
        (When("layers", (0.0, 1.0), above=2), "is not a condition; give "),
        (When("layers", values=(0.0, 1.0)), "is not a condition; give "),
        (When("layers", 3, (0.0, 1.0), below=4), "is not a condition; give "),
        ({"when": {"layers": {"over": 2}}, "values": [1, 2]}, "value={'over': 2}"),
        ({"when": {"layers": {}}, "values": [1, 2]}, "is not a condition; give "),
        (
            When("layers", above=9, values=(0.0, 1.0)),
            "layers=9 is out of range; give a value in 1 .. 8",
        ),
        (
            When("kind", above="a", values=(0.0, 1.0)),
            "kind > 'a': the values of kind are not ordered",
        ),
    ],
)
def test_an_invalid_condition_is_refused_in_one_line(condition: Any, says: str) -> None:
    with pytest.raises(SpaceError) as refusal:
        Space.parse({"layers": (1, 8), "kind": ["a", "b"], "x": condition})
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_json_file_can_define_conditions_and_ordered_choices(tmp_path: Path) -> None:
    (file := tmp_path / "space.json").write_text(
        json.dumps(
            {
                "solver": ["sgd", "adam"],
                "nesterov": {"when": {"solver": "sgd"}, "values": [True, False]},
                "momentum": {
                    "when": {"solver": ["sgd"], "nesterov": True},
                    "values": {"low": 0.0, "high": 1.0},
                },
                "size": {"ordered": WORDS},
                "fold": {"choice": [1, 2, 3]},
                "lr": [1e-4, 1, "log"],
                "decay": {"when": {"solver": "adam"}, "values": [1e-4, 1.0, "log"]},
                "odd": {"choice": [1, 2, "log"]},
                "units": {"low": 0, "high": 10, "step": 5},
                "pad": {
                    "when": {"fold": [1, 2], "units": {"above": 0, "below": 10}},
                    "values": [1, 2],
                },
                "fade": {"when": {"lr": {"below": 0.1}}, "values": {"low": 0.0, "high": 1.0}},
            }
        )
    )
    assert (
        Space.parse(load_space(str(file))).to_record()
        == Space.parse(
            {
                "solver": ["sgd", "adam"],
                "nesterov": When("solver", "sgd", [True, False]),
                "momentum": When("nesterov", True, When("solver", ["sgd"], (0.0, 1.0))),
                "size": Ordered(WORDS),
                "fold": Choice([1, 2, 3]),
                "lr": (1e-4, 1, "log"),
                "decay": When("solver", "adam", (1e-4, 1.0, "log")),
                "odd": Choice([1, 2, "log"]),
                "units": Ordered([0, 5, 10]),
                "pad": When("units", above=0, below=10, values=When("fold", [1, 2], [1, 2])),
                "fade": When("lr", below=0.1, values=(0.0, 1.0)),
            }
        ).to_record()
    )


@pytest.mark.parametrize(
    ("values", "is_ordered"),
    [
        (SIZES, True), ([0.0, 0.5], True), ([1, 2.5], True), (Ordered(WORDS), True), (WORDS, False),
        ([64, 16, 32], False), (Choice(SIZES), False), ([True, False], False), ([None, 1, 2],
        False),
        ([[1], [2]], False), ([1], False),
    ],
)  # fmt: skip
def test_only_choices_of_ascending_numbers_and_ordered_choices_count_as_ordered(
    values: Any, is_ordered: bool
) -> None:
    assert Space.parse({"x": values}).columns["x"].is_category is not is_ordered


def test_ordered_choices_are_evenly_spaced() -> None:
    for values, choices in ((SIZES, SIZES), (Ordered(WORDS), WORDS)):
        places = [Space.parse({"x": values}).place({"x": choice})[0] or 0.0 for choice in choices]
        assert [high - low for low, high in pairwise(places)] == pytest.approx(
            [1 / len(places)] * (len(places) - 1)
        )


@pytest.mark.parametrize("values", [SIZES, [0.1, 0.5], Ordered(WORDS), (1, 3)])
def test_a_mutation_of_a_small_ordered_range_often_gives_a_neighbour(values: Any) -> None:
    space = Space.parse({"x": values})
    [column] = space.columns.values()
    every, first = column.every_value(), column.every_value()[0]  # type: ignore[index]
    points = np.full((2000, 1), space.place({"x": first})[0])
    moved = take_steps(
        points, np.array([max(0.15, column.spacing)]), np.array([False]), np.random.default_rng(0)
    )
    found = [each["x"] for each in space.at(np.clip(abs(moved), 0, 1))]
    counts = [found.count(value) for value in every]  # type: ignore[union-attr]
    assert counts[1] > 400
    assert counts == sorted(counts, reverse=True)


def is_valid(configuration: dict[str, Any]) -> bool:
    return bool(configuration["warmup"] < configuration["epochs"])


RELATED = {"warmup": (1, 1000), "epochs": (1, 1000), "rate": (0.0, 1.0)}
FINITE = {"warmup": (1, 6), "epochs": (1, 6)}


@pytest.mark.parametrize(
    "search", [Random(), Sobol(), ashtune.Grid(points=4), GP(first=4), ashtune.Mutation(first=4)]
)
@pytest.mark.parametrize("space", [RELATED, FINITE], ids=["endless", "finite"])
def test_searches_give_only_configurations_that_the_space_allows(search: Any, space: Any) -> None:
    parsed = Space.parse(space, is_valid)
    check_design(search, parsed)
    if search.has_proposer and space is RELATED:
        check_proposer(search, parsed, trials=20)
    design = search.build(parsed, 0)
    assert all(
        is_valid(design.configuration(trial)) for trial in range(min(100, design.size or 100))
    )
    assert 0 < parsed.rules.refused < parsed.rules.asked


def test_a_finite_space_gives_each_valid_configuration_once() -> None:
    for design in (
        Random().build(Space.parse(FINITE, is_valid), 0),
        GridDesign(Space.parse(FINITE, is_valid)),
    ):
        assert design.size == 15
        assert len({tuple(design.configuration(trial).values()) for trial in range(15)}) == 15


@pytest.mark.parametrize("space", [RELATED, FINITE])
def test_a_space_without_valid_configurations_is_refused_in_one_line(space: Any) -> None:
    with pytest.raises(SpaceError):
        Random().build(Space.parse(space, lambda _: False), 0).size  # noqa: B018 - it counts


def test_the_error_of_a_failing_validity_function_names_function_and_configuration() -> None:
    space = {"a": ["x", "y"], "b": When("a", "x", (0.0, 1.0)), "c": (0.0, 1.0)}
    with pytest.raises(SpaceError) as refusal:
        drawn(space, 10, lambda configuration: configuration["b"] < configuration["c"])
    assert "\n" not in str(refusal.value)


def train(trial: Any) -> None:
    assert trial["warmup"] < trial["epochs"]
    trial.report(loss=trial["rate"])


def tuned(directory: Path, space: Any = RELATED, **options: Any) -> ashtune.Study:
    options = {
        "trials": 12,
        "workers": 1,
        "max_resource": 1,
        "metric": "loss",
        "mode": "min",
        **options,
    }
    return ashtune.tune(train, space, directory=directory, **options)


@pytest.mark.slow
def test_each_study_that_shares_a_space_counts_its_own_invalid_draws(
    tmp_path: Path, capfd: Any
) -> None:
    space = Space.parse(RELATED, is_valid)
    said = []
    for name in ("first", "second"):
        tuned(tmp_path / name, space, search="random", seed=1)
        said += re.findall(r"[0-9,]+ of [0-9,]+ draws", capfd.readouterr().err)
    assert len(said) == 2
    assert said[0] == said[1]


@pytest.mark.slow
def test_a_study_counts_the_invalid_configurations_that_its_search_draws(
    tmp_path: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tuned(tmp_path / "s", search="random", valid=is_valid)
    assert " draws were not valid; saved in " in capfd.readouterr().err
    assert all(is_valid(each.configuration) for each in started(tmp_path / "s"))
    with pytest.raises(SpaceError):
        tuned(tmp_path / "t", valid=is_valid, enqueue=[{"warmup": 9, "epochs": 3, "rate": 0.5}])
    with pytest.raises(StudyError):
        tuned(tmp_path / "s", search="random")
    monkeypatch.setitem(sys.modules, "ConfigSpace", None)
    assert study.space == RELATED


@pytest.mark.slow
def test_a_resumed_study_keeps_its_validity_function(tmp_path: Path) -> None:
    limit = 300
    search = ashtune.GP(first=4, random_share=0.0, ahead=0)
    tuned(tmp_path, search=search, valid=lambda c: c["warmup"] + limit < c["epochs"], quiet=True)
    study = ashtune.Study.load(tmp_path).resume(trials=20, workers=1, quiet=True)
    trials = started(tmp_path)
    assert all(
        each.configuration["warmup"] + limit < each.configuration["epochs"] for each in trials
    )
    assert len(trials) == 20
    assert sum(each.origin.startswith("gp") for each in trials[12:]) >= 6
    (tmp_path / VALID).rename(tmp_path / "elsewhere")
    (tmp_path / VALID).symlink_to("elsewhere")
    assert len(ashtune.Study.load(study.directory).trials) == 20
    with pytest.raises(StudyError):
        study.resume(trials=24, workers=1, quiet=True)
