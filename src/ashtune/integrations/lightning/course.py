"""What the callbacks ask the study, in the process that trains or in one that Lightning has started from it.

Rule 1: only the process of the trial speaks with the study. Processes that Lightning starts ask that one, over a pipe.
Rule 2: rank 0 asks, and the other ranks hear the answer: all of them end at the same epoch.
"""

import multiprocessing
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple

from ashtune.core.errors import ObjectiveError
from ashtune.core.plaintext import error_line
from ashtune.training.reports import MetricMissing
from ashtune.training.trial import Trial

Metrics = Mapping[str, float]


class Answer(NamedTuple):
    """What the study says: whether another epoch is to be trained, the rung that it leads to, whether to save."""

    goes_on: bool
    target: int
    needs_checkpoint: bool


Ask = Callable[[Metrics | None, bool], Answer]
"""Tell the metrics of the last epoch, None if there are none, and whether training ends of its own accord; ask what is
next. The first question tells nothing."""


class Course:
    """The epochs of a trial, in its own process.

    Args:
        trial: The trial.
    """

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._epochs = trial.epochs()

    def __call__(self, metrics: Metrics | None, is_ended: bool) -> Answer:
        """Report, and ask whether the trial goes on.

        Raises:
            ObjectiveError: If the report cannot be counted.
        """
        if metrics is not None:
            if not metrics:
                raise MetricMissing(
                    f"no number was logged, and the study's metric is {self._trial.metric!r}; write "
                    f"self.log({self._trial.metric!r}, value) in validation_step, and give fit the data to validate on"
                )
            self._trial.report(metrics)
        if is_ended:
            self._trial.stop()
        goes_on = next(self._epochs, None) is not None
        return Answer(goes_on, self._trial.target, self._trial.needs_checkpoint)


class Relay:
    """Asks from another process. It is sent to those that Lightning starts.

    Args:
        connection: This end of the pipe.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, metrics: Metrics | None, is_ended: bool) -> Answer:
        """Ask.

        Raises:
            ObjectiveError: What the trial's process raised.
        """
        self._connection.send((metrics, is_ended))
        answer = self._connection.recv()
        if isinstance(answer, str):
            raise ObjectiveError(answer)
        return Answer(*answer)


@contextmanager
def relayed(course: Course) -> Iterator[Relay]:
    """Answer the questions of other processes from a thread, as long as this lasts.

    What the study refused is raised here once more, as it was, in place of what has become of it on its way.
    """
    here, there = multiprocessing.Pipe()
    refused: list[BaseException] = []
    thread = threading.Thread(target=_answer, args=(here, course, refused), daemon=True)
    thread.start()
    try:
        yield Relay(there)
    except Exception:
        if refused:
            raise refused[0] from None
        raise
    finally:
        there.send(None)
        thread.join()
        here.close()
        there.close()


def _answer(here: Connection, course: Course, refused: list[BaseException]) -> None:
    while (question := here.recv()) is not None:
        try:
            here.send(tuple(course(*question)))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the training function is
            refused.append(error)
            here.send(error_line(error))
