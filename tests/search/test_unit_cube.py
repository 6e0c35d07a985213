"""The map between the unit cube and a space, both ways."""

import random
from typing import Any

import numpy as np
import pytest
from ConfigSpace import UniformIntegerHyperparameter

from ashtune import When
from ashtune._src.search.random import Random
from ashtune._src.space.space import Space
from tests.search.spaces import conditional, of_every_kind, with_every_clause


def same(one: object, other: object) -> bool:
    return one == (pytest.approx(other, rel=1e-9) if isinstance(other, float) else other)


@pytest.mark.parametrize(
    "space", [of_every_kind(), Space.parse(conditional())], ids=["every kind", "conditional"]
)
def test_a_configuration_converted_to_a_point_and_back_is_unchanged(space: Space) -> None:
    design, chance = Random().build(space, 1), random.Random(0)
    for trial in range(200):
        configuration = design.configuration(trial)
        point = space.place(configuration)
        assert [place is None for place in point] == [
            name not in configuration for name in space.names
        ]
        assert all(place is None or 0 <= place <= 1 for place in point)
        [again] = space.at(
            np.array([[chance.random() if place is None else place for place in point]])
        )
        assert list(again) == list(configuration)
        assert all(same(again[name], value) for name, value in configuration.items())


def test_zero_and_one_map_to_the_ends_of_each_range() -> None:
    space = of_every_kind()
    low, high = space.at(np.array([[0.0] * len(space.names), [1.0] * len(space.names)]))
    for name in ("lr", "units", "momentum", "layers", "noise", "depth", "heads"):
        column = space.columns[name]
        assert (low[name], high[name]) == (pytest.approx(column.low), pytest.approx(column.high))
        assert column.low <= low[name] <= high[name] <= column.high
    assert (low["act"], high["act"]) == ("relu", "tanh")


def test_random_configurations_satisfy_a_condition_on_a_choice_between_lists() -> None:
    space = with_every_clause()
    design = Random().build(space, 0)
    drawn = [design.configuration(trial) for trial in range(500)]
    assert {("d" in c) == (c["c"] == [1, 2] or c["a"] in (7, 8)) for c in drawn} == {True}
    assert {"d" in c for c in drawn} == {True, False}
    assert all(
        c["a"] >= c["b"] and c["a"] != 9 and c["b"] not in (5, 6) and c["o"] != "l" for c in drawn
    )
    assert {c["o"] for c in drawn} == {"s", "m"}


def test_integers_of_a_range_wider_than_63_bits_stay_in_the_range() -> None:
    low, high = -(2**62), 2**62 + 2**61
    space = Space.parse({"n": UniformIntegerHyperparameter("n", low, high)})
    values = [each["n"] for each in space.at(np.array([[0.0], [0.5], [0.9999], [1.0]]))]
    assert all(low <= value <= high for value in values)


def random_conditional(seed: int) -> Space:
    """Ten hyperparameters of random kinds; most have conditions, many of them joined or nested, on
    earlier ones.
    """
    chance = random.Random(seed)
    kinds: list[Any] = [
        {"type": "uniform_float", "upper": 1.0}, {"type": "uniform_float", "lower": 1e-3,
        "upper": 1.0, "log": True},
        {"type": "uniform_int", "upper": 5}, {"type": "uniform_int", "lower": 1, "upper": 64,
        "log": True},
        {"type": "categorical", "choices": [None, True, "a"], "weights": [1, 0, 2]},
        {"type": "categorical", "choices": [[1, 2], [3, 4]]}, {"type": "ordinal", "sequence": ["s",
        "m", "l"]},
    ]  # fmt: skip
    names = [f"h{number}" for number in range(10)]
    given = {name: {"name": name, **chance.choice(kinds)} for name in names}
    parts = {
        name: Space({"names": [name], "space": {"hyperparameters": [given[name]]}})
        for name in names
    }

    def condition(child: str, depth: int) -> dict[str, Any]:
        if depth and chance.random() < 0.5:
            several = [condition(child, depth - 1) for _ in range(2)]
            return {"type": chance.choice(["AND", "OR"]), "child": child, "conditions": several}
        parent = chance.choice(names[: names.index(child)])
        values = [
            each[parent]
            for each in parts[parent].at(np.array([[chance.random()], [chance.random()]]))
        ]
        kind = chance.choice(
            ["EQ", "NEQ", "IN", *["LT", "GT"] * (given[parent]["type"] != "categorical")]
        )
        return {
            "type": kind,
            "child": child,
            "parent": parent,
            "value": values[0],
            "values": values,
        }

    conditions = [condition(name, 2) for name in names[1:] if chance.random() < 0.8]
    return Space(
        {
            "names": names,
            "space": {"hyperparameters": list(given.values()), "conditions": conditions},
        }
    )


@pytest.mark.parametrize("seed", range(40))
def test_snapping_moves_a_point_to_the_middle_of_its_cell(seed: int) -> None:
    """As ``at`` and ``place`` say of each point alone; both ends of every range are among the
    points.
    """
    space = random_conditional(seed)
    points = np.random.default_rng(seed).random((60, len(space.names)))
    points[0], points[1] = 0.0, 1.0
    for point, snapped, configuration in zip(
        points, space.snap(points), space.at(points), strict=True
    ):
        for name, given, middle in zip(space.names, point, snapped, strict=True):
            column = space.columns[name]
            is_float = column.choices is None and not column.is_integer
            wanted = (
                0.5
                if name not in configuration
                else given
                if is_float
                else column.place(configuration[name])
            )
            assert middle == wanted


def test_a_hyperparameter_whose_condition_names_no_value_is_never_active() -> None:
    space = Space.parse({"a": ["p", "q"], "b": When("a", [], (0.0, 1.0))})
    points = space.random_points(np.random.default_rng(0).random((20, space.draws)))
    assert all("b" not in configuration for configuration in space.at(points))
    assert (space.snap(points)[:, 1] == 0.5).all()
