"""Schedules of the learning rate that have a length: those of a trial that goes on have the one that was saved.

Source: ``state_dict`` and ``load_state_dict`` of ``torch.optim.lr_scheduler``: a state holds the length beside the
position, so that a schedule that takes it up has the length of then, whatever it was made with.
"""

from collections.abc import Mapping
from typing import Any

LENGTHS = ("T_max", "T_0", "step_size", "total_steps", "total_iters", "milestones", "_milestones")
"""What PyTorch calls them."""
INNER = "_schedulers"
"""The states of the schedules that one is made of."""


def change_of_length(saved: Any, made: Any) -> str:
    """Return how a schedule was made otherwise than the one that was saved; nothing if its length is the same.

    Args:
        saved: The state that was saved.
        made: That of the schedule that is to take it up, or of any other object: it has no length then.
    """
    if not isinstance(saved, Mapping) or not isinstance(made, Mapping):
        return ""
    if "last_epoch" not in made and INNER not in made:  # a ChainedScheduler has no position of its own
        return ""
    for name in LENGTHS:
        if name in saved and name in made and saved[name] != made[name]:
            return (
                f"was trained with a schedule of {name}={_length(saved[name])}, which cannot become one of "
                f"{_length(made[name])}; make it as it was, or begin a new study, with warm_start if max_resource is "
                "another"
            )
    inner = zip(_inner(saved), _inner(made), strict=False)
    return next(filter(None, (change_of_length(*both) for both in inner)), "")


def _inner(state: Mapping[str, Any]) -> list[Any]:
    inner = state.get(INNER, [])
    return inner if isinstance(inner, list) else []


def _length(value: Any) -> Any:
    return sorted(value) if isinstance(value, Mapping) else value
