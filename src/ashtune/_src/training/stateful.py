"""``trial.checkpoint(model=..., optimizer=...)``: saves PyTorch objects and the random generators.

The objects are saved when the loop over the epochs ends, in the state that the next epoch would
need. If the loop ends without a report, another loop may be the training loop, so the objects are
saved when the function ends.
"""

import random
import sys
from collections.abc import Mapping
from typing import Any

from ashtune._src.core.errors import ObjectiveError, StudyError
from ashtune._src.core.plaintext import error_line, shown
from ashtune._src.study.checkpoints import CheckpointWriter
from ashtune._src.study.torch_states import States, check, check_version, dump
from ashtune._src.training.job import RunningJob

WORDS = 624
"""The number of words of a Mersenne Twister.

NumPy does not check the position in the words. With a wrong position, NumPy would read beyond the
last word.
"""
LENGTHS = ("T_max", "T_0", "step_size", "total_steps", "total_iters", "milestones", "_milestones")
"""PyTorch's names for the length of a learning rate schedule."""
INNER = "_schedulers"
"""PyTorch's name for the states of the schedules inside a schedule."""


class StatefulObjects:
    """The objects of one job, and the checkpoint to which the objects are saved."""

    def __init__(self, job: RunningJob, checkpoint: CheckpointWriter) -> None:
        self._job = job
        self._checkpoint = checkpoint
        self._objects: Mapping[str, Any] = {}
        self._is_saved = False

    def __bool__(self) -> bool:
        return bool(self._objects)

    def keep(self, objects: Mapping[str, Any]) -> None:
        """Restore the saved states of objects, and save the objects when training ends.

        Raises:
            ObjectiveError: If the objects cannot be saved, or differ from the saved objects.
        """
        if self._objects:
            raise ObjectiveError(
                "trial.checkpoint() was called a second time; pass all objects in one call"
            )
        if self._checkpoint.has_begun:
            raise ObjectiveError(
                "trial.checkpoint() would overwrite what trial.save() has saved; use one of them"
            )
        if not objects:
            raise ObjectiveError(
                "trial.checkpoint() got no object; write trial.checkpoint(model=model)"
            )
        for name, stateful in objects.items():
            _check(name, stateful)
        self._job.mark_restored()
        if self._job.start:
            self._restore(objects)
        self._objects = objects

    def _restore(self, objects: Mapping[str, Any]) -> None:
        # A pickle is refused, because reading it would execute code.
        saved = self._checkpoint.restore(lambda _: None)
        trial = self._job.trial
        if not isinstance(saved, States):
            raise ObjectiveError(
                f"trial {trial} was not saved by trial.checkpoint(); restore it in the way it was "
                "saved, by trial.restore() or from trial.checkpoint_dir"
            )
        if saved.keys() != objects.keys():
            raise ObjectiveError(
                f"trial.checkpoint() got {', '.join(objects)}, but trial {trial} has saved "
                f"{', '.join(saved)}; use the same names"
            )
        for name, stateful in objects.items():
            if hasattr(stateful, "state_dict"):
                change = change_of_length(saved[name], stateful.state_dict())
                if change:
                    raise ObjectiveError(f"trial.checkpoint({name}=...): trial {trial} {change}")
            # A torch.Generator has set_state in place of load_state_dict.
            set_state = getattr(stateful, "load_state_dict", None) or stateful.set_state
            set_state(saved[name])
        set_random_states(saved.random)

    def save(self) -> None:
        """Save the objects, unless they are already saved. If the file cannot be written, no
        exception is raised.

        Raises:
            ObjectiveError: If a state could not be read as weights only.
        """
        if not self._objects or self._is_saved or not self._job.may_save():
            return

        states = {name: _state_of(stateful) for name, stateful in self._objects.items()}
        for name, state in states.items():
            check(state, name)
        self._checkpoint.save(States(states, random_states()), dump)
        self._is_saved = True

    def reopen(self) -> None:
        """Let :meth:`save` save the objects again, because training continues."""
        self._is_saved = False

    def forget(self) -> None:
        """Forget the objects, because training starts again from 0."""
        self._objects = {}
        self._is_saved = False


def _state_of(stateful: Any) -> Any:
    return stateful.state_dict() if hasattr(stateful, "state_dict") else stateful.get_state()


def _check(name: str, stateful: Any) -> None:
    """Raise an error if an object has no state, or a state that a checkpoint cannot restore."""
    import torch

    check_version()
    has_state = hasattr(stateful, "state_dict") and hasattr(stateful, "load_state_dict")
    if not (has_state or isinstance(stateful, torch.Generator)) or isinstance(stateful, type):
        raise ObjectiveError(
            f"trial.checkpoint({name}={shown(stateful)}): this object has no state_dict and "
            "load_state_dict; pass an object that has both, or save it with trial.save"
        )
    check(_state_of(stateful), name)


def random_states() -> dict[str, Any]:
    """Return the states of the random generators that training uses, as plain values and tensors.

    The random generators are those of Python, NumPy and, if imported, PyTorch (CPU, and GPUs in
    use). A trial that continues in another process therefore draws the same random numbers, for
    instance for the order of batches. With the engine ``threads``, all trials share the random
    generators of the process.
    """
    import numpy as np

    states = {"python": random.getstate(), "numpy": _plain(np.random.get_state(legacy=False))}
    torch = sys.modules.get("torch")
    if torch is not None:
        states["torch"] = torch.get_rng_state()
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def set_random_states(states: Mapping[str, Any]) -> None:
    """Set the states of the random generators. The states of GPUs that are missing now are skipped.

    Raises:
        StudyError: If the states are invalid.
    """
    try:
        _set(states)
    except Exception as error:  # noqa: BLE001 - a file from elsewhere may hold anything
        raise StudyError(
            f"the random generators' states in the checkpoint cannot be restored: "
            f"{error_line(error)}"
        ) from None


def _set(states: Mapping[str, Any]) -> None:
    import numpy as np

    position = states["numpy"]["state"].get("pos", 0)
    if not 0 <= position <= WORDS:
        raise ValueError(f"NumPy's position {position} is not from 0 to {WORDS}")
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    if "torch" not in states:
        return
    import torch

    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available():
        for device, state in enumerate(states.get("cuda", ())[: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, device)


def _plain(value: Any) -> Any:
    import numpy as np

    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def change_of_length(saved: Any, made: Any) -> str:
    """Return a text about the difference between the length of a learning rate schedule and the
    saved length. If there is no difference, return an empty string.

    A state of a ``torch.optim.lr_scheduler`` contains the schedule's length, so a schedule that
    loads a state also gets the saved length. Objects other than schedules have no length.
    """
    if not isinstance(saved, Mapping) or not isinstance(made, Mapping):
        return ""
    # A ChainedScheduler has no last_epoch, only the states of its inner schedules.
    if "last_epoch" not in made and INNER not in made:
        return ""
    for name in LENGTHS:
        if name in saved and name in made and saved[name] != made[name]:
            return (
                f"was trained with a schedule of {name}={saved[name]}, not {made[name]}; keep the "
                "value, or start a new study (warm_start= takes over the results)"
            )
    inner = zip(saved.get(INNER, ()), made.get(INNER, ()), strict=False)
    return next(filter(None, (change_of_length(*both) for both in inner)), "")
