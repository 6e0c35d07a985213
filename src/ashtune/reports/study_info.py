"""What a view needs to know of a study beside its events."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ashtune.analysis.loading import StudyReader
from ashtune.core.jobs import TrialId
from ashtune.core.plaintext import one_line
from ashtune.schedulers.view import SchedulerView


def _no_bytes() -> int:
    return 0


class StudyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A study's name, and what else a view may ask of it.

    ``workers`` is how many there should be (0: unknown), ``unit`` what the resource counts, in the
    singular, ``deadline`` the time at which the study ends, in seconds since it began. ``is_simulated``: nothing
    was trained. ``notes`` is what the scheduler says of itself now, one line or nothing; ``missing`` names
    in one line the parts of the study that are not installed here; "" for none.
    """

    name: str
    scheduler: SchedulerView
    directory: str
    configuration: Callable[[TrialId], Mapping[str, Any]]
    checkpoint_bytes: Callable[[], int] = _no_bytes
    notes: Callable[[], str] = str
    workers: int = 0
    unit: str
    deadline: float | None = None
    is_simulated: bool = False
    missing: Callable[[], str] = str

    def expected(self, trials: int | None) -> list[int] | None:
        """Return how many of ``trials`` trials should be trained to each rung; None where nobody knows before."""
        expected = self.scheduler.expected(trials) if trials else None
        return None if expected is None else list(expected)


def study_info(
    study: StudyReader, also_missing: Callable[[StudyReader], Sequence[str]] = lambda study: ()
) -> StudyInfo:
    """Return what the views of a study have to know of it.

    Args:
        study: Read from its journal.
        also_missing: What is not installed here besides its scheduler and its search, one line each.
    """
    return StudyInfo(
        name=study.settings.name,
        scheduler=study.scheduler,
        directory=str(study.directory),
        configuration=lambda trial: study.trials.configuration(trial),  # noqa: PLW0108 - reads the journal when called
        unit=study.settings.resource,
        is_simulated=study.settings.simulated,
        missing=lambda: one_line("; ".join([*study.missing, *also_missing(study)])),
    )
