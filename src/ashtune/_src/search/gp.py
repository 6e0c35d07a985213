"""The options of the search by a Gaussian process. The rules of this search are in
``gp_proposer.py``.
"""

from typing import Annotated

from msgspec import Meta

from ashtune._src.search.mutation import Mutation
from ashtune._src.search.random import random_design
from ashtune._src.search.search_protocol import Design, Proposer, Search
from ashtune._src.space.space import Space

MOST_PRICE = 4.0
# Decision 63 (docs/decisions/0063-wide-ranges-in-logarithms.md).
WIDE = 1000.0
"""The model uses a logarithmic scale for a range of positive numbers if the high end is at least
this many times the low end. The good values of such a range often fill only a thousandth of a
linear scale, and the kernel cannot resolve such a small part.
"""


class GP(Search, frozen=True):
    """Propose configurations with a large expected improvement relative to their training time.

    Args:
        first: How many trials at the start of the study cover the space evenly, without using
            results. Configurations with results from before the study count too.
        random_share: Fraction of the later trials that is random.
        ahead: How many proposals are made in advance when trials have used up the time that they
            may wait. With 0, each trial waits for its own proposal (10 to 25 ms).
        price: The expected improvement of a trial is divided by ``seconds ** price``, where
            ``seconds`` is the trial's training time. With 0 the training time does not count. With
            ``price=0`` and ``ahead=0`` a study on one worker can be reproduced.

    Raises:
        SettingsError: If an option is out of its range.

    Example:
        >>> GP(first=20).has_proposer
        True
    """

    __module__ = "ashtune"

    design_origin = "random"
    is_apart = True

    first: Annotated[int, Meta(ge=1)] = 10
    random_share: Annotated[float, Meta(ge=0, le=1)] = 0.1
    ahead: Annotated[int, Meta(ge=0)] = 2
    price: Annotated[float, Meta(ge=0, le=MOST_PRICE)] = 0.5

    def build(self, space: Space, seed: int) -> Design:
        return random_design(space, seed, covering=self.first)

    def stand_in(self, space: Space, seed: int) -> Proposer:
        """Return a proposer for trials without a ready proposal. Half of the stand-in's proposals
        are mutations.
        """
        return Mutation(random_share=0.5, first=self.first).proposer(space, seed, 1)

    @property
    def most_ahead(self) -> int:
        return self.ahead

    @property
    def first_proposed(self) -> int:
        return self.first

    @property
    def weighs_seconds(self) -> bool:
        return self.price > 0

    def proposer(self, space: Space, seed: int, max_resource: int) -> Proposer:
        # this module imports numpy and scipy
        from ashtune._src.search.gp_proposer import GPProposer

        return GPProposer(
            _with_logarithms(space), seed, max_resource,
            first=self.first, random_share=self.random_share, ahead=self.ahead, price=self.price,
        )  # fmt: skip


def _with_logarithms(space: Space) -> Space:
    """Return a space with the same configurations, in which wide ranges (``WIDE``) have a
    logarithmic scale.
    """

    record = space.to_record()
    columns = []
    for given in record["space"]["hyperparameters"]:
        is_uniform = given["type"].startswith("uniform")
        is_wide = is_uniform and 0 < WIDE * given.get("lower", 0) <= given["upper"]
        columns.append(given | {"log": True} if is_wide else given)
    scaled = {**record, "space": record["space"] | {"hyperparameters": columns}}
    return Space(scaled, space.rules.valid)
