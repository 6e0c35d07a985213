"""How many of the best configurations of a study are trained once more, and how often each."""

import msgspec

SEEDS = 2
"""How often each is trained once more: ``benchmarks/confirm.py`` compares 1, 2 and 3."""
MOST = 100
"""Configurations, and seeds of each."""


class Confirm(msgspec.Struct, frozen=True):
    """Train the best configurations once more, so that the one that was merely lucky is not named the winner.

    Args:
        best: How many of them, at most 100.
        seeds: How often each, with another ``trial.seed`` each time, at most 100.

    Example:
        >>> def train(trial):
        ...     for epoch in trial.epochs():
        ...         trial.report(loss=trial["x"] + trial.seed / 2**36)
        >>> study = tune(
        ...     train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=8, max_resource=2, quiet=True,
        ...     confirm=Confirm(best=2, seeds=3),
        ... )
        >>> study.best.trial == study.confirmed.trial, len(study.confirmed.values)
        (True, 3)
    """

    best: int
    seeds: int = SEEDS
