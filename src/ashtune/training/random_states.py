"""The random generators that training draws from, as plain values and tensors: of Python, numpy and PyTorch.

A trial that goes on elsewhere draws what it would have drawn: the order of its batches, its dropout, its noise. The
generators are those of the process: engine ``threads`` has one set for all of its trials.
"""

import random
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from ashtune.core.errors import StudyError
from ashtune.core.plaintext import error_line

WORDS = 624
"""Of a Mersenne Twister. Numpy does not check the position in them, and would read beyond."""


def random_states() -> dict[str, Any]:
    """Return their states; of PyTorch, if it is imported, those of the CPU, and of the GPUs if they are in use."""
    states = {"python": random.getstate(), "numpy": _plain(np.random.get_state(legacy=False))}
    if (torch := sys.modules.get("torch")) is not None:
        states["torch"] = torch.get_rng_state()
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def set_random_states(states: Mapping[str, Any]) -> None:
    """Let them go on from these states; GPUs that are not here any more are left out.

    Raises:
        StudyError: If they are none.
    """
    try:
        _set(states)
    except Exception as error:  # noqa: BLE001 - a file from elsewhere may hold anything
        raise StudyError(
            f"the checkpoint holds no states of random generators that could be set: {error_line(error)}"
        ) from None


def _set(states: Mapping[str, Any]) -> None:
    position = states["numpy"]["state"].get("pos", 0)
    if not 0 <= position <= WORDS:
        raise ValueError(f"numpy's is at {position} of {WORDS}")
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
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
