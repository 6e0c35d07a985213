"""What a view needs to know of a study beside its events."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ashtune.analysis.counts import RungTally
from ashtune.analysis.expected import Expected, expected
from ashtune.analysis.loading import StudyReader
from ashtune.analysis.tally import Tally
from ashtune.core.jobs import TrialId
from ashtune.core.plaintext import one_line
from ashtune.schedulers.registry import SchedulerView
from ashtune.search.registry import learns


def _no_bytes() -> int:
    return 0


class StudyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A study's name, and what else a view may ask of it.

    ``learns`` says whether its search does, ``workers`` how many there should be (0: unknown), ``unit`` what the
    resource counts, in the singular, ``deadline`` when the study ends, in seconds since it began. ``is_simulated``:
    nothing was trained. ``notes`` is what the scheduler says of itself now, one line or nothing; ``missing`` names
    in one line the parts of the study that are not installed here; "" for none.
    """

    name: str
    scheduler: SchedulerView
    learns: bool
    directory: str
    configuration: Callable[[TrialId], Mapping[str, Any]]
    checkpoint_bytes: Callable[[], int] = _no_bytes
    notes: Callable[[], str] = str
    workers: int = 0
    unit: str
    deadline: float | None = None
    is_simulated: bool = False
    missing: Callable[[], str] = str

    def expected(self, tally: Tally) -> list[Expected] | None:
        """Return how many trials are trained to each rung, as it was expected before any result; None: nobody knows."""
        return self._expected(tally, ())

    def in_the_end(self, tally: Tally) -> list[Expected] | None:
        """Return the same, as it is expected now."""
        return self._expected(tally, tally.rungs)

    def _expected(self, tally: Tally, rungs: Sequence[RungTally]) -> list[Expected] | None:
        trials = tally.most_trials
        return expected(self.scheduler, tally.ladder, trials, learns=self.learns, rungs=rungs) if trials else None


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
        learns=learns(study.settings.search),
        directory=str(study.directory),
        configuration=lambda trial: study.trials.configuration(trial),  # noqa: PLW0108 - reads the journal when called
        unit=study.settings.resource,
        is_simulated=study.settings.simulated,
        missing=lambda: one_line("; ".join([*study.missing, *also_missing(study)])),
    )
