"""Defines the stopping rule ``NotWorthIt``, which ends a search that improves the best result too
slowly.
"""

# Decision 32 (docs/decisions/0032-noise-and-enough.md): the expected gain of the next hour is never
# larger than the gain of the last hour, so no model of future gains is fitted.

import msgspec

HOUR = 3600.0


class NotWorthIt(msgspec.Struct, frozen=True):
    """End the search when it improves the best result too slowly.

    The search ends when the top-rung results of the last hour (``per``) improved the best result by
    less than ``gain``. The improvement must be less than ``gain`` both in the order of arrival and,
    on average, in a random order. The search runs at least until one hour (``per``) is over and ten
    results at the top rung exist.

    Args:
        gain: The least improvement, in units of the metric. By default this is the noise of the
            metric: the standard deviation of a trial's last reports from the trend of its learning
            curve. If trials report too rarely to know the noise, the least gain is a hundredth of
            the distance between the best and the median result.
        per: The period of ``gain``: seconds, or a text such as "10m" or "1h".

    Example:
        >>> def train(trial):
        ...     for epoch in trial.epochs():
        ...         trial.report(loss=trial["x"] / epoch)
        >>> study = tune(
        ...     train,
        ...     {"x": (0.0, 1.0)},
        ...     metric="loss",
        ...     mode="min",
        ...     trials=8,
        ...     max_resource=2,
        ...     quiet=True,
        ...     stop=Stop(stop_when=NotWorthIt(gain=0.001, per="1h")),
        ... )
        >>> study.stopped
        ''
    """

    __module__ = "ashtune"

    gain: float | None = None
    per: float | str = HOUR
