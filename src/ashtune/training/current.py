"""The trial that is trained now, for code that it is not handed to, as where a framework calls the user's function.

Rule: it is a context variable, so threads that each train a trial have one each.
"""

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ashtune.training.trial import Trial


class Running:
    """A trial that is trained now, and whether its training function has asked for it."""

    __slots__ = ("is_asked_for", "trial")

    def __init__(self, trial: "Trial") -> None:
        self.trial = trial
        self.is_asked_for = False


_running: ContextVar[Running | None] = ContextVar("ashtune_running", default=None)


def current_trial() -> "Trial | None":
    """Return the trial that is trained here now; None outside of a training function.

    It is None in a function for :func:`fused` too, which trains many trials at a time.

    For code that the trial is not handed to. A function that also runs without ashtune asks whether there is one. Hand
    the trial to threads that training starts: most Pythons do not.

    Example:
        >>> def fit(x):
        ...     trial = current_trial()
        ...     for epoch in trial.epochs() if trial else range(1, 10):
        ...         loss = (x - 0.5) ** 2 / epoch
        ...         if trial:
        ...             trial.report(loss=loss)
        ...     return loss
        >>> round(fit(0.2), 3)
        0.01
        >>> def train(trial):
        ...     return fit(trial["x"])
        >>> study = tune(train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=8, max_resource=9, quiet=True)
        >>> study.best.resource
        9
    """
    running = _running.get()
    if running is None:
        return None
    running.is_asked_for = True
    return running.trial


def is_asked_for() -> bool:
    """Whether the training function that runs here has asked for its trial."""
    running = _running.get()
    return running is not None and running.is_asked_for


def begin(trial: "Trial") -> Running | None:
    """A training function begins to train a trial; return what :func:`end` is to be given."""
    before = _running.get()
    _running.set(Running(trial))
    return before


def end(before: Running | None) -> None:
    """The training function has ended."""
    _running.set(before)
