"""``NotWorthIt``: the gain in a time below which a search ends."""

import msgspec

HOUR = 3600.0


class NotWorthIt(msgspec.Struct, frozen=True):
    """End the search when it brings too little.

    It ends when the results at the top rung of the last hour (``per``) made the best result better by less than
    ``gain``, both as they came and in a random order, which is at least what the next hour can be expected to bring.
    Nothing is judged before an hour, and ten results at the top rung.

    Args:
        gain: What the best result has to gain, in units of the metric. By default the noise: the standard deviation of
            the last reports of a training about its curve; a hundredth of the distance from the best to the median
            result where trials report too seldom for that.
        per: In which time: seconds, or as in "10m", "1h".

    Example:
        >>> def train(trial):
        ...     for epoch in trial.epochs():
        ...         trial.report(loss=trial["x"] / epoch)
        >>> study = tune(
        ...     train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=8, max_resource=2, quiet=True,
        ...     stop=Stop(stop_when=NotWorthIt(gain=0.001, per="1h")),
        ... )
        >>> study.stopped
        ''
    """

    gain: float | None = None
    per: float | str = HOUR
