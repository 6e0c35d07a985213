"""The searches of ashtune, and the base classes for your own search.

A search decides which configuration a new trial has. How to add a search:
``docs/how-to/add-a-search.md``.
"""

from ashtune._src.search.gp import GP
from ashtune._src.search.grid import Grid
from ashtune._src.search.mutation import Mutation
from ashtune._src.search.optuna_search import OptunaSearch
from ashtune._src.search.random import Random, Sobol
from ashtune._src.search.search_protocol import Design, Proposal, Proposer, Search
from ashtune._src.space.space import Space

__all__ = [
    "GP",
    "Design",
    "Grid",
    "Mutation",
    "OptunaSearch",
    "Proposal",
    "Proposer",
    "Random",
    "Search",
    "Sobol",
    "Space",
]
