"""``Study.train``: trains a configuration again in this process. ``Study.train`` does not change
the study.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.api.best import load_saved, newest_checkpoint, pairs
from ashtune._src.core.errors import ObjectiveError, StudyError
from ashtune._src.core.events import NO_REASON, JobFinished
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.orders import Release
from ashtune._src.core.plaintext import error_line
from ashtune._src.study import objective_file as objectives
from ashtune._src.study.folders import temporary_folder
from ashtune._src.study.settings import Settings
from ashtune._src.training.objectives import load_objective
from ashtune._src.training.runner import TrialRunner
from ashtune._src.training.worker_messages import (
    Assignment,
    FromWorker,
    Mailbox,
    Setup,
    Shutdown,
    ToWorker,
)

# Training again uses the worker's own code (``TrialRunner``) with a channel that has no driver. A
# second, simpler way to call a training function would behave differently somewhere: in the seed,
# in how a checkpoint is found, or in what counts as a failure. The trial keeps its number, because
# its seed is computed from this number.
NOBODY = WorkerId(0)


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """The result of training a configuration again.

    ``metrics`` are the metrics of the last report. ``curve`` has every report as (resource,
    metrics). ``model`` is what the training function saved, or None.
    """

    trial: int
    config: dict[str, Any]
    resource: int
    metrics: dict[str, float | None]
    curve: list[tuple[int, dict[str, float | None]]]
    seconds: float
    model: Any

    def __repr__(self) -> str:
        return (
            f"trial {self.trial} at {self.resource:,}: {pairs(self.metrics)}; {pairs(self.config)}"
        )


class _OwnChannel:
    """A worker's channel without a driver. If a trial has a result, the
    channel releases the trial.
    """

    def __init__(self) -> None:
        self.messages: list[FromWorker] = []
        self._answer: Release | None = None

    def send(self, message: FromWorker) -> None:
        """Store a message of the training. If the message is a held result, answer with the trial's
        release.
        """
        self.messages.append(message)
        if isinstance(message, JobFinished) and message.held:
            self._answer = Release(NOBODY, message.trial, True)

    def wait(self) -> None:
        """Raise ``Shutdown`` if there is no stored answer, because there is no driver that can send
        an answer.
        """
        if self._answer is None:
            raise Shutdown

    def poll(self) -> ToWorker | None:
        answer = self._answer
        self._answer = None
        return answer


def train_again(
    function: Callable[..., Any],
    settings: Settings,
    trial: TrialId,
    configuration: Mapping[str, Any],
    *,
    resource: int,
    max_resource: int,
    directory: Path | None = None,
) -> Trained:
    """Train a configuration up to ``resource``, as the trial number ``trial``. See
    :meth:`~ashtune.Study.train`.

    Raises:
        StudyError: If the trial was already trained to the resource, or the training has no result.
        Exception: The exception of the training function.
    """
    with temporary_folder() if directory is None else nullcontext(directory) as place:
        saved = newest_checkpoint(place, trial)
        start = 0 if saved is None else saved[0]
        if start >= resource:
            raise StudyError(
                f"{place} already has trial {trial}, trained to {start}; give a resource above "
                f"{start}, or another directory"
            )
        setup = Setup(
            NOBODY, "", settings.goal, str(place), settings.seed, [], progress_seconds=float("inf"),
            max_resource=max_resource,
        )  # fmt: skip
        written = msgspec.Raw(msgspec.msgpack.encode(configuration))
        job = Assignment(NOBODY, trial, 0, start, resource, False, written)
        result = _run(function, setup, job)
        newest = newest_checkpoint(place, trial)
        model = None
        if newest is not None and newest[0] >= result.resource:
            model = load_saved(newest[1], configuration, place / objectives.NAME, lambda: function)
    return Trained(
        trial=trial,
        config=dict(configuration),
        resource=result.resource,
        metrics=result.metrics,
        curve=[*result.curve, (result.resource, result.metrics)],
        seconds=result.seconds,
        model=model,
    )


def function_of(study: Path) -> Callable[..., Any]:
    """Load a study's training function into this process.

    Raises:
        ObjectiveError: If the function cannot be loaded.
    """
    arguments = sys.argv
    try:
        return load_objective(study / objectives.NAME)[0]
    except Exception as error:  # noqa: BLE001 - whatever importing user code raises
        reason = error_line(error)
        raise ObjectiveError(
            f"the training function of {study} cannot be loaded here ({reason}); give the "
            "function, as in objective=train"
        ) from None
    finally:
        sys.argv = arguments


def _run(function: Callable[..., Any], setup: Setup, job: Assignment) -> JobFinished:
    # The runner turns an exception into a message, because a driver must continue. Here, the caller
    # wants the exception itself, with its traceback.
    raised: list[BaseException] = []

    def remember(trial: Any) -> Any:
        try:
            return function(trial)
        except BaseException as error:
            raised.append(error)
            raise

    channel = _OwnChannel()
    TrialRunner(remember, setup, Mailbox(channel)).run(job)
    if raised:
        raise raised[0]
    result = next(
        (message for message in channel.messages if isinstance(message, JobFinished)), None
    )
    problems = [
        getattr(message, "reason", "") or getattr(message, "problem", "")
        for message in channel.messages
    ]
    if result is None or any(problems):
        what = "has no result" if result is None else "was not saved"
        raise StudyError(
            f"trial {job.trial} was trained again, but {what}: "
            f"{next(filter(None, problems), NO_REASON)}"
        )
    return result
