"""What a world is."""

from collections.abc import Mapping
from typing import Any, Protocol

from ashtune._src.core.jobs import TrialId
from ashtune._src.space.space import Space


class Run(Protocol):
    """One study in a world. A recorded world remembers which rows its trials have taken."""

    def train(
        self, trial: TrialId, configuration: Mapping[str, Any], start: int, target: int
    ) -> tuple[float, float]:
        """Return the loss that a trial reports at an epoch, infinite if it fails, and the seconds
        from the start.
        """

    def regret(self, trial: TrialId, configuration: Mapping[str, Any]) -> float:
        """Return how far the true final loss is from the best known, where the median configuration
        has 1.
        """


class World(Protocol):
    """A tuning problem.

    Attributes:
        name: The name in tables.
        space: The hyperparameters.
        top: The epochs of a full training.
        full_training: The seconds of a full training, by the median configuration.
    """

    name: str
    space: Space
    top: int

    @property
    def full_training(self) -> float: ...

    def begin(self, seed: int) -> Run:
        """Begin a study; the seed decides the noise and the failures."""
