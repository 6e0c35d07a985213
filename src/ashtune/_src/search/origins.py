"""The origin of a trial's configuration: its words in the journal, and its sort.

Rule: a search calls its draws "random" or "design", as they depend on no result. Whatever else it says is a proposal.
"""

from enum import IntEnum

ENQUEUED = "enqueued"
DESIGNS = ("random", "design")
NOT_READY = ", no proposal was ready"
REPLACED = ", the proposal was tried before"
FAILED = ", the proposer had failed"
_MUTATION, _CONFIRMATION = "mutation of ", "confirms "


class Sort(IntEnum):
    """Where a configuration comes from: a draw, a model, the mutation of another one, or the user."""

    RANDOM = 0
    MODEL = 1
    MUTATION = 2
    STANDING_IN = 3
    """A mutation, or what else stands in, where no proposal was ready."""
    OTHER = 4
    """What the user enqueued, and trials that repeat another one: neither a draw nor a proposal."""


PROPOSED = (Sort.MODEL, Sort.MUTATION, Sort.STANDING_IN)
"""What depends on results."""


def results_text(results: int, known: int) -> str:
    """Return on how many results a proposal rests, and how many of these are from before the study."""
    return f"{results} results" + (f", {known} from before" if known else "")


def mutation_text(parent: int) -> str:
    """Return the origin of a mutation of a trial; below 0 it is a configuration from before the study."""
    return f"{_MUTATION}{parent}" if parent >= 0 else f"{_MUTATION}a result from before"


def sort_of(origin: str) -> Sort:
    """Return the sort of an origin; of an empty one, the trial has its place in the design."""
    first = origin.partition(", ")[0]
    if not first or first in DESIGNS:
        return Sort.RANDOM
    if first == ENQUEUED or first.startswith(_CONFIRMATION):
        return Sort.OTHER
    if origin.endswith(NOT_READY):
        return Sort.STANDING_IN
    return Sort.MUTATION if first.startswith(_MUTATION) else Sort.MODEL


SORTS = {"model": (Sort.MODEL,), "mutation": (Sort.MUTATION, Sort.STANDING_IN), "random": (Sort.RANDOM,)}
"""The sorts that views show together."""
SOURCES = (*SORTS, "enqueued", "other")
_SOURCE_OF = {sort: source for source, sorts in SORTS.items() for sort in sorts}


def source_of(origin: str) -> str:
    """Return where a view says that a configuration comes from: one of :data:`SOURCES`."""
    return "enqueued" if origin == ENQUEUED else _SOURCE_OF.get(sort_of(origin), "other")
