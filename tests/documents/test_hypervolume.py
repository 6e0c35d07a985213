"""The benchmark of several objectives measures an area: cells of a grid are counted."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

Area = Callable[[Sequence[tuple[float, float]], tuple[float, float]], float]


@pytest.fixture(scope="module")
def hypervolume() -> Iterator[Area]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        yield importlib.import_module("several_objectives").hypervolume


def test_it_is_the_number_of_cells_that_some_point_dominates(hypervolume: Area) -> None:
    @given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=8))
    def check(points: list[tuple[int, int]]) -> None:
        cells = [(x, y) for x in range(8) for y in range(6) if any(a <= x and b <= y for a, b in points)]
        assert hypervolume([(float(a), float(b)) for a, b in points], (8.0, 6.0)) == len(cells)

    check()
