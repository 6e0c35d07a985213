"""Makes and classifies the origins of configurations. An origin is the journal's text about a
configuration's source.

Rule: an origin that begins with "random" or "design" means that the configuration is a random draw,
which depends on no result.
"""

from enum import IntEnum

ENQUEUED = "enqueued"
OF_OTHER_TASKS = "enqueued, the best of another task"
DESIGNS = ("random", "design")
NOT_READY = ", no proposal was ready"
REPLACED = ", the proposal was tried before"
FAILED = ", the proposer had failed"
_MUTATION = "mutation of "
_CONFIRMATION = "confirms "


class Sort(IntEnum):
    """The kind of source of a configuration: a random draw, a model, the mutation of another
    configuration, or the user.
    """

    RANDOM = 0
    MODEL = 1
    MUTATION = 2
    STANDING_IN = 3
    """A proposal of the stand-in, usually a mutation, because no other proposal was ready."""
    OTHER = 4
    """A repetition of another trial: neither a draw nor a proposal."""
    ENQUEUED = 5
    """A configuration that the user enqueued, or the best configuration of another task."""


PROPOSED = (Sort.MODEL, Sort.MUTATION, Sort.STANDING_IN)
"""The sorts that depend on results."""


def results_text(results: int, known: int) -> str:
    """Return a text with two counts: the results that a proposal uses, and the results from before
    the study.
    """
    text = f"{results} results"
    if known:
        text += f", {known} from before"
    return text


def mutation_text(parent: int) -> str:
    """Return the origin of a mutation. ``parent`` is the trial that was mutated. A number below 0
    stands for a configuration from before the study.
    """
    return f"{_MUTATION}{parent}" if parent >= 0 else f"{_MUTATION}a result from before"


def sort_of(origin: str) -> Sort:
    """Return the sort of an origin; an empty origin means a random draw."""
    first = origin.partition(", ")[0]
    if not first or first in DESIGNS:
        return Sort.RANDOM
    if origin in (ENQUEUED, OF_OTHER_TASKS):
        return Sort.ENQUEUED
    if first.startswith(_CONFIRMATION):
        return Sort.OTHER
    if origin.endswith(NOT_READY):
        return Sort.STANDING_IN
    if first.startswith(_MUTATION):
        return Sort.MUTATION
    return Sort.MODEL


SORTS = {
    "model": (Sort.MODEL,),
    "mutation": (Sort.MUTATION, Sort.STANDING_IN),
    "random": (Sort.RANDOM,),
}
"""The sorts that views show under one name."""
SOURCES = (*SORTS, "enqueued", "other")
_SOURCE_OF = {sort: source for source, sorts in SORTS.items() for sort in sorts} | {
    Sort.ENQUEUED: "enqueued"
}


def source_of(origin: str) -> str:
    """Return the name that views show for an origin: one of :data:`SOURCES`."""
    return _SOURCE_OF.get(sort_of(origin), "other")
