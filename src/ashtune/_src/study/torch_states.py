"""Writes and reads state dicts of models and optimizers in PyTorch's own format. Reading executes
no code.

Source: *Serialization semantics* in PyTorch's notes,
https://docs.pytorch.org/docs/stable/notes/serialization.html, on ``weights_only``.

Rule: no value is written that ``weights_only`` cannot read. The error message names the place of
such a value.
"""

import io
import re
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from ashtune._src.core.errors import ObjectiveError, StudyError
from ashtune._src.core.plaintext import error_line, shown

if TYPE_CHECKING:
    from ashtune._src.pickles.pickler import Writable

BEGINNING = b"PK\x03\x04"
"""The first bytes of a PyTorch file, which is a zip archive. No pickle begins with these bytes."""
PLAIN = frozenset((type(None), bool, int, float, complex, str, bytes, bytearray))
CONTAINERS = (dict, OrderedDict, Counter, list, tuple, set)
STATES = "states"
RANDOM = "random"
NO_WEIGHTS = 200
OLDEST = (2, 6)
"""The first PyTorch version whose ``weights_only`` executes no code: CVE-2025-32434."""


class States(dict[str, Any]):
    """Maps names to state dicts. ``random`` is the state of the random generators at the time when
    the state dicts were made.
    """

    def __init__(self, states: Mapping[str, Any], random: Any) -> None:
        super().__init__(states)
        self.random = random


class _WatchedFile:
    """A writable file for PyTorch. The file stores the disk's first error, which PyTorch would
    lose.
    """

    def __init__(self, file: "Writable") -> None:
        self._file = file
        self.refused: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of ``data``."""
        try:
            return self._file.write(data)
        except OSError as error:
            self.refused = self.refused or error
            raise

    def flush(self) -> None:
        """Do nothing, since nothing is buffered."""


def dump(states: States, file: "Writable") -> None:
    """Write states to a file."""
    import torch

    stream = _WatchedFile(file)
    try:
        torch.save({STATES: dict(states), RANDOM: states.random}, stream)
    except Exception:
        if stream.refused is None:
            raise
    if stream.refused is not None:
        raise stream.refused


def load(file: BinaryIO, size: int) -> States:
    """Return the states in ``size`` bytes of a file, with tensors on the CPU. Loading takes twice
    ``size`` of memory.

    Raises:
        StudyError: If PyTorch is not installed or too old, or the file contains values of other
            types. No code is executed.
    """
    read = read_weights(io.BytesIO(file.read(size)))
    if not isinstance(read, dict) or not isinstance(read.get(STATES), dict) or RANDOM not in read:
        raise StudyError("the checkpoint has no named state dicts; save it with trial.checkpoint()")
    return States(read[STATES], read[RANDOM])


def read_weights(file: BinaryIO) -> Any:
    """Return the tensors and plain values in a PyTorch file, with tensors on the CPU.

    Raises:
        StudyError: If PyTorch is not installed or too old, or the file contains values of other
            types. No code is executed.
    """
    check_version()
    import torch

    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a file from elsewhere may break PyTorch's reader in any way
        raise StudyError(
            "the checkpoint contains more than weights (none of its code was executed): "
            f"{no_weights(error)}"
        ) from None


def check_version() -> None:
    """Raise ``StudyError`` if PyTorch is missing, or if its ``weights_only`` executes code."""
    version = "none"
    with suppress(ImportError):
        import torch

        version = torch.__version__
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST:
        raise StudyError(
            f"the checkpoint has state dicts, but PyTorch {version} may execute code from a "
            "checkpoint (CVE-2025-32434); install 2.6 or newer: pip install 'ashtune[torch]'"
        )


def no_weights(error: Exception) -> str:
    """Return a short form of PyTorch's error message, with the class that is not allowed in a file
    of weights.
    """
    found = re.search(r"GLOBAL (\S+)", str(error))
    return error_line(error, NO_WEIGHTS) if found is None else f"it contains {found[1]}"


def check(state: Any, name: str) -> None:
    """Raise an error if a state contains a value that is no tensor, plain value or container.
    O(entries).

    Raises:
        ObjectiveError: If ``weights_only`` could not read the state. The message names the entry.
    """
    for place, value in _others(state, ""):
        kind = type(value)
        advice = "leave it out of state_dict()"
        if kind.__module__ == "numpy":
            advice = "convert it to a plain number with float(...)"
        raise ObjectiveError(
            f"trial.checkpoint({name}=...): its state contains {shown(value)} at {name}{place}, a "
            f"{kind.__module__}.{kind.__qualname__}; only tensors, plain values and containers of "
            f"them can be saved; {advice}"
        )


def _is_plain(value: Any) -> bool:
    # ``weights_only`` cannot read b""
    return type(value) in PLAIN and (type(value) is not bytes or bool(value))


def _others(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield the place and value of each entry that is no tensor, plain value or container."""
    import torch

    kind = type(value)
    if _is_plain(value) or kind in (
        torch.Tensor,
        torch.nn.Parameter,
        torch.Size,
        torch.device,
        torch.dtype,
    ):
        return  # ``weights_only`` reads no subclass of Tensor
    if kind not in CONTAINERS:
        yield place, value
        return
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in entries:
        inside = f"{place}[{shown(key)}]"
        if not _is_plain(key):
            yield inside, key
        yield from _others(entry, inside)
