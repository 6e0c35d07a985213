"""The trial, as the training function sees it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.core.jobs import TrialId, derived_seed
from ashtune._src.study.checkpoints import CheckpointWriter
from ashtune._src.training.job import RunningJob
from ashtune._src.training.reports import as_metrics
from ashtune._src.training.stateful import StatefulObjects


class Trial:
    """A configuration to be trained: handed to the training function, which

    1. takes up the model where it was left, or builds it: ``model = trial.restore() or build(trial.config)``;
    2. trains over ``for epoch in trial.epochs()`` and calls ``trial.report(accuracy=...)`` in each;
    3. saves it: ``trial.save(model)``.

    A learner that trains in one go uses ``trial.start`` and ``trial.target`` instead of the loop, and
    reports once, or returns its metrics.

    Example:
        >>> def train(trial):
        ...     weight = trial.restore() or 0.0
        ...     for epoch in trial.epochs():
        ...         weight -= trial["rate"] * 2 * (weight - 3)
        ...         trial.report(loss=(weight - 3) ** 2)
        ...     trial.save(weight)
        >>> study = tune(train, {"rate": (0.01, 0.4)}, metric="loss", mode="min", trials=8, max_resource=4, quiet=True)
        >>> abs(study.best.load() - 3) < 1
        True
    """

    def __init__(
        self,
        number: TrialId,
        config: dict[str, Any],
        job: RunningJob,
        checkpoint: CheckpointWriter,
        objects: StatefulObjects,
    ) -> None:
        self.number = number
        """The number of the trial, from 0."""
        self.config = config
        """The configuration: name -> plain Python value. ``trial[name]`` is short for it."""
        self._job = job
        self._checkpoint = checkpoint
        self._objects = objects
        self._is_asked_for = False

    def __getitem__(self, name: str) -> Any:
        return self.config[name]

    @property
    def start(self) -> int:
        """The resource (epochs, trees, steps) this trial is already trained to; 0 for a new one."""
        return self._job.look_up_start()

    @property
    def target(self) -> int:
        """The resource it is to be trained to now: that of its rung."""
        return self._job.target

    @property
    def max_resource(self) -> int:
        """The resource of the study's top rung: where a schedule of the learning rate is to end, at every rung."""
        return self._job.max_resource

    @property
    def metric(self) -> str:
        """The name of the study's metric; of several the first."""
        return self._job.reports.metric

    @property
    def mode(self) -> str:
        """Which way the study's metric is better: "max" or "min"; of several metrics the first one's."""
        return self._job.reports.mode

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics that the study needs in a report: of its objectives and constraints."""
        return self._job.reports.needed

    @property
    def seed(self) -> int:
        """A seed of this trial's own, below 2**32, the same whenever and wherever it runs."""
        return derived_seed(self._job.study_seed, self.number)

    def epochs(self) -> Iterator[int]:
        """Yield the epochs to train: 1-based, from ``start + 1`` to ``target`` inclusive.

        At the target the report decides: promoted at once, the loop simply goes on, with nothing
        saved or loaded. Otherwise it ends; save the model after it.
        """
        epoch, loop = self._job.start, self._job.begin_loop()
        while self._job.may_go_on(loop, epoch):
            epoch += 1
            yield epoch
        if self._job.has_trained_in_loop:
            self._objects.save()

    def report(self, result: Mapping[str, Any] | float | None = None, /, **metrics: Any) -> None:
        """Report metrics of the current epoch.

        ``trial.report(accuracy=0.9, loss=0.3)``, ``trial.report({"accuracy": 0.9, "loss": 0.3})`` and, for the
        study's metric alone, ``trial.report(0.9)`` are the same.

        Outside of :meth:`epochs` one report is of the target; as many as there are epochs from ``start`` to
        ``target`` are one of each.

        Args:
            result: All metrics as a dict, or the study's metric as a number.
            metrics: Numbers by name; the study's metric must be among them.

        Raises:
            ObjectiveError: If it is not, or a value is not a number, or the report is of no epoch that was asked for.
        """
        self._job.report_from(as_metrics(result, metrics, self.metrics))

    def stop(self) -> None:
        """End this trial early, on purpose: the loop ends at its next turn, and the last report is its result.

        That ranks like any other result of its rung. The trial is never trained again.

        Raises:
            ObjectiveError: If the loop has ended already.
        """
        self._job.stop()

    @property
    def needs_checkpoint(self) -> bool:
        """Whether what is saved now may be of use.

        False once no promotion can reach this trial any more and it is not the best of its rung.
        """
        return self._job.may_save()

    def checkpoint(self, **objects: Any) -> int:
        """Keep modules, optimizers and schedules of PyTorch: take them up now, and save them when training ends.

        Call it once, before the loop, when they are built. Each gets the state that it had when this trial was left,
        and so do the random generators of Python, numpy and PyTorch: the trial goes on as if it had never been left.
        Their states are saved when the loop over :meth:`epochs` ends; without a report in it, when this function ends.
        Of a trial that does not need it (:attr:`needs_checkpoint`) nothing is saved.

        What is saved are tensors and plain values, which are read as weights only: nothing in them is executed.

        Args:
            objects: By name, whatever has ``state_dict`` and ``load_state_dict``; or a ``torch.Generator``.

        Returns:
            The resource that they are trained to, which is :attr:`start`; 0 for a new trial.

        Raises:
            ObjectiveError: If an object has no state that can be kept so, or others were saved.
            StudyError: If what was saved holds more than weights, or this PyTorch is older than 2.6.

        Example:
            >>> import torch
            >>> def train(trial):
            ...     torch.manual_seed(trial.seed)
            ...     model = torch.nn.Linear(1, 1)
            ...     optimizer = torch.optim.SGD(model.parameters(), trial["rate"])
            ...     trial.checkpoint(model=model, optimizer=optimizer)
            ...     for epoch in trial.epochs():
            ...         loss = (model(torch.ones(1, 1)) - 3).square().mean()
            ...         optimizer.zero_grad()
            ...         loss.backward()
            ...         optimizer.step()
            ...         trial.report(loss=loss.item())
            >>> space = {"rate": (0.01, 0.4)}
            >>> study = tune(train, space, metric="loss", mode="min", trials=4, max_resource=3, quiet=True)
            >>> list(study.best.load())
            ['model', 'optimizer']
        """
        self._objects.keep(objects)
        return self._job.start

    def save(self, state: object) -> None:
        """Save an object (pickled by cloudpickle) for the next time this trial is trained.

        Of a trial that does not need it (:attr:`needs_checkpoint`) nothing is written.

        Raises:
            ObjectiveError: If :meth:`checkpoint` saves this trial already.
        """
        if self._objects:
            raise ObjectiveError("trial.save() and trial.checkpoint() both save this trial; use one of them")
        if self.needs_checkpoint:
            self._checkpoint.save(state)

    def restore(self) -> Any:
        """Return what :meth:`save` saved, or None for a new trial; of :meth:`checkpoint` the state dicts by name."""
        self._job.take_up()
        return self._checkpoint.restore()

    @property
    def checkpoint_dir(self) -> Path:
        """A folder for your own files instead of :meth:`save`; what you left there last time is in it."""
        self._job.take_up()
        return self._checkpoint.directory()


_current: ContextVar[Trial | None] = ContextVar("ashtune_trial", default=None)
"""A context variable, so threads that each train a trial have one each."""


def current_trial() -> Trial | None:
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
    trial = _current.get()
    if trial is not None:
        trial._is_asked_for = True
    return trial


def is_asked_for() -> bool:
    """Whether the training function that runs here has asked for its trial."""
    trial = _current.get()
    return trial is not None and trial._is_asked_for


@contextmanager
def being_trained(trial: Trial) -> Iterator[None]:
    """Within it a trial is the current one."""
    token = _current.set(trial)
    try:
        yield
    finally:
        _current.reset(token)
