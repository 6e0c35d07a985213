"""Runs: nothing is drawn or left out by the order, and each kind has its turn about as often as it
was drawn.
"""

from collections import Counter
from itertools import groupby
from typing import Any

import pytest

from ashtune._src.search.arranged import BLOCK, LONGEST_RUN, Grouped
from ashtune._src.search.grid import GridDesign
from ashtune._src.search.random import Random
from ashtune._src.space.space import Space

SPACE = Space.parse({"rate": (0.0, 1.0), "width": [16, 32, 64], "names": [["a", "b"], ["c"]]})
KIND = ("width", "names")


def kind(configuration: dict[str, Any]) -> str:
    return str([configuration[name] for name in KIND])


def first(count: int, seed: int = 0) -> list[dict[str, Any]]:
    search = Grouped(Random().build(SPACE, seed), KIND)
    return [search.configuration(trial) for trial in range(count)]


def test_grouping_the_configurations_of_a_block_only_changes_their_order() -> None:
    search = Random().build(SPACE, 0)
    drawn = [search.configuration(trial) for trial in range(2 * BLOCK)]
    for begin in (0, BLOCK):
        block = slice(begin, begin + BLOCK)
        assert sorted(map(str, first(2 * BLOCK)[block])) == sorted(map(str, drawn[block]))


def test_a_grouped_design_gives_configurations_of_one_kind_one_after_another() -> None:
    runs = [
        (name, len(list(configurations)))
        for name, configurations in groupby(map(kind, first(BLOCK)))
    ]
    assert len(runs) < BLOCK / LONGEST_RUN + 2 * 6
    assert sum(length == LONGEST_RUN for _, length in runs) > 20


def test_the_average_frequency_of_each_kind_of_configuration_matches_its_weight() -> None:
    """Width 16 has half of the weight: among the first 40 trials of 400 seeds 20 each, give or take
    five standard errors. One run decides about 32 trials, so that a study's count has a standard
    deviation of up to 20.
    """
    from ConfigSpace import Categorical

    space = Space.parse(
        {"rate": (0.0, 1.0), "width": Categorical("width", [16, 32, 64], weights=[2, 1, 1])}
    )
    counts = []
    for seed in range(400):
        search = Grouped(Random().build(space, seed), ("width",))
        counts.append(Counter(search.configuration(trial)["width"] for trial in range(40))[16])
    assert abs(sum(counts) / len(counts) - 20) < 5 * 20 / len(counts) ** 0.5
    assert min(counts) < 10
    assert max(counts) > 30


def test_a_grouped_grid_gives_each_point_once() -> None:
    space = Space.parse({"width": [16, 32, 64], "rate": [0.1, 0.2, 0.3, 0.4]})
    search = Grouped(GridDesign(space, None), ("width",))
    assert search.size == 12
    configurations = [search.configuration(trial) for trial in range(12)]
    assert len({str(configuration) for configuration in configurations}) == 12
    assert len(list(groupby(configuration["width"] for configuration in configurations))) == 3
    with pytest.raises(IndexError):
        search.configuration(12)
