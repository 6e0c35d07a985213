"""The training function once more, outside of its study: in this process, with any configuration, as far as wanted.

Nothing of the study changes. What is saved goes to another directory, or is given back in memory.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ashtune.api.best import loaded_from, newest_checkpoint, pairs
from ashtune.core.errors import ObjectiveError, StudyError
from ashtune.core.events import JobFailed, JobFinished, TrialReleased, TrialWithdrawn
from ashtune.core.jobs import TrialId, WorkerId
from ashtune.core.orders import Release
from ashtune.core.plaintext import error_line
from ashtune.study import objective_file as objectives
from ashtune.study.folders import temporary_folder
from ashtune.study.settings import Settings
from ashtune.training.messages import Assignment, FromWorker, Mailbox, Setup, Shutdown, ToWorker
from ashtune.training.objectives import load_objective
from ashtune.training.runner import TrialRunner

NOBODY = WorkerId(0)


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration that was trained once more.

    ``metrics`` is the last report, ``curve`` all of them: (resource, metrics). ``model`` is what the training function
    saved, None if it saved nothing.
    """

    trial: int
    config: dict[str, Any]
    resource: int
    metrics: dict[str, float | None]
    curve: list[tuple[int, dict[str, float | None]]]
    seconds: float
    model: Any

    def __repr__(self) -> str:
        return f"trial {self.trial} at {self.resource:,}: {pairs(self.metrics)}; {pairs(self.config)}"


class _OwnChannel:
    """A worker's channel without a driver: every result is let go of, and nothing is broken off."""

    def __init__(self) -> None:
        self.messages: list[FromWorker] = []

        self._answer: Release | None = None

    def send(self, message: FromWorker) -> None:
        """Keep what the training has to say; a result that is held is answered."""
        self.messages.append(message)
        if isinstance(message, JobFinished) and message.held:
            self._answer = Release(NOBODY, message.trial, True)

    def wait(self) -> None:
        """Nobody says anything unasked."""
        if self._answer is None:
            raise Shutdown

    def poll(self) -> ToWorker | None:
        """Answer the last result: that was all."""
        answer, self._answer = self._answer, None
        return answer


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be trained once more: a configuration, under a trial's number, to a resource.

    ``max_resource`` is that of the study's top rung.
    """

    trial: TrialId
    configuration: Mapping[str, Any]
    resource: int
    max_resource: int


def train_again(
    function: Callable[..., Any], settings: Settings, wanted: Wanted, directory: Path | None = None
) -> Trained:
    """Train a configuration to a resource: see :meth:`~ashtune.Study.train`.

    Raises:
        StudyError: If there is nothing to train, or nothing comes of it.
        Exception: What the training function raises.
    """
    if directory is not None:
        return _train(function, settings, wanted, directory)
    with temporary_folder() as place:
        return _train(function, settings, wanted, place)


def function_of(study: Path) -> Callable[..., Any]:
    """Return a study's training function, for this process.

    Raises:
        ObjectiveError: If it cannot be loaded.
    """
    arguments = sys.argv
    try:
        return load_objective(study / objectives.NAME)[0]
    except Exception as error:  # noqa: BLE001 - whatever importing user code raises
        reason = error_line(error)
        raise ObjectiveError(
            f"the training function of {study} cannot be loaded here ({reason}); give it, as in objective=train"
        ) from None
    finally:
        sys.argv = arguments


def _train(function: Callable[..., Any], settings: Settings, wanted: Wanted, place: Path) -> Trained:
    trial, resource = wanted.trial, wanted.resource
    saved = newest_checkpoint(place, trial)
    start = 0 if saved is None else saved[0]
    if start >= resource:
        raise StudyError(f"{place} holds trial {trial} trained to {start} already; give more, or another directory")
    raised: list[BaseException] = []

    def remembering(handed: Any) -> Any:
        try:
            return function(handed)
        except BaseException as error:
            raised.append(error)
            raise

    channel = _OwnChannel()
    setup = Setup(
        NOBODY, "", settings.goal, str(place), settings.seed, [], progress_seconds=float("inf"),
        max_resource=wanted.max_resource,
    )  # fmt: skip
    written = msgspec.Raw(msgspec.msgpack.encode(wanted.configuration))
    TrialRunner(remembering, setup, Mailbox(channel)).run(Assignment(NOBODY, trial, 0, start, resource, False, written))
    if raised:
        raise raised[0]
    result = next((message for message in channel.messages if isinstance(message, JobFinished)), None)
    if result is None:
        ended = [message.reason for message in channel.messages if isinstance(message, JobFailed | TrialWithdrawn)]
        raise StudyError(f"training trial {trial} again came to nothing: {ended[0] if ended else 'it says nothing'}")
    problems = [
        message.problem
        for message in channel.messages
        if isinstance(message, JobFinished | TrialReleased) and message.problem
    ]
    if problems:
        raise StudyError(f"trial {trial} was trained again, but {problems[0]}")
    newest, model = newest_checkpoint(place, trial), None
    if newest is not None and newest[0] >= result.resource:
        model = loaded_from(newest[1], wanted.configuration, place / objectives.NAME, lambda: function)
    return Trained(
        trial=trial,
        config=dict(wanted.configuration),
        resource=result.resource,
        metrics=result.metrics,
        curve=[*result.curve, (result.resource, result.metrics)],
        seconds=result.seconds,
        model=model,
    )
