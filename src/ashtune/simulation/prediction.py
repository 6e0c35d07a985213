"""What a simulation says that a study would have taken."""

import msgspec


class Span(msgspec.Struct, frozen=True):
    """A predicted figure: the likeliest, and the lowest and highest over replays with other luck and continuations."""

    likely: float
    low: float
    high: float


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What a study would have taken.

    ``wall_seconds`` from its start to its end; ``first_seconds`` until the first trial was trained to the top, None if
    none is. ``speed_up`` is against one worker with the same scheduler, ladder and trials, ``efficiency`` that by the
    number of workers. ``continued`` is the share of the trained epochs that the recorded study does not know, so that
    curves had to be continued. ``best`` is the metric of the best trial at the highest rung, None if all failed.
    """

    scheduler: str
    reduction_factor: str
    workers: int
    trials: int
    wall_seconds: Span
    first_seconds: float | None
    speed_up: float
    efficiency: float
    utilisation: float
    epochs: int
    continued: float
    best: Span | None
    is_as_recorded: bool = False

    @property
    def worker_hours(self) -> float:
        """Hours of all workers, from the start to the end of the study."""
        return self.workers * self.wall_seconds.likely / 3600
