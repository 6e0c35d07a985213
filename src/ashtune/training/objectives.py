"""What a training function may be besides something to call: it may check a space, and name what it is made of."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class ChecksSpace(Protocol):
    """A training function that can say before the study begins whether it fits the space."""

    def check(self, names: Sequence[str]) -> None:
        """Refuse what does not fit.

        Args:
            names: Of the hyperparameters.

        Raises:
            AshtuneError: If it does not.
        """


@runtime_checkable
class HasVersionParts(Protocol):
    """A training function that is made of more, or of less, than its attributes."""

    def version_parts(self) -> Mapping[str, Any]:
        """Return what makes its results what they are, by name."""
