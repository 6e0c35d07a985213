"""What a task is."""

from collections.abc import Mapping
from typing import Any, ClassVar


class Task:
    """Something to tune: the base class of all tasks.

    Attributes:
        space: By name: ``(low, high)``, ``(low, high, "log")``, or a list of choices.
        top: The resource of a full training.
        loss: What the losses are, with their unit.
    """

    space: ClassVar[Mapping[str, Any]]
    top: int
    loss: str

    def train(self, configuration: Mapping[str, Any], state: Any, start: int, target: int) -> Any:
        """Train from one resource to another.

        Args:
            configuration: The hyperparameters.
            state: What training to ``start`` returned; None if that is 0. It may be changed.
            start: The resource that it is trained to.
            target: The resource that it is to be trained to.

        Returns:
            The state at ``target``: it can be pickled, and holds no data.
        """
        raise NotImplementedError

    def losses(self, state: Any) -> tuple[float, float]:
        """Return the validation and the test loss of a state, smaller is better."""
        raise NotImplementedError
