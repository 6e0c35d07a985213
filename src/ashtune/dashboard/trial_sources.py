"""Where trials come from, as the page shows it: sorts of origins that belong together, and what the user enqueued."""

from ashtune.search.origins import ENQUEUED, Sort, sort_of

SORTS = {"model": (Sort.MODEL,), "mutation": (Sort.MUTATION, Sort.STANDING_IN), "random": (Sort.RANDOM,)}
"""The sources that are compared with each other, and which sorts each of them is."""
SOURCES = (*SORTS, "enqueued", "other")
_OF_A_SORT = {sort: source for source, sorts in SORTS.items() for sort in sorts}


def source_of(origin: str) -> str:
    """Return the source of a trial, one of :data:`SOURCES`, from its origin."""
    return "enqueued" if origin == ENQUEUED else _OF_A_SORT.get(sort_of(origin), "other")
