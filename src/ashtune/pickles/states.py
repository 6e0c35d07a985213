"""The state dicts of models and optimizers in PyTorch's own format, of which nothing is executed when they are read.

Source: *Serialization semantics* in PyTorch's notes, https://docs.pytorch.org/docs/stable/notes/serialization.html, on
``weights_only``.

Rule: what could not be read as weights only is refused when it is written, with its place.
"""

import io
import pickle
import re
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Protocol

from ashtune.core.errors import ObjectiveError, StudyError
from ashtune.core.plaintext import error_line, shown

BEGINNING = b"PK\x03\x04"
"""How a file of PyTorch begins, which is a zip archive; no pickle does."""
PLAIN = frozenset((type(None), bool, int, float, complex, str, bytes, bytearray))
CONTAINERS = (dict, OrderedDict, Counter, list, tuple, set)
STATES, RANDOM = "states", "random"
NO_WEIGHTS = 200


class States(dict[str, Any]):
    """State dicts by name; ``random`` is the state of the random generators when they were taken."""

    def __init__(self, states: Mapping[str, Any], random: Any) -> None:
        super().__init__(states)
        self.random = random


class Writable(Protocol):
    """What can be written to."""

    def write(self, data: Any) -> int:
        """Write all of ``data``."""


class _Stream:
    """Something that can be written to, as PyTorch wants it."""

    def __init__(self, file: Writable) -> None:
        self.write = file.write

    def flush(self) -> None:
        """Nothing is held back here."""


def dump(states: States, file: Writable) -> None:
    """Write states: their tensors once, from where they are."""
    import torch

    torch.save({STATES: dict(states), RANDOM: states.random}, _Stream(file))


def load(file: BinaryIO, size: int) -> States:
    """Return what was written, its tensors on the CPU. It is in memory twice while it is read.

    Args:
        file: What was written.
        size: Its length in bytes; something else may follow.

    Raises:
        StudyError: If PyTorch is not installed, or the file holds more than weights. Nothing of it is executed.
    """
    try:
        import torch
    except ImportError:
        raise StudyError("the checkpoint holds state dicts of PyTorch; pip install 'ashtune[torch]'") from None
    try:
        read = torch.load(io.BytesIO(file.read(size)), map_location="cpu", weights_only=True)
        return States(read[STATES], read[RANDOM])
    except (pickle.UnpicklingError, RuntimeError, TypeError, KeyError) as error:
        raise StudyError(
            f"the checkpoint is not one of weights only, and nothing of it was executed: {no_weights(error)}"
        ) from None


def no_weights(error: Exception) -> str:
    """Return what PyTorch has found that is no weights, from its many words."""
    found = re.search(r"GLOBAL (\S+)", str(error))
    return error_line(error, NO_WEIGHTS) if found is None else f"it holds {found[1]}"


def check(state: Any, name: str) -> None:
    """Refuse a state that holds anything but tensors, plain values and containers of them. O(entries).

    Args:
        state: Of an object.
        name: Under which it is saved.

    Raises:
        ObjectiveError: If it could not be read as weights only; it says which entry.
    """
    for place, value in _others(state, ""):
        kind = type(value)
        hint = "float(...) makes a plain number of it" if kind.__module__ == "numpy" else "leave it out of state_dict()"
        raise ObjectiveError(
            f"trial.checkpoint({name}=...): its state holds {shown(value)} at {name}{place}, a "
            f"{kind.__module__}.{kind.__qualname__}; only tensors, plain values and containers of them are kept: {hint}"
        )


def _others(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield what is neither a tensor, nor plain, nor a container; with its place."""
    import torch

    kind = type(value)
    if kind in PLAIN or isinstance(value, torch.Tensor | torch.Size | torch.device | torch.dtype):
        return
    if kind not in CONTAINERS:
        yield place, value
        return
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in entries:
        inside = f"{place}[{shown(key)}]"
        if type(key) not in PLAIN:
            yield inside, key
        yield from _others(entry, inside)
