"""The registry of all searches, and a function that returns the design of a study."""

from collections.abc import Mapping, Sequence
from typing import Any

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.parts import Registry
from ashtune._src.search.arranged import Enqueued, Grouped
from ashtune._src.search.gp import GP
from ashtune._src.search.grid import Grid
from ashtune._src.search.mutation import Mutation
from ashtune._src.search.optuna_search import OptunaSearch
from ashtune._src.search.random import Random, Sobol
from ashtune._src.search.search_protocol import Design, Search
from ashtune._src.space.space import Space

SEARCHES: Registry[Search] = Registry(
    "search", Search, (Random, Grid, Sobol, GP, Mutation, OptunaSearch), group="ashtune.searches"
)


def learns(record: Mapping[str, Any]) -> bool:
    """Return whether the search of a study learns from results. If the search is not installed,
    return True.

    Raises:
        SettingsError: If the journal's first line names no search, or if the search does not have
            the options in the line.
    """
    try:
        search = SEARCHES.part_or_reason(record)
    except SettingsError as error:
        raise SettingsError(f"line 1 of the journal does not describe a search: {error}") from None
    return isinstance(search, str) or search.has_proposer


def design_of(
    search: Search,
    space: Space,
    seed: int,
    *,
    enqueued: Sequence[dict[str, object]] = (),
    grouped_by: tuple[str, ...] = (),
    trials: int | None = None,
) -> Design:
    """Return the design of a study: first the enqueued configurations, then the configurations of
    the search.

    Args:
        enqueued: Configurations that come first, in the form that :meth:`Space.check` returns.
        grouped_by: Hyperparameters whose values must be equal so that trials can train together. If
            empty, configurations have the search's own order.
        trials: The number of trials when the study began. This number limits the length of runs.

    Raises:
        SpaceError: If the space does not suit the search, for example if a float range has no
            number of grid points.
    """
    design: Design = search.build(space, seed)
    if grouped_by:
        design = Grouped(design, grouped_by, trials)
    if enqueued:
        design = Enqueued(enqueued, design)
    return design
