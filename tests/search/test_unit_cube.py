"""The map between the unit cube and a space, both ways."""

import random

import numpy as np
import pytest
from ConfigSpace import UniformIntegerHyperparameter

from ashtune._src.search.random import Random
from ashtune._src.space.space import Space
from tests.search.spaces import conditional, of_every_kind, with_every_clause


def same(one: object, other: object) -> bool:
    return one == (pytest.approx(other, rel=1e-9) if isinstance(other, float) else other)


@pytest.mark.parametrize("space", [of_every_kind(), Space.parse(conditional())], ids=["every kind", "conditional"])
def test_the_point_of_a_configuration_gives_it_back_whatever_stands_for_the_inactive(space: Space) -> None:
    design, chance = Random().build(space, 1), random.Random(0)
    for trial in range(200):
        configuration = design.configuration(trial)
        point = space.place(configuration)
        assert [place is None for place in point] == [name not in configuration for name in space.names]
        assert all(place is None or 0 <= place <= 1 for place in point)
        [again] = space.at(np.array([[chance.random() if place is None else place for place in point]]))
        assert list(again) == list(configuration)
        assert all(same(again[name], value) for name, value in configuration.items())


def test_the_ends_of_the_unit_interval_are_the_ends_of_every_range() -> None:
    space = of_every_kind()
    low, high = space.at(np.array([[0.0] * len(space.names), [1.0] * len(space.names)]))
    for name in ("lr", "units", "momentum", "layers", "noise", "depth", "heads"):
        column = space.columns[name]
        assert (low[name], high[name]) == (pytest.approx(column.low), pytest.approx(column.high))
        assert column.low <= low[name] <= high[name] <= column.high
    assert (low["act"], high["act"]) == ("relu", "tanh")


def test_a_condition_on_a_choice_that_is_a_list_is_met() -> None:
    space = with_every_clause()
    design = Random().build(space, 0)
    drawn = [design.configuration(trial) for trial in range(500)]
    assert {("d" in c) == (c["c"] == [1, 2] or c["a"] in (7, 8)) for c in drawn} == {True}
    assert {"d" in c for c in drawn} == {True, False}
    assert all(c["a"] >= c["b"] and c["a"] != 9 and c["b"] not in (5, 6) and c["o"] != "l" for c in drawn)
    assert {c["o"] for c in drawn} == {"s", "m"}


def test_integers_of_a_range_wider_than_63_bits_are_within_it() -> None:
    low, high = -(2**62), 2**62 + 2**61
    space = Space.parse({"n": UniformIntegerHyperparameter("n", low, high)})
    values = [each["n"] for each in space.at(np.array([[0.0], [0.5], [0.9999], [1.0]]))]
    assert all(low <= value <= high for value in values)
