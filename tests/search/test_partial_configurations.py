"""Partial configurations in ``enqueue``: what is not given is drawn at random, and the journal has
the whole.
"""

from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune import When
from ashtune._src.core.errors import SpaceError
from ashtune._src.search.random import BLOCK, completed
from ashtune._src.space.space import Space
from ashtune._src.study.journal import NAME, read_settings
from tests.helpers.studies import started, tuned

SPACE = {
    "solver": ["sgd", "adam", "rmsprop"],
    "nesterov": When("solver", "sgd", [True, False]),
    "momentum": When("nesterov", True, (0.0, 1.0)),
    "rate": (1e-4, 1.0, "log"),
}


def completions(
    given: dict[str, Any], count: int = 40, seed: int = 0, **more: Any
) -> list[dict[str, Any]]:
    return completed(Space.parse(SPACE, **more), [given] * count, seed)


def test_a_missing_hyperparameter_is_drawn_over_its_whole_range() -> None:
    found = completions({"rate": 0.5})
    space = Space.parse(SPACE)
    assert [space.check(each) for each in found] == found
    assert {each["rate"] for each in found} == {0.5}
    assert {each["solver"] for each in found} == {"sgd", "adam", "rmsprop"}
    nothing = completions({})
    assert min(each["rate"] for each in nothing) < 1e-3
    assert max(each["rate"] for each in nothing) > 1e-1
    assert completions({}) == nothing
    assert completions({}, seed=1) != nothing


def test_the_drawn_values_depend_only_on_seed_and_trial() -> None:
    space = Space.parse(SPACE)
    alone = completed(space, [{"rate": 0.5}, {"rate": 0.25}], 3)
    assert completed(space, [{}, {"rate": 0.25}, {"solver": "adam"}], 3)[1] == alone[1]


def test_missing_active_children_of_a_given_parent_are_drawn() -> None:
    for each in completions({"solver": "sgd"}):
        assert ("momentum" in each) == each["nesterov"]
    assert all("nesterov" not in each for each in completions({"solver": "adam"}))


def test_parents_of_a_given_child_get_values_that_make_the_child_active() -> None:
    for each in completions({"momentum": 0.25}):
        assert (each["solver"], each["nesterov"], each["momentum"]) == ("sgd", True, 0.25)


def test_completed_configurations_satisfy_the_users_validity_function() -> None:
    found = completions({"solver": "adam"}, valid=lambda configuration: configuration["rate"] > 0.5)
    assert all(each["rate"] > 0.5 for each in found)


def test_completed_configurations_repeat_only_when_a_finite_space_is_exhausted() -> None:
    space = Space.parse({"a": ["p", "q"], "b": (1, 5)})
    found = completed(space, [{"a": "p"}] * 6, 0)
    assert sorted(each["b"] for each in found[:5]) == [1, 2, 3, 4, 5]
    assert found[5] in found[:5]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"momentun": 0.5}, "momentun=0.5 is not in the space; did you mean 'momentum'?"),
        ({"solver": "admm"}, "solver='admm' is out of range; did you mean 'adam'?"),
        ({"solver": "best"}, "solver='best' is out of range; give a value in sgd, adam, rmsprop"),
        ({"rate": 2.0}, "rate=2.0 is out of range; give a value in 0.0001 .. 1, log"),
        (
            {"solver": "adam", "momentum": 0.5},
            "momentum=0.5 is inactive in this configuration, because momentum is used only if ",
        ),
        ({"nesterov": False, "momentum": 0.5}, "momentum=0.5 is inactive in this configuration"),
    ],
)
def test_a_configuration_that_cannot_be_completed_is_refused_in_one_line(
    given: dict[str, Any], says: str
) -> None:
    with pytest.raises(SpaceError) as refusal:
        completions(given)
    assert str(refusal.value).startswith(says)
    assert "\n" not in str(refusal.value)


def test_a_partial_configuration_that_breaks_a_rule_is_refused() -> None:
    asked = []

    def valid(configuration: dict[str, Any]) -> bool:
        asked.append(configuration)
        return False

    with pytest.raises(
        SpaceError, match=r"^\{'rate': 0.5\} is forbidden by 'valid'; change one of these values$"
    ):
        completions({"rate": 0.5}, valid=valid)
    assert len(asked) == BLOCK


@pytest.mark.parametrize("search", ["random", "gp"])
def test_a_study_records_completed_configurations_and_resumes_with_them(
    tmp_path: Path, search: str
) -> None:
    def train(trial: ashtune.Trial) -> float:
        return float(trial["rate"])

    given = [{"momentum": 0.25}, {}, {"rate": 0.5}]
    options: dict[str, Any] = {"search": search, "enqueue": given, "max_resource": 1, "workers": 1}
    study = tuned(tmp_path, train, SPACE, **options, trials=2)
    kept = read_settings(study.directory / NAME).enqueued
    assert kept == completed(Space.parse(SPACE), given, 0)
    tuned(tmp_path, train, SPACE, **options, trials=5)
    trials = started(study.directory)
    assert [each.configuration for each in trials[:3]] == kept
    assert [each.origin for each in trials[:3]] == ["enqueued"] * 3
    assert len(trials) == 5
