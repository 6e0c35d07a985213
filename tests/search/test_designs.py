"""Every design passes the suite of ``ashtune.testing``, alone and inside of others."""

from collections.abc import Callable

import pytest
from ConfigSpace import Integer

from ashtune._src.search.arranged import Enqueued, Grouped
from ashtune._src.search.grid import Grid
from ashtune._src.search.random import Random, Sobol
from ashtune._src.search.search_protocol import Design, Search
from ashtune._src.space.space import Space
from ashtune.testing.search_suite import check_design, check_sequence
from tests.search.spaces import conditional, finite_conditional, of_every_kind

SEARCHES = [Random(), Sobol(), Grid(points=2)]
SPACES: list[Callable[[], object]] = [
    of_every_kind,
    conditional,
    finite_conditional,
    lambda: {"x": (0.0, 1.0)},
    lambda: {"n": (1, 700), "c": ["a", [1, [2]], None]},
    lambda: {"only": 3},
    lambda: {"n": Integer("n", (-(2**62), 2**62))},  # more integers than len() can say
]


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_the_searches_of_the_package_make_valid_designs(
    search: Search, space: Callable[[], object]
) -> None:
    check_design(search, space())


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_a_grouped_design_after_enqueued_configurations_passes_the_design_suite(
    search: Search, space: Callable[[], object]
) -> None:
    parsed = Space.parse(space())
    first = [search.build(parsed, 3).configuration(0)]
    check_sequence(
        lambda: Enqueued(first, Grouped(search.build(parsed, 3), parsed.names[-1:], 40)), parsed
    )


class Draws:
    """A design as wrong as the test says."""

    size = None

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.calls = 0
        self.first = {"x": [0.5]}

    def configuration(self, trial: int) -> dict[str, object]:
        self.calls += 1
        match self.fault:
            case "order":
                return {"x": [float(self.calls % 7)]}
            case "outside":
                return {"x": 2.0}
            case "shared":
                return self.first  # type: ignore[return-value]
        return {"x": [0.5]}

    def find(self, configuration: object) -> int | None:
        return None


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("order", "depends on the order"),
        ("outside", "is out of range"),
        ("shared", "a caller that changes"),
    ],
)
def test_the_design_suite_detects_invalid_designs(fault: str, says: str) -> None:
    space = Space.parse({"x": [[float(n)] for n in range(7)] + [[0.5]]})

    def build() -> Design:
        return Draws(fault)

    check_sequence(lambda: Draws("none"), space, trials=9)
    with pytest.raises(Exception, match=says):
        check_sequence(build, space, trials=9)
