"""What every search offers."""

from collections.abc import Mapping
from typing import Protocol


class Search(Protocol):
    """A numbered sequence of configurations.

    ``configuration`` is a pure function: asked twice, or in any order, or by a resumed study, a
    trial's number gives the same configuration.
    """

    @property
    def size(self) -> int | None:
        """The number of trials this search can give; None when it never ends."""

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


class Indexed(Search, Protocol):
    """A search that can be asked the other way round."""

    def find(self, configuration: Mapping[str, object]) -> int | None:
        """Return the trial that has a configuration of the space; None if none has, or the search never ends."""


def refuse_outside(trial: int, size: int | None) -> None:
    """Raise IndexError unless ``trial`` is in ``range(size)``; a size of None has no end."""
    if trial < 0 or (size is not None and trial >= size):
        raise IndexError(f"trial {trial} is not among the {'endless' if size is None else size} trials")
