"""The trial that is passed to the training function."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.core.jobs import TrialId, derived_seed
from ashtune._src.core.plaintext import instead_of, shown
from ashtune._src.study.checkpoints import CheckpointWriter
from ashtune._src.training.job import RunningJob
from ashtune._src.training.ranks_of_trial import Ranks
from ashtune._src.training.reports import NoSuchAttribute, NoSuchHyperparameter, as_metrics
from ashtune._src.training.stateful import StatefulObjects


class FixedConfig(dict[str, Any]):
    """A configuration that cannot be changed, because its values are in the journal. Copies of it
    can be changed.
    """

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise ObjectiveError(
            "trial.config cannot be changed; change a copy: config = dict(trial.config)"
        )

    __setitem__ = __delitem__ = __ior__ = update = setdefault = pop = popitem = clear = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        # torch.load(weights_only=True) accepts no other subclass of dict.
        return OrderedDict, (), None, None, iter(self.items())


class Trial:
    """A configuration to train. It is passed to the training function, which

    1. restores the model, or builds a new one: ``model = trial.restore() or build(trial.config)``;
    2. trains over ``for epoch in trial.epochs()`` and calls ``trial.report(accuracy=...)`` in each
       epoch;
    3. saves the model: ``trial.save(model)``.

    A learner that trains with a single call uses ``trial.start`` and ``trial.target`` instead of
    the loop, and reports once, or returns its metrics.

    Example:
        >>> def train(trial):
        ...     weight = trial.restore() or 0.0
        ...     for epoch in trial.epochs():
        ...         weight -= trial["rate"] * 2 * (weight - 3)
        ...         trial.report(loss=(weight - 3) ** 2)
        ...     trial.save(weight)
        >>> study = tune(
        ...     train,
        ...     {"rate": (0.01, 0.4)},
        ...     metric="loss",
        ...     mode="min",
        ...     trials=8,
        ...     max_resource=4,
        ...     quiet=True,
        ... )
        >>> abs(study.best.load() - 3) < 1
        True
    """

    __module__ = "ashtune"

    def __init__(
        self,
        number: TrialId,
        config: dict[str, Any],
        job: RunningJob,
        checkpoint: CheckpointWriter,
        objects: StatefulObjects,
        *,
        ranks: Ranks | None = None,
    ) -> None:
        self.number = number
        """The number of the trial, from 0."""
        self.config: Mapping[str, Any] = FixedConfig(config)
        """The configuration: name -> plain Python value. It cannot be changed. ``trial[name]`` is a
        short form.
        """
        self._job = job
        self._checkpoint = checkpoint
        self._objects = objects
        self._ranks = ranks or Ranks()
        self._is_asked_for = False

    def __getitem__(self, name: str) -> Any:
        if name not in self.config:
            raise NoSuchHyperparameter(
                f"the configuration of this trial has no {shown(name)}; "
                f"{instead_of(name, self.config)}; if a condition can make {shown(name)} inactive, "
                f"use trial.config.get({shown(name)})"
            )
        return self.config[name]

    # This method is hidden from type checkers, so that they refuse unknown attributes.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            if name in self.config:
                advice = f"did you mean trial[{name!r}]?"
            elif name.startswith("suggest_"):
                advice = (
                    f"give the space to tune(), and read trial[{next(iter(self.config), 'lr')!r}]"
                )
            else:
                known = [each for each in dir(self) if not each.startswith("_")]
                advice = _OPTUNAS.get(name) or instead_of(name, known)
            raise NoSuchAttribute(f"a trial has no attribute {name}; {advice}")

    @property
    def start(self) -> int:
        """The resource (epochs, trees, steps) up to which this trial is already trained; 0 for a
        new trial.
        """
        return self._job.look_up_start()

    @property
    def target(self) -> int:
        """The resource up to which the trial must be trained now, which is the resource of its
        rung.
        """
        return self._job.target

    @property
    def max_resource(self) -> int:
        """The resource of the study's top rung. Let learning rate schedules end at the top rung,
        not at ``target``.
        """
        return self._job.max_resource

    @property
    def metric(self) -> str:
        """The name of the study's metric, or of the first metric if there are several."""
        return self._job.reports.metric

    @property
    def mode(self) -> str:
        """The mode, "max" or "min", of the study's metric, or of the first metric if there are
        several.
        """
        return self._job.reports.mode

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics that a report needs: the metrics of the study's objectives and
        constraints.
        """
        return self._job.reports.needed

    @property
    def seed(self) -> int:
        """A seed for this trial, below 2**32, which is the same in every job of the trial."""
        return derived_seed(self._job.study_seed, self.number)

    @property
    def rank(self) -> int:
        """The rank of this process among the processes that train this trial, from 0. Rank 0
        reports and decides.

        The training function runs in each rank, with the same configuration and seed.
        :meth:`epochs` ends at the same epoch in all ranks. The study uses only the reports of rank
        0.
        """
        return self._ranks.rank

    @property
    def world_size(self) -> int:
        """The number of processes that train this trial: ``processes_per_trial``, or
        ``ranks_per_trial`` under MPI.
        """
        return self._ranks.size

    @property
    def comm(self) -> Any:
        """The communicator of the trial's ranks, an ``mpi4py.MPI.Comm``; None without
        ``ranks_per_trial``.
        """
        return self._ranks.comm

    def torch_distributed(self) -> dict[str, str]:
        """Set the environment variables that ``torch.distributed`` and libraries on top of it read,
        as torchrun does.

        The variables are MASTER_ADDR, MASTER_PORT, RANK, WORLD_SIZE, LOCAL_RANK and
        LOCAL_WORLD_SIZE. The port is reserved for this trial. LOCAL_RANK is the index of this
        process among the processes that see the same GPUs, so it is 0 if each process has its own
        GPUs. When the training function ends, the variables get their earlier values. If the
        process group still exists then, it is destroyed.

        Returns:
            The variables, by name.

        Example:
            >>> def train(trial):
            ...     trial.torch_distributed()
            ...     torch.distributed.init_process_group("gloo")
            ...     model = DistributedDataParallel(build(trial.config))
        """
        return self._ranks.set_variables()

    def epochs(self) -> Iterator[int]:
        """Yield the numbers of the epochs to train, from ``start + 1`` up to and including
        ``target``. The first epoch of a trial is 1.

        The report at the target decides whether the loop continues. If the trial is promoted
        immediately, the loop continues, and nothing is saved or loaded. Otherwise the loop ends.
        Save the model after the loop.
        """
        epoch = self._job.start
        loop = self._job.begin_loop()
        while self._job.may_go_on(loop, epoch):
            epoch += 1
            yield epoch
        if self._job.has_trained_in_loop:
            self._objects.save()

    def report(
        self, result: Mapping[str, Any] | float | None = None, step: None = None, /, **metrics: Any
    ) -> None:
        """Report metrics of the current epoch.

        ``trial.report(accuracy=0.9, loss=0.3)`` and
        ``trial.report({"accuracy": 0.9, "loss": 0.3})`` have the same effect. ``trial.report(0.9)``
        reports the study's metric alone.

        Outside of :meth:`epochs`, a single report is a report at the target. If there are
        ``target - start`` reports, each of them is the report of one epoch.

        Args:
            result: All metrics as a dict, or the study's metric as a number.
            step: Not given, because :meth:`epochs` counts the epochs. Optuna's trials take a step
                here.
            metrics: Numbers by name; the study's metric must be among them.

        Raises:
            ObjectiveError: If the study's metric is missing, a value is not a number, or the trial
                has no such epoch.
        """
        if step is not None:
            raise NoSuchAttribute(
                "trial.report() takes no step; write trial.report(value) inside the loop: for _ in "
                "trial.epochs()"
            )
        self._job.report_from(as_metrics(result, metrics, self.metrics))

    def stop(self) -> None:
        """End this trial early, on purpose: the loop ends before the next epoch, and the last
        report is the result.

        The result ranks like any other result of its rung. The trial is never trained again.

        Raises:
            ObjectiveError: If the loop has already ended.
        """
        self._job.stop()

    @property
    def needs_checkpoint(self) -> bool:
        """Whether a checkpoint saved now may be useful.

        The value is False if this trial cannot be promoted any more and is not the best trial of
        its rung.
        """
        return self._job.may_save()

    def checkpoint(self, **objects: Any) -> int:
        """Restore modules, optimizers and schedules of PyTorch now, and save them when training
        ends.

        Call this method once, before the loop, after building the objects. The method restores the
        saved state of each object and of the random generators of Python, NumPy and PyTorch, so the
        trial continues as if it had not stopped. The states are saved when the loop over
        :meth:`epochs` ends. If the loop ends without a report, the states are saved when the
        function ends. Nothing is saved if :attr:`needs_checkpoint` is False.

        A checkpoint has only tensors and plain values. A checkpoint is read as weights only, so no
        code is executed.

        Args:
            objects: By name, objects with ``state_dict`` and ``load_state_dict``; or a
                ``torch.Generator``.

        Returns:
            The resource up to which the objects are trained, :attr:`start`; 0 for a new trial.

        Raises:
            ObjectiveError: If an object's state cannot be saved in this way, or other objects were
                saved.
            StudyError: If the checkpoint has more than weights, or PyTorch is older than 2.6.

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
            >>> study = tune(
            ...     train, space, metric="loss", mode="min", trials=4, max_resource=3, quiet=True
            ... )
            >>> list(study.best.load())
            ['model', 'optimizer']
        """
        self._objects.keep(objects)
        return self._job.start

    def save(self, state: object) -> None:
        """Save an object, pickled by cloudpickle, for the next job of this trial.

        Nothing is written if :attr:`needs_checkpoint` is False. Each rank of a trial saves its own
        object.

        Raises:
            ObjectiveError: If :meth:`checkpoint` already saves this trial.
        """
        if self._objects:
            raise ObjectiveError(
                "trial.save() and trial.checkpoint() both save this trial; use one of them"
            )
        if self.needs_checkpoint:
            self._checkpoint.save(state)

    def restore(self) -> Any:
        """Return the object that :meth:`save` has saved, or the state dicts that :meth:`checkpoint`
        has saved. For a new trial, return None.

        Each rank of a trial gets the object that this rank has saved. A rank that has saved no
        object gets the object of rank 0.
        """
        self._job.mark_restored()
        return self._checkpoint.restore()

    @property
    def checkpoint_dir(self) -> Path:
        """A folder for your own files, as an alternative to :meth:`save`. The folder contains the
        files of the trial's earlier jobs.

        All ranks of a trial have the same folder. The folder becomes a checkpoint when the training
        function has ended in all ranks.
        """
        self._job.mark_restored()
        return self._checkpoint.directory()


_OPTUNAS = {
    "should_prune": "remove it, because the loop over trial.epochs() ends when the trial stops",
    "params": "did you mean trial.config?",
    "set_user_attr": "remove it, or report a number in addition to the metric: "
    "trial.report(loss=..., size=...)",
}
"""The advice for attributes that only Optuna's trials have."""
CURRENT_TRIAL: ContextVar[Trial | None] = ContextVar("ashtune_trial", default=None)
"""It is a context variable, so that each thread that trains has its own trial."""


def current_trial() -> Trial | None:
    """Return the current trial. Outside of a training function, and in functions of :func:`fused`,
    return None.

    Use this function in code that does not get the trial as an argument, or that also runs without
    ashtune. Pass the trial to threads that you start, because in most Python versions, new threads
    do not know the current trial.

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
        >>> study = tune(
        ...     train,
        ...     {"x": (0.0, 1.0)},
        ...     metric="loss",
        ...     mode="min",
        ...     trials=8,
        ...     max_resource=9,
        ...     quiet=True,
        ... )
        >>> study.best.resource
        9
    """
    trial = CURRENT_TRIAL.get()
    if trial is not None:
        trial._is_asked_for = True
    return trial


def is_asked_for() -> bool:
    """Return whether the running training function has called :func:`current_trial`."""
    trial = CURRENT_TRIAL.get()
    return trial is not None and trial._is_asked_for
