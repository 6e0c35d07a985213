"""What every search offers.

A *search* is a value: a small frozen struct with options, as :class:`~ashtune.search.random.Random`. It makes a
*design*, a numbered sequence of configurations.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from ashtune.core.parts import Part

if TYPE_CHECKING:
    from ashtune.search.space import Space


class Design(Protocol):
    """A numbered sequence of configurations.

    ``configuration`` is a pure function: asked twice, or in any order, or by a resumed study, a
    trial's number gives the same configuration.
    """

    @property
    def size(self) -> int | None:
        """The number of trials this design can give; None when it never ends."""

    def configuration(self, trial: int) -> dict[str, object]:
        """Return the configuration of one trial.

        Args:
            trial: The trial's number, from 0.

        Returns:
            The active hyperparameters by name, as plain Python values; inactive ones are absent.
            The dict is the caller's own: changing it changes nothing here.

        Raises:
            IndexError: If ``trial`` is not in ``range(size)``.
        """

    def find(self, configuration: Mapping[str, object]) -> int | None:
        """Return the trial that has a configuration of the space; None if none has, or the design never ends."""


class Search(Part, frozen=True):
    """A search as a value: the base class of all of them.

    A subclass is frozen, has its options as fields, and makes its design in :meth:`build`. It is stored in the study's
    journal by the name in :mod:`ashtune.core.parts`.
    """

    def build(self, space: "Space", seed: int) -> Design:
        """Return the design: which configuration each trial has.

        Args:
            space: Where configurations come from.
            seed: At least 0. The design is a pure function of the space, the seed and the options.

        Raises:
            SpaceError: If the space does not suit this search.
        """
        raise NotImplementedError


def refuse_outside(trial: int, size: int | None) -> None:
    """Raise IndexError unless ``trial`` is in ``range(size)``; a size of None has no end."""
    if trial < 0 or (size is not None and trial >= size):
        raise IndexError(f"trial {trial} is not among the {'endless' if size is None else size} trials")
