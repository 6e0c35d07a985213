"""The best trials of a study, with their configuration, metrics and saved model."""

import atexit
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.checks import whole_number
from ashtune._src.core.errors import SettingsError, StudyError, in_one_line, instead_of_os_error
from ashtune._src.core.jobs import Goal, TrialId
from ashtune._src.core.numbers import number_text, shortened, value_text
from ashtune._src.core.order import preferred
from ashtune._src.core.plaintext import REASON, error_line, visible
from ashtune._src.driver.goal import weights_of
from ashtune._src.study.checkpoints import FOLDER, SAVED, flaw_of, read_saved
from ashtune._src.study.disk import DISK
from ashtune._src.study.folders import ScratchDirectory
from ashtune._src.study.objective_file import NAME
from ashtune._src.study.remote import RemoteFolder
from ashtune._src.training.fused.fused_protocol import SavedState
from ashtune._src.training.objectives import load_objective

SCRATCH = ScratchDirectory()
atexit.register(SCRATCH.delete)


class Best(msgspec.Struct, frozen=True, eq=False):
    """One of the best trials of a study, with its number, configuration, metrics, and resource.

    ``metrics`` are the trial's metrics at ``resource``, the highest rung at which the trial has a
    result. ``directory`` is the study's directory. ``origin`` is the source of the configuration,
    such as "random".
    """

    trial: int
    config: dict[str, Any]
    metrics: dict[str, float | None]
    rung: int
    resource: int
    directory: Path
    origin: str = ""

    @property
    def checkpoint(self) -> Path:
        """The path of the trial's newest checkpoint: a file or the folder
        :attr:`~ashtune.Trial.checkpoint_dir`.

        Raises:
            StudyError: If there is no checkpoint at this resource, or it was deleted; the message
                has the reason.
        """
        saved = newest_checkpoint(self.directory, self.trial)
        if saved is None or saved[0] < self.resource:
            older = "" if saved is None else f" (its newest is at {saved[0]:,})"
            raise StudyError(
                f"trial {self.trial} has no checkpoint at {self.resource:,}{older}: {self._why()}; "
                f"train it again with study.train({self.trial}, {self.resource})"
            )
        return saved[1]

    @in_one_line
    def load(self) -> Any:
        """Return the model that the training function saved with :meth:`~ashtune.Trial.save`.

        If the trial saved files in ``trial.checkpoint_dir``, return this folder's path. If the
        function uses
        :meth:`~ashtune.Trial.checkpoint`, return a dict of state dicts by name, on the CPU. Other
        models are read from a pickle, which can execute code. Therefore load only from studies that
        you trust.

        Raises:
            StudyError: If the model was not saved, was deleted, or cannot be loaded; the message
                has the reason.
        """
        stored = self.directory / NAME
        return load_saved(self.checkpoint, self.config, stored, lambda: load_objective(stored)[0])

    def _why(self) -> str:
        # This is called only if there is no checkpoint, so it may read the whole journal. The most
        # certain reasons come first: what the study itself recorded, then what its settings delete.
        # If neither applies, the reason is unknown.
        study = StudyReader(self.directory)
        trial = study.trials[self.trial]  # read first, so that one reading makes the tally too
        problems = [
            group.reason
            for group in study.tally.saving_problems.groups()
            if group.trial == self.trial
        ]
        if problems:
            return f"saving failed ({problems[0]})"
        if trial.status == "failed":
            return f"the trial failed above {self.resource:,} ({shortened(trial.reason, REASON)})"
        who = "program" if study.tally.is_program else "training function"
        if not study.tally.saves:
            return f"the {who} saves nothing ({study.tally.how_to_save})"
        is_best = any(best.trial == self.trial for rung in study.tally.rungs for best in rung.front)
        if self.rung < study.ladder.top and not is_best:
            return (
                "its checkpoint was deleted, because it cannot be promoted any more and is not the "
                "best of its rung"
            )
        if study.settings.checkpoint_limit is not None:
            return f"checkpoint_limit={study.settings.checkpoint_limit} left no room for it"
        return f"the {who} did not save it, or the file was deleted"

    def __eq__(self, other: object) -> bool:
        """Return whether both objects are the same result, even if the
        directories are different.
        """
        return (
            isinstance(other, Best)
            and msgspec.structs.astuple(self)[:5] == msgspec.structs.astuple(other)[:5]
        )

    def __hash__(self) -> int:
        return hash((self.trial, self.rung, self.resource))

    def __str__(self) -> str:
        text = (
            f"trial {self.trial} at {self.resource:,}: {pairs(self.metrics)}; {pairs(self.config)}"
        )
        if self.origin:
            text += f" ({visible(self.origin)})"
        return text

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return Top([self])._repr_html_()


class Top(list[Best]):
    """A list of the best trials, best first. The list prints one trial per line, and shows a table
    in a notebook.
    """

    def __repr__(self) -> str:
        return "\n".join(map(str, self))

    __str__ = __repr__

    def _repr_html_(self) -> str:
        from ashtune._src.reports.html import escaped

        metrics = {name: None for best in self for name in best.metrics}
        names = {name: None for best in self for name in best.config}
        head = "".join(
            f"<th>{escaped(name)}</th>"
            for name in ("trial", "resource", *metrics, *names, "origin")
        )
        rows = (
            "".join(f"<td>{escaped(text)}</td>" for text in self._cells(best, metrics, names))
            for best in self
        )
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"

    def _cells(self, best: Best, metrics: Iterable[str], names: Iterable[str]) -> Iterable[str]:
        numbers = (
            number_text(best.metrics[name], 6) if name in best.metrics else "" for name in metrics
        )
        values = (value_text(best.config.get(name, "")) for name in names)
        return str(best.trial), f"{best.resource:,}", *numbers, *values, best.origin


class Front(Top):
    """The Pareto front: the results that no other result dominates.

    The results are sorted by the first metric, the best value first.
    """

    def __init__(self, results: Iterable[Best], goal: Goal) -> None:
        super().__init__(results)
        self._goal = goal

    @in_one_line
    def best(self, weights: Mapping[str, float] | None = None) -> Best:
        """Return the trial with the smallest weighted sum of losses. Each loss is scaled to its
        range on the front.

        ``weights`` has a weight for each metric. By default, all weights are equal, and the
        returned trial is the knee of the front.

        Raises:
            SettingsError: If the weights do not match the metrics, or the front is empty.
        """
        if not self:
            raise SettingsError("the front is empty, as no trial has a result")
        objectives = self._goal.objectives
        checked = weights_of([each.metric for each in objectives], weights)
        losses = [tuple(each.loss(result.metrics) for each in objectives) for result in self]
        return self[preferred(losses, checked)[0]]


def newest_checkpoint(study: Path, trial: int) -> tuple[int, Path] | None:
    """Return the resource and path of a trial's newest checkpoint, or None if the trial has no
    checkpoint.

    A checkpoint in a remote store is first copied to this machine, where the copy stays until this
    process ends. Raise StudyError if this is not possible.
    """
    remote = RemoteFolder.of(study)
    with instead_of_os_error(
        StudyError, f"the checkpoints of {study}", "study.train() trains a trial again"
    ):
        names = [path.name for path in (study / FOLDER).glob(f"{trial}.*")]
        if remote is not None:
            names += remote.names()
        parts = [name.partition(".") for name in names]
        resources = [
            int(resource)
            for stem, _, resource in parts
            if stem == str(trial) and resource.isdecimal()
        ]
        if not resources:
            return None
        path = study / FOLDER / f"{trial}.{max(resources)}"
        if remote is not None and not path.exists():
            # another process may use the study's own folder at the same time
            path = SCRATCH.folder() / os.urandom(4).hex() / path.name
            path.parent.mkdir()
            remote.pull(path.name, str(path))
    return max(resources), path


def load_saved(
    checkpoint: Path, config: Mapping[str, Any], stored: Path, function: Callable[[], Any]
) -> Any:
    """Return the object saved in a checkpoint. If a checkpoint contains only files, return its
    folder.

    Args:
        stored: The path of the stored training function. The object may refer to names in the
            function's script.
        function: Returns the training function. A fused training function builds the model from the
            saved state.

    Raises:
        StudyError: If the checkpoint cannot be loaded.
    """
    flaw = flaw_of(DISK, str(checkpoint), None)
    if flaw:
        again = f"study.train({checkpoint.stem}, {checkpoint.suffix[1:]})"
        raise StudyError(f"{checkpoint} cannot be loaded: {flaw}; train it again with {again}")
    from ashtune._src.pickles.arrival import load as unpickled

    # If a trial saved files and no object, there is nothing to unpickle; the user knows how to read
    # the files.
    file = checkpoint
    if checkpoint.is_dir():
        file = checkpoint / SAVED
        if not file.exists():
            return checkpoint
    try:
        with file.open("rb") as opened:
            saved = read_saved(
                opened, file.stat().st_size, lambda pickled: unpickled(pickled, stored)
            )
        if isinstance(saved, SavedState):
            return function().restore(config, saved)
        return saved
    except Exception as error:
        reason = error_line(error)
        raise StudyError(
            f"{file} cannot be loaded ({reason}); its classes must be importable in this process"
        ) from error


def trial_number(given: object) -> TrialId | None:
    """Return a trial's number. The trial is given as a ``Best`` or as its number. For another
    object, return None.
    """
    if isinstance(given, Best):
        return TrialId(given.trial)
    number = whole_number(given)
    if number is None:
        return None
    return TrialId(number)


def pairs(values: Mapping[str, object]) -> str:
    """Return a line with names and values, such as ``x=0.25, kind=relu``."""
    return ", ".join(
        f"{visible(name)}={'none' if value is None else value_text(value)}"
        for name, value in values.items()
    )
