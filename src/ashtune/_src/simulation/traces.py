"""Traces: the loss and the training time of each trial at each resource.

Traces are read from a table, or from a study's journal (``simulation/recording.py``). A table is an
``.npz`` file with arrays of trials by epochs.
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
from ashtune._src.schedulers.scheduler_protocol import Scheduler

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


class JobTrace(msgspec.Struct, frozen=True, gc=False):
    """The recorded times of one job: seconds of training, and seconds between the order and the
    start of the job.
    """

    seconds: float
    wait: float


class RecordedStudy(msgspec.Struct, frozen=True):
    """The settings with which a study was recorded.

    If ``is_smooth`` is True, a replay with the same choices gives exactly the recorded study. Such
    a study ran in one session to its end. It has no lost workers, no interrupted jobs, and no
    withdrawn, confirming or jointly trained trials. ``scheduler`` is None if unknown.
    """

    scheduler: Scheduler | None
    ladder: Ladder
    workers: int
    is_smooth: bool
    seed: int = 0


class Trace(msgspec.Struct):
    """The recorded losses and times of one trial.

    Args:
        losses: The loss at each resource from 1 to the last recorded resource; inf for a result
            that is not finite.
        ends: The resources at which the training time is known, increasing.
        clock: The seconds of training up to each resource in ``ends``.
        rate: The seconds per unit of resource after the last resource in ``ends``.
        fails: Whether the trial fails after the last recorded resource.
        jobs: (start, target) -> recorded job.
        releases: Resource -> seconds of the recorded release at this resource.
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
        """The trial's last resource with a recorded loss."""
        return len(self.losses)

    def seconds_at(self, resource: int) -> float:
        """Return the seconds of training up to a resource, by linear interpolation."""
        if resource <= 0:
            return 0.0
        place = bisect_left(self.ends, resource)
        low = 0
        before = 0.0
        if place:
            low = self.ends[place - 1]
            before = self.clock[place - 1]
        if place == len(self.ends):
            return before + (resource - low) * self.rate
        return before + (self.clock[place] - before) * (resource - low) / (self.ends[place] - low)

    def seconds(self, start: int, target: int) -> float:
        """Return the seconds of training from the resource ``start`` to the resource ``target``."""
        # If the prediction has the same job as the record, the recorded time is used. A difference
        # of two sums would differ from this time in the last bits, and two results could change
        # their order.
        job = self.jobs.get((start, target))
        return self.seconds_at(target) - self.seconds_at(start) if job is None else job.seconds

    def wait(self, start: int, target: int, usual: float) -> float:
        """Return the recorded wait before this job, or else before a job with the same start. If no
        such wait is recorded, return ``usual``.
        """
        job = self.jobs.get((start, target)) or next(
            (job for at, job in self.jobs.items() if at[0] == start), None
        )
        return usual if job is None else job.wait


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """All times of a study except training times, in seconds.

    ``starts`` lists the times at which workers joined, sorted. ``handover`` is the time between a
    report and the worker's next job. ``save`` is the time to save a checkpoint. ``warmup`` is the
    extra time of a worker's first job.
    """

    starts: tuple[float, ...] = ()
    handover: float = 0.0
    save: float = 0.0
    warmup: float = 0.0

    def start(self, number: int) -> float:
        """Return the time in seconds at which a worker joins. If this time is not recorded, return
        the median of the recorded times.
        """
        if number < len(self.starts):
            return self.starts[number]
        return median(self.starts or [0.0])


class Traces(msgspec.Struct, frozen=True, kw_only=True):
    """The traces of a study's trials, in the order in which the search drew the trials, and the
    study's timing.

    ``recorded`` is None if the traces come from a table. ``saves`` is True if released trials are
    saved. ``goes_on`` is True if a job can continue the trial's last job, from a checkpoint or in
    memory.
    """

    goal: Goal
    trials: Sequence[Trace]
    timing: Timing
    recorded: RecordedStudy | None = None
    saves: bool = True
    goes_on: bool = True

    @property
    def best_loss(self) -> float:
        """The smallest recorded loss of all trials, at any resource."""
        return min((min(trace.losses, default=math.inf) for trace in self.trials), default=math.inf)


def read_table(
    path: Path, goal: Goal, *, values: str = "", times: str = "", epoch_seconds: float = 1.0
) -> Traces:
    """Return the learning curves in a table. Pickled arrays are refused, so that reading a table
    executes no code.

    Args:
        path: The ``.npz`` file.
        values: The name of the array of the metric, shape (trials, epochs); by default the metric's
            name. Indices select a part of an array with more dimensions, as in ``val_accuracy[0]``.
        times: The name of the array of the total seconds of training after each epoch. If a value
            is below an earlier value, it is raised to the earlier value. By default, each epoch
            takes ``epoch_seconds``.
        epoch_seconds: The seconds of each epoch if ``times`` is not given.

    Raises:
        SettingsError: If the file or an array does not exist, or an array has a wrong shape.
    """
    losses = _array(path, values or goal.metric)
    import numpy as np

    clock = None
    if times:
        # Rounded total seconds may decrease a little, and a job with negative seconds would break
        # the simulation.
        clock = np.maximum.accumulate(_array(path, times), axis=1)
        if not (clock.shape == losses.shape and np.isfinite(clock).all() and (clock >= 0).all()):
            raise SettingsError(
                f"{path}: the times {times}, {_shape(clock)}, do not fit a metric of "
                f"{_shape(losses)}; give one time of at least 0 s for each value of the metric"
            )
    if goal.mode == "max":
        losses = -losses
    losses = np.where(np.isfinite(losses), losses, np.inf)
    epochs = list(range(1, losses.shape[1] + 1))
    level = [epoch * epoch_seconds for epoch in epochs]
    trials = []
    for number, row in enumerate(losses):
        seconds = level if clock is None else clock[number].tolist()
        trials.append(Trace(array("d", row.tobytes()), epochs, seconds, seconds[-1] / len(epochs)))
    return Traces(goal=goal, trials=trials, timing=Timing())


def _array(path: Path, wanted: str) -> "Floats":
    import numpy as np

    parts = re.fullmatch(r"([^\[\]]+)((?:\[\d+\])*)", wanted)
    if parts is None:
        raise SettingsError(
            f"{wanted!r} is not the name of an array; give for example val_accuracy or "
            "val_accuracy[0]"
        )
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as table:
            if parts[1] not in table:
                raise SettingsError(
                    f"{path} has no array {parts[1]!r}; it has {', '.join(table.files)}"
                )
            whole: npt.NDArray[Any] = table[parts[1]]
    except SettingsError:
        raise
    except Exception as error:  # noqa: BLE001 - zipfile, zlib and numpy may raise anything for a damaged file
        why = " ".join(str(error).split()) or type(error).__name__
        raise SettingsError(
            f"{path}: not a table of curves ({why}); give an .npz file of numbers"
        ) from None
    indices = tuple(int(index) for index in re.findall(r"\d+", parts[2]))
    try:
        chosen = whole[indices]
    except IndexError as error:
        raise SettingsError(f"{path}: {wanted}: {error}") from None
    if chosen.ndim != 2 or 0 in chosen.shape or chosen.dtype.kind not in "fiu":
        raise SettingsError(
            f"{path}: {wanted} is {_shape(chosen)} of {chosen.dtype}; give an array of numbers, "
            "trials by epochs"
        )
    return np.ascontiguousarray(chosen, dtype=np.float64)


def _shape(numbers: "npt.NDArray[Any]") -> str:
    return " x ".join(map(str, numbers.shape)) or "a single number"
