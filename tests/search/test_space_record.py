"""A space written down and read back is the same space."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ConfigSpace import ConfigurationSpace, Float, Normal
from hypothesis import given
from hypothesis import strategies as st

import ashtune
from ashtune._src.core.errors import SpaceError
from ashtune._src.search.random import Random
from ashtune._src.space.configspace import space_of_record
from ashtune._src.space.parsing import Choice, Ordered, When
from ashtune._src.space.priors import Prior
from ashtune._src.space.space import Space
from tests.search.spaces import (
    conditional,
    finite_conditional,
    of_every_kind,
    with_every_clause,
    with_priors,
)


def with_our_own_conditions() -> Space:
    return Space.parse(
        {
            "momentum": When(
                "solver", "sgd", When("nesterov", [True, False], Prior((0.0, 1.0), at=0.9))
            ),
            "nesterov": When("solver", ["sgd", "rmsprop"], [True, False]),
            "solver": ["sgd", "adam", "rmsprop"],
            "width": When("shape", (64, 64), [16, 32, 64, 128]),
            "shape": [(64, 64), (128,)],
            "size": Ordered(["small", "base", "large"]),
            "fold": Choice([1, 2, 3]),
            "layers": (1, 8),
            "rate": (1e-4, 1.0, "log"),
            "dropout": When("layers", above=2, values=(0.0, 0.5)),
            "warmup": When(
                "rate", above=0.01, below=0.1, values=When("size", below="large", values=(1, 9))
            ),
        }
    )


SPACES: list[Callable[[], Space]] = [
    of_every_kind,
    with_priors,
    lambda: Space.parse(conditional()),
    lambda: Space.parse(finite_conditional()),
    with_every_clause,
    with_our_own_conditions,
]


@pytest.mark.parametrize("make", SPACES)
def test_a_space_read_back_from_json_is_identical(
    make: Callable[[], Space],
) -> None:
    space = make()
    again = Space.from_record(json.loads(json.dumps(space.to_record())))
    assert again.names == space.names
    assert {name: str(column) for name, column in again.columns.items()} == {
        name: str(column) for name, column in space.columns.items()
    }
    assert again.to_record() == space.to_record()
    first, second = Random().build(space, 5), Random().build(again, 5)
    trials = range(first.size or 1100)
    assert [repr(first.configuration(i)) for i in trials] == [
        repr(second.configuration(i)) for i in trials
    ]


def test_spaces_serialized_by_configspace_in_old_journals_are_read() -> None:
    theirs = conditional()
    written = json.loads(json.dumps(theirs.to_serialized_dict()))
    assert {"python_module_version", "default_value"} <= written.keys() | written[
        "hyperparameters"
    ][0].keys()
    ours, read = Space.parse(theirs), Space.from_record({"names": list(theirs), "space": written})
    first, second = Random().build(ours, 5), Random().build(read, 5)
    assert [first.configuration(i) for i in range(300)] == [
        second.configuration(i) for i in range(300)
    ]


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,4}", fullmatch=True),
        st.one_of(
            st.tuples(st.integers(-99, 0), st.integers(1, 99)),
            st.tuples(st.floats(-1e6, 0), st.floats(1e-3, 1e6)),
            st.lists(
                st.one_of(st.none(), st.integers(), st.text("abc \u00e9'\"", max_size=3)),
                min_size=1,
                unique=True,
            ).filter(lambda choices: all(abs(c) < 2**63 for c in choices if isinstance(c, int))),
            st.booleans(),
            st.text("abc \u00e9'\"", max_size=4),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_space_written_as_a_dict_survives_a_round_trip_through_json(
    given: dict[str, object],
) -> None:
    space = Space.parse(given)
    again = Space.from_record(json.loads(json.dumps(space.to_record())))
    drawn = Random().build(space, 1).configuration(0)
    assert drawn == Random().build(again, 1).configuration(0)
    assert again.check(drawn) == drawn
    assert repr(again.as_written()) == repr(given)
    for name, value in drawn.items():
        range_given = given[name]
        if isinstance(range_given, tuple):
            assert range_given[0] <= value <= range_given[1]
        else:
            assert value in (range_given if isinstance(range_given, list) else [range_given])


WRITTEN = {
    "solver": ["sgd", "adam"],
    "lr": (1e-4, 1.0, "log"),
    "layers": Prior((1, 8), 3),
    "width": When("layers", [1, 2], [16, 32, 64]),
    "size": Ordered(["small", "base", "large"]),
    "fold": Choice([1, 2, 3]),
    "odd": Choice([1e-4, 1.0, "log"]),
    "shape": [[64, 64], [128]],
    "one": ["a"],
    "epochs": 9,
    "nothing": None,
    "momentum": When("solver", "sgd", When("fold", 2, Prior((0.0, 1.0), 0.9))),
    "pad": When("shape", (64, 64), (1, 4)),
    "dropout": When("layers", above=2, values=(0.0, 0.5)),
    "warmup": When("lr", above=0.01, below=0.1, values=When("layers", below=6, values=(1, 9))),
}


def test_a_study_returns_its_space_as_the_user_wrote_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ConfigSpace", None)
    options: dict[str, Any] = {
        "metric": "loss",
        "mode": "min",
        "trials": 1,
        "max_resource": 1,
        "quiet": True,
    }
    with ashtune.open_study(WRITTEN, **options, search="random", directory=tmp_path) as study:
        assert repr(study.space) == repr(study.read().space) == repr(WRITTEN)
    again = Space.parse(study.space)
    assert again.to_record() == Space.parse(WRITTEN).to_record()


@pytest.mark.parametrize(
    "space", [conditional(), {"noise": Float("noise", (0.0, 1.0), distribution=Normal(0.3, 0.2))}]
)
def test_a_study_returns_a_configspace_as_a_configspace(space: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "metric": "loss",
        "mode": "min",
        "trials": 1,
        "max_resource": 1,
        "quiet": True,
    }
    with ashtune.open_study(space, **options, search="random", directory=tmp_path) as study:
        assert isinstance(study.space, ConfigurationSpace)
        assert sorted(study.space) == sorted(space)


A = {"name": "a", "type": "categorical", "choices": [0, 1]}


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"names": ["a"]},
        {"names": ["a"], "space": 3},
        {"names": 3, "space": {}},
        {"names": ["a"], "space": {"hyperparameters": [{"name": "a"}]}},
        {"names": ["a"], "space": {"hyperparameters": [{"name": "a", "type": "os.system"}]}},
        {
            "names": ["a"],
            "space": {"hyperparameters": [{"name": "a", "type": "uniform_int", "lower": 3}]},
        },
        {
            "names": ["a"],
            "space": {
                "hyperparameters": [{"name": "a", "type": "uniform_float", "upper": 1, "q": 0.5}]
            },
        },
        {
            "names": ["a"],
            "space": {"hyperparameters": [{"name": "a", "type": "uniform_int", "upper": 10**400}]},
        },
        {
            "names": ["a"],
            "space": {"hyperparameters": [A], "conditions": [{"type": "EQ", "child": "a"}]},
        },
        {
            "names": ["a"],
            "space": {
                "hyperparameters": [A],
                "forbiddens": [{"type": "CLAUSE_LT", "name": "a", "value": 0}],
            },
        },
        {
            "names": ["a"],
            "space": {"hyperparameters": [A], "forbiddens": [{"type": "AND", "clauses": 3}]},
        },
        {
            "names": ["a", "b"],
            "space": {"hyperparameters": [{"name": "a", "type": "constant", "value": 1}]},
        },
    ],
)
def test_an_invalid_record_is_refused_in_one_line(record: dict[str, object]) -> None:
    with pytest.raises(SpaceError) as refusal:
        Space.from_record(record)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("make", SPACES)
def test_a_space_converted_to_configspace_is_equivalent(
    make: Callable[[], Space], capsys: pytest.CaptureFixture[str]
) -> None:
    """ConfigSpace 1.2.2 prints from ForbiddenGreaterThanEqualsClause; stdout is for results."""
    space = make()
    capsys.readouterr()
    theirs = space_of_record(space.to_record())
    assert capsys.readouterr().out == ""
    assert sorted(theirs) == sorted(space.names)
    again = Space.parse(theirs)
    assert {name: str(again.columns[name]) for name in space.names} == {
        name: str(column) for name, column in space.columns.items()
    }
    design = Random().build(space, 0)
    for trial in range(100):
        drawn = design.configuration(trial % (design.size or 100))
        assert again.check(drawn) == {name: drawn[name] for name in again.names if name in drawn}
