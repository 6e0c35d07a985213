"""Learning curves from a table: an ``.npz`` of arrays, trial by epoch.

Rule: reading executes nothing: pickled arrays are refused.
"""

import re
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ashtune.core.errors import SettingsError
from ashtune.core.jobs import Goal
from ashtune.simulation.traces import Timing, Trace, Traces

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


def read_table(path: Path, goal: Goal, *, values: str = "", times: str = "", epoch_seconds: float = 1.0) -> Traces:
    """Return the curves of a table.

    Args:
        path: The ``.npz`` file.
        goal: The metric, and which way is better.
        values: Which array holds it, trials by epochs, the first epoch first; an index selects of an array with
            more dimensions, as in ``val_accuracy[0]``. By default the array named like the metric.
        times: Which array holds the seconds of training, added up over the epochs; what falls is held level. By
            default an epoch takes ``epoch_seconds``.
        epoch_seconds: See there.

    Raises:
        SettingsError: If there is no such file or array, or its shape does not fit.
    """
    losses = _array(path, values or goal.metric)
    import numpy as np

    clock = None if not times else np.maximum.accumulate(_array(path, times), axis=1)
    if clock is not None and clock.shape != losses.shape:
        raise SettingsError(f"{path}: {times} is {_shape(clock)}, the metric {_shape(losses)}; give the same")
    if clock is not None and not (np.isfinite(clock).all() and (clock >= 0).all()):
        raise SettingsError(f"{path}: {times} holds what is no time; give seconds of at least 0")
    losses = losses if goal.mode == "min" else -losses
    losses = np.where(np.isfinite(losses), losses, np.inf)
    epochs = list(range(1, losses.shape[1] + 1))
    level = [epoch * epoch_seconds for epoch in epochs]
    trials = []
    for number, row in enumerate(losses):
        seconds = level if clock is None else clock[number].tolist()
        trials.append(Trace(array("d", row.tobytes()), epochs, seconds, seconds[-1] / len(epochs)))
    return Traces(goal=goal, trials=trials, timing=Timing())


def _array(path: Path, wanted: str) -> "Floats":
    """Return an array of a table: two dimensions, float."""
    import numpy as np

    parts = re.fullmatch(r"([^\[\]]+)((?:\[\d+\])*)", wanted)
    if parts is None:
        raise SettingsError(f"{wanted!r} names no array; give as in val_accuracy or val_accuracy[0]")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as table:
            if parts[1] not in table:
                raise SettingsError(f"{path} has no array {parts[1]!r}; it has {', '.join(table.files)}")
            whole: npt.NDArray[Any] = table[parts[1]]
    except SettingsError:
        raise
    except Exception as error:  # noqa: BLE001 - zipfile, zlib and numpy raise nearly anything of a damaged file
        why = " ".join(str(error).split()) or type(error).__name__
        raise SettingsError(f"{path}: not a table of curves ({why}); give an .npz file of numbers") from None
    indices = [int(index) for index in re.findall(r"\d+", parts[2])]
    if len(indices) > whole.ndim or any(index >= size for index, size in zip(indices, whole.shape, strict=False)):
        raise SettingsError(f"{path}: {wanted} is outside of {parts[1]}, which is {_shape(whole)}; give less")
    chosen = whole[tuple(indices)]
    if chosen.ndim != 2 or 0 in chosen.shape or chosen.dtype.kind not in "fiu":
        raise SettingsError(f"{path}: {wanted} is {_shape(chosen)} of {chosen.dtype}; give numbers, trials by epochs")
    return np.ascontiguousarray(chosen, dtype=np.float64)


def _shape(numbers: "npt.NDArray[Any]") -> str:
    return " x ".join(map(str, numbers.shape)) or "a single number"
