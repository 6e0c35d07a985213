"""What a user may give as a space, and what is said when it does not fit."""

import math
from typing import Any

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace, Constant, Float

from ashtune._src.core.errors import SpaceError
from ashtune._src.search.random import Random
from ashtune._src.space.parsing import Ordered, When
from ashtune._src.space.priors import Prior
from ashtune._src.space.space import Space
from tests.search.spaces import conditional, of_every_kind

LOG = (1e-4, 1.0, "log")


def test_the_names_of_a_space_keep_the_order_of_the_dict() -> None:
    space = Space.parse({"z": (0, 1), "a": (0, 1), "m": 3})
    assert space.names == ("z", "a", "m")
    assert list(Random().build(space, 0).configuration(0)) == ["z", "a", "m"]


def test_a_range_contains_only_integers_if_both_ends_are_integers() -> None:
    space = Space.parse({"n": (1, 3), "x": (0, 1.5), "y": (0.5, 2)})
    drawn = [Random().build(space, 0).configuration(i) for i in range(200)]
    assert {c["n"] for c in drawn} == {1, 2, 3}
    assert {type(c["n"]) for c in drawn} == {int}
    assert {type(c[name]) for c in drawn for name in "xy"} == {float}


def test_the_text_of_a_hyperparameter_shows_range_scale_and_distribution() -> None:
    assert {name: str(column) for name, column in of_every_kind().columns.items()} == {
        "lr": "0.0001 .. 1, log",
        "units": "8 .. 512, log",
        "momentum": "0 .. 0.99",
        "layers": "1 .. 8",
        "noise": "0 .. 1, normal(0.3, 0.2)",
        "depth": "1 .. 9, log, normal(3, 2)",
        "heads": "1 .. 6, beta(2, 3)",
        "size": "1 < 2 < 4",
        "act": "relu, tanh",
        "widths": "[64, 64], [128], [32, 16]",
        "mixed": "None, True, 2, 2.5, auto",
        "flags": "True, False",
        "numbers": "1 < 2.5",
        "epochs": "9",
        "name": "net",
        "bias": "True",
    }
    rules = Space.parse(conditional()).rules
    assert rules.conditions_text("dropout") == "layers > 2"
    assert rules.conditions_text("nesterov") == "(opt == 'sgd' and momentum > 0.5)"


def test_the_space_of_the_user_is_not_changed() -> None:
    theirs = conditional()
    theirs.seed(3)
    before = theirs.random.get_state()[1].tolist(), str(theirs)
    space = Space.parse(theirs)
    Random().build(space, 1).configuration(5)
    assert (theirs.random.get_state()[1].tolist(), str(theirs)) == before
    theirs.add(Constant("late", 1))
    assert "late" not in space.names


class Widget:
    def __repr__(self) -> str:
        return "<Widget\n of two lines>"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "the space is empty"),
        (ConfigurationSpace(), "the space is empty"),
        (7, "7 is not a search space"),
        (None, "None is not a search space"),
        (["a"], "['a'] is not a search space"),
        ({"x": (2, 1)}, "x=(2, 1) is empty"),
        ({"x": (1, 1)}, "x=(1, 1) is empty"),
        ({"x": (1.0, 0.5)}, "x=(1.0, 0.5) is empty"),
        ({"x": (math.nan, 1.0)}, "x=(nan, 1.0) is not a range"),
        ({"x": (0.0, math.inf)}, "x=(0.0, inf) is not a range"),
        ({"x": (-1e308, 1e308)}, "x=(-1e+308, 1e+308) is empty, or too wide for a float"),
        ({"x": (0.0, 1.0, "log")}, "x=(0.0, 1.0) has no logarithm"),
        ({"x": (0, 2**70)}, "x=(0, 1180591620717411303424) is not a range"),
        ({"x": (1, 2, 3)}, "x=(1, 2, 3) is not a range"),
        ({"x": ("a", "b")}, "x=('a', 'b') is not a range"),
        (
            {"x": [1e-4, 1.0, "log"]},
            "give (0.0001, 1.0, 'log'), or ashtune.Choice([0.0001, 1.0, 'log'])",
        ),
        (
            {"y": [1, 2], "x": When("y", 1, [np.int64(1), 8, np.str_("log")])},
            "is a list, but a range is a tuple",
        ),
        ({"x": {"low": 1}}, "'x' is {'low': 1}; write a list of choices"),
        ({"x": {"low": 1, "high": 2, "log": True, "step": 1}}, "; write a list of choices"),
        ({"x": {"low": 0, "high": 1, "step": 0}}, "x: low=0, high=1, step=0 is not a range"),
        ({"x": {"low": 0, "high": 1, "step": 2}}, "step=2 is not a range"),
        ({"x": {"low": 1, "high": 0, "step": 0.1}}, "x: low=1, high=0, step=0.1 is not a range"),
        ({"x": {"low": 0, "high": 1, "step": 1e-9}}, "a step above 0 that gives 2 to 10"),
        ({"x": {"low": 0, "high": 10_000, "step": 1}}, "a step above 0 that gives 2 to 10"),
        (
            {"x": {"low": "a", "high": 1, "step": math.nan}},
            "x: low='a', high=1, step=nan is not a range",
        ),
        ({"x": (False, True)}, "x=(False, True) is not a range"),
        ({"x": []}, "x=[] has no choices"),
        ({"x": ["a", "b", "a"]}, "x: the choice 'a' is repeated"),
        ({"x": [True, 1]}, "x: the choice 1 is repeated"),
        ({"x": [(1, 2), [1, 2]]}, "x: the choice [1, 2] is repeated"),
        ({"x": [math.nan, 1.0]}, "x: the choice nan cannot be stored"),
        ({"x": [2**64]}, "x: the choice 18446744073709551616 cannot be stored"),
        ({"x": [len, abs]}, "x: the choice <built-in function len> cannot be stored"),
        ({"x": [{"a": 1}]}, "x: the choice {'a': 1} cannot be stored"),
        ({"x": ["\ud800"]}, "x: the choice '\\ud800' cannot be stored"),
        ({"x": Ordered("ab")}, "x=Ordered(choices='ab') is not a list of choices"),
        ({"x": When("y", 1, (0, 1))}, "a condition names 'y', which is not in the space; it has x"),
        (
            {"y": ["a", "b"], "x": When("y", "c", (0, 1))},
            "y='c' is out of range; give a value in a, b",
        ),
        ({"y": When("x", 1, [1, 2]), "x": When("y", 1, [1, 2])}, "conditions form a cycle: "),
        ({"x": When("x", 1, [1, 2])}, "conditions form a cycle: "),
        ({"x": {1, 2}}, "x={1, 2} is not a range"),
        ({"x": range(3)}, "x=range(0, 3) is not a range"),
        ({"x": math.inf}, "x=inf is not a range"),
        ({"x": Widget()}, "x=<Widget of two lines> is not a range"),
        ({"x": Float("y", (0, 1))}, "x: the given hyperparameter has the name 'y'"),
        ({3: (0, 1)}, "3 is not a name of a hyperparameter"),
        ({"": (0, 1)}, "'' is not a valid name of a hyperparameter"),
        (ConfigurationSpace({"f": Constant("f", len)}), "<built-in function len> cannot be stored"),
    ],
)
def test_the_error_for_an_invalid_space_names_the_value(given: object, says: str) -> None:
    with pytest.raises(SpaceError) as refusal:
        Space.parse(given)
    message = str(refusal.value)
    assert says in message
    assert "\n" not in message
    assert "; " in message, "it says what would do"


def test_numpy_values_in_a_space_become_plain_python_values() -> None:
    space = Space.parse(
        {"n": (np.int64(1), np.int64(3)), "c": [np.float64(0.5), np.str_("a"), np.bool_(True)]}
    )
    assert {name: str(column) for name, column in space.columns.items()} == {
        "n": "1 .. 3",
        "c": "0.5, a, True",
    }
    assert {type(choice) for choice in space.columns["c"].choices or []} == {float, str, bool}


def test_spaces_written_as_json_objects_equal_spaces_written_as_tuples() -> None:
    inner = {"low": 1e-4, "high": 1.0, "log": True}
    given = {
        "lr": inner,
        "on": [True, False],
        "p": Prior(inner, 0.1),
        "m": {"when": {"on": True}, "values": inner},
    }
    tuples = {"lr": LOG, "on": [True, False], "p": Prior(LOG, 0.1), "m": When("on", True, LOG)}
    assert Space.parse(given).to_record() == Space.parse(tuples).to_record()


@pytest.mark.parametrize(
    ("low", "high", "step", "values"),
    [
        (0, 10, 5, [0, 5, 10]),
        (-3, 10, 5, [-3, 2, 7]),
        (0, 0.3, 0.1, [0.0, 0.1, 0.2, 0.3]),
        (np.int64(0), 1, np.float64(0.4), [0.0, 0.4, 0.8]),
        (1e-5, 3e-5, 1e-5, [1e-5, 2e-5, 3e-5]),
        (1, 10_000, 1, list(range(1, 10_001))),
    ],
)
def test_a_step_gives_ordered_numbers_without_rounding_errors(
    low: Any, high: Any, step: Any, values: Any
) -> None:
    column = Space.parse({"x": {"low": low, "high": high, "step": step}}).columns["x"]
    assert column.choices == values
    assert {type(value) for value in column.choices or []} == {type(values[0])}
    assert not column.is_category


def test_a_value_with_a_rounding_error_counts_as_a_multiple_of_step() -> None:
    space = Space.parse({"x": {"low": 0, "high": 1, "step": 0.1}})
    assert space.check({"x": 3 * 0.1}) == {"x": 0.3}
    with pytest.raises(SpaceError):
        space.check({"x": 0.31})


def test_a_long_list_of_choices_is_shortened_in_a_message() -> None:
    assert (
        str(Space.parse({"x": {"low": 0, "high": 1000, "step": 5}}).columns["x"])
        == "0 < 5 < 10 < ... < 1000"
    )
