"""Traces: what is known of each trial's training, its loss and its time by resource.

They come from a table, an ``.npz`` of arrays, trial by epoch; or from a study's journal
(``simulation/recording.py``).
"""

import math
import re
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.jobs import Goal
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.protocol import Scheduler

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


class JobTrace(msgspec.Struct, frozen=True, gc=False):
    """One job: its seconds of training, and those that passed between its order and its beginning."""

    seconds: float
    wait: float


class RecordedStudy(msgspec.Struct, frozen=True):
    """How a study was recorded.

    ``is_smooth``: in one session to its end, no worker lost, no job broken off, no configuration withdrawn, no trials
    trained together, so that a replay of the same is the study itself. ``scheduler`` is None if it is not known.
    """

    scheduler: Scheduler | None
    ladder: Ladder
    workers: int
    is_smooth: bool
    seed: int = 0


class Trace(msgspec.Struct):
    """One trial.

    Args:
        losses: At each resource from 1 to the last known one; inf where there is no finite result.
        ends: Resources at which its time is known, increasing.
        clock: Seconds of training up to each of them, without disturbance.
        rate: Seconds a unit of resource beyond the last of them.
        fails: Whether it fails after what is known.
        jobs: (start, target) -> a job as it was, where it was.
        releases: Resource -> seconds that its release there took, where they are known.
    """

    losses: "array[float]"
    ends: list[int]
    clock: list[float]
    rate: float
    fails: bool = False
    jobs: dict[tuple[int, int], "JobTrace"] = msgspec.field(default_factory=dict)
    releases: dict[int, float] = msgspec.field(default_factory=dict)

    @property
    def known(self) -> int:
        """The resource up to which it is known."""
        return len(self.losses)

    def seconds_at(self, resource: int) -> float:
        """Return the seconds of training from nothing to a resource: in between, in proportion."""
        if resource <= 0:
            return 0.0
        place = bisect_left(self.ends, resource)
        if place == len(self.ends):
            return (self.clock[-1] + (resource - self.ends[-1]) * self.rate) if self.ends else resource * self.rate
        low, before = (self.ends[place - 1], self.clock[place - 1]) if place else (0, 0.0)
        return before + (self.clock[place] - before) * (resource - low) / (self.ends[place] - low)

    def seconds(self, start: int, target: int) -> float:
        """Return the seconds of training from one resource to another."""
        job = self.jobs.get((start, target))
        return self.seconds_at(target) - self.seconds_at(start) if job is None else job.seconds

    def wait(self, start: int, target: int, usual: float) -> float:
        """Return the seconds that pass before a job begins: as it was, or as before another from the same resource."""
        job = self.jobs.get((start, target)) or next((job for at, job in self.jobs.items() if at[0] == start), None)
        return usual if job is None else job.wait


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """What a study's time goes into besides training, in seconds.

    ``starts`` until each worker was there, the first to come first; ``handover`` between a report and the worker's next
    job, ``save`` for a checkpoint, ``warmup`` what a worker's first job takes longer.
    """

    starts: tuple[float, ...] = ()
    handover: float = 0.0
    save: float = 0.0
    warmup: float = 0.0

    def start(self, number: int) -> float:
        """Return when a worker joins, in seconds since the study's start: as recorded, others like the median one."""
        if number < len(self.starts):
            return self.starts[number]
        return median(self.starts) if self.starts else 0.0


class Traces(msgspec.Struct, frozen=True, kw_only=True):
    """The trials that can be trained, in the order in which they are drawn; and what time is lost beside.

    ``recorded`` is how, None if they come from a table. ``saves``: whether released trials are saved;
    ``goes_on``: whether a job goes on from where the one before ended, in place at least.
    """

    goal: Goal
    trials: Sequence[Trace]
    timing: Timing
    recorded: RecordedStudy | None = None
    saves: bool = True
    goes_on: bool = True

    @property
    def best_loss(self) -> float:
        """The best loss that any trial is known to reach, at any resource."""
        return min((min(trace.losses, default=math.inf) for trace in self.trials), default=math.inf)


def read_table(path: Path, goal: Goal, *, values: str = "", times: str = "", epoch_seconds: float = 1.0) -> Traces:
    """Return the curves of a table. Nothing in the file is executed: pickled arrays are refused.

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
    if clock is not None and not (clock.shape == losses.shape and np.isfinite(clock).all() and (clock >= 0).all()):
        raise SettingsError(
            f"{path}: {times}, {_shape(clock)}, is no time for a metric of {_shape(losses)}; give as many seconds, "
            "each at least 0"
        )
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
    indices = tuple(int(index) for index in re.findall(r"\d+", parts[2]))
    try:
        chosen = whole[indices]
    except IndexError as error:
        raise SettingsError(f"{path}: {wanted}: {error}") from None
    if chosen.ndim != 2 or 0 in chosen.shape or chosen.dtype.kind not in "fiu":
        raise SettingsError(f"{path}: {wanted} is {_shape(chosen)} of {chosen.dtype}; give numbers, trials by epochs")
    return np.ascontiguousarray(chosen, dtype=np.float64)


def _shape(numbers: "npt.NDArray[Any]") -> str:
    return " x ".join(map(str, numbers.shape)) or "a single number"
