"""Grid search: every valid combination once, in the user's order, ends included."""

import itertools

import pytest
from ConfigSpace import Float, Integer
from hypothesis import given
from hypothesis import strategies as st

from ashtune._src.core.errors import AshtuneError, SpaceError
from ashtune._src.search.grid import Grid, GridDesign
from ashtune._src.space.space import Space
from tests.search.spaces import conditional, finite_conditional, fits_conditional


def everything(grid: GridDesign) -> list[dict[str, object]]:
    return [grid.configuration(i) for i in range(grid.size)]


def test_the_last_hyperparameter_of_a_grid_varies_fastest() -> None:
    grid = GridDesign(Space.parse({"z": ["a", "b"], "m": 5, "a": (1, 3)}))
    assert [(c["z"], c["a"]) for c in everything(grid)] == list(itertools.product("ab", [1, 2, 3]))
    assert list(grid.configuration(0)) == ["z", "m", "a"]


@given(st.floats(1e-9, 1e3), st.floats(1.1, 1e6), st.integers(1, 9), st.booleans())
def test_a_grid_over_floats_has_exact_ends_and_equal_steps(
    low: float, width: float, points: int, log: bool
) -> None:
    space = Space.parse({"x": Float("x", (low, low * width), log=log)})
    column = space.columns["x"]
    values = [c["x"] for c in everything(GridDesign(space, points))]
    assert len(values) == points
    assert values == sorted(values)
    assert all(type(value) is float and column.low <= value <= column.high for value in values)
    if points > 1:
        assert (values[0], values[-1]) == (column.low, column.high)
        steps = [b / a if log else b - a for a, b in itertools.pairwise(values)]
        assert max(steps) == pytest.approx(min(steps), rel=1e-6)


def test_a_grid_over_integers_has_evenly_spread_distinct_values() -> None:
    space = Space.parse({"n": (1, 10), "m": Integer("m", (1, 100), log=True)})
    assert GridDesign(space).size == 1000
    assert GridDesign(space, {"n": 4}).size == 400
    assert [c["n"] for c in everything(GridDesign(Space.parse({"n": (1, 10)}), 4))] == [1, 4, 7, 10]
    assert [c["n"] for c in everything(GridDesign(Space.parse({"n": (1, 3)}), 50))] == [1, 2, 3]
    logs = [
        c["m"]
        for c in everything(GridDesign(Space.parse({"m": Integer("m", (1, 9), log=True)}), 7))
    ]
    assert logs == [1, 2, 3, 4, 6, 9]


def test_a_huge_grid_without_conditions_is_not_enumerated() -> None:
    grid = GridDesign(Space.parse(dict.fromkeys("abc", (0, 10**12)) | {"x": (0.0, 1.0)}), {"x": 10})
    assert grid.size == (10**12 + 1) ** 3 * 10
    assert grid.configuration(grid.size - 1) == {"a": 10**12, "b": 10**12, "c": 10**12, "x": 1.0}
    assert grid.configuration(11) == {"a": 0, "b": 0, "c": 1, "x": pytest.approx(1 / 9)}


def test_a_conditional_grid_has_each_valid_configuration_once() -> None:
    drawn = everything(GridDesign(Space.parse(finite_conditional())))
    with_b = [{"a": "x", "b": b, "c": c} for c in "pqr" for b in (1, 2, 3) if (b, c) != (2, "q")]
    assert sorted(map(str, (sorted(c.items()) for c in drawn))) == sorted(
        map(str, (sorted(c.items()) for c in [*with_b, *({"a": "y", "c": c} for c in "pqr")]))
    )


def test_conditions_and_forbidden_clauses_hold_in_a_grid_with_floats() -> None:
    drawn = everything(GridDesign(Space.parse(conditional()), {"momentum": 4, "dropout": 3}))
    assert all(fits_conditional(configuration) for configuration in drawn)
    assert len({str(sorted(c.items())) for c in drawn}) == len(drawn)
    sgd = 2 + 2 * 2  # two momenta at most 0.5, two above with nesterov or without
    assert len(drawn) == (sgd + 4) * (2 + 6 * 3) + 4 * 3


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (
            None,
            "x=0 .. 1 has infinitely many values; to try 5 of them, give search=ashtune.Grid(points={'x': 5})",
        ),
        (
            {"n": 2},
            "x=0 .. 1 has infinitely many values; to try 5 of them, give search=ashtune.Grid(points={'x': 5})",
        ),
        (0, "points=0 does not fit Grid"),
        (2.5, "points=2.5 does not fit Grid"),
        (True, "points=True does not fit Grid"),
        ({"x": 0}, "points={'x': 0} does not fit Grid: Expected `int` >= 1 in each value"),
        ({"x": 10**9}, "points={'x': 1000000000} does not fit Grid"),
        (
            {"y": 3},
            "points={'y': 3}: 'y' is not a range of numbers; give points only for these ranges: ['x', 'n']",
        ),
        ({"x": 3, "c": 3}, "points={'c': 3}: 'c' is not a range of numbers"),
    ],
)
def test_invalid_numbers_of_grid_points_are_refused_in_one_line(points: object, says: str) -> None:
    with pytest.raises(AshtuneError) as refusal:
        Grid(points=points).build(Space.parse({"x": (0.0, 1.0), "n": (1, 4), "c": ["a", "b"]}), 0)  # type: ignore[arg-type]
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_conditional_grid_that_is_too_large_to_enumerate_is_refused() -> None:
    with pytest.raises(SpaceError):
        GridDesign(Space.parse(conditional()), {"momentum": 1000, "dropout": 500})
