"""The part ``notes`` shows the reasons for the choices of the scheduler and the search."""

import math
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.events import Event, JobFinished, TrialStarted
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.orders import Followed, TrialFailed, TrialPromoted
from ashtune._src.core.plaintext import one_line
from ashtune._src.dashboard.parts.part import ORIGIN_CHARACTERS, PagePart
from ashtune._src.dashboard.parts.workers_part import WorkersPart
from ashtune._src.schedulers.scheduler_protocol import Machine, Rule
from ashtune._src.search.origins import SOURCES, source_of
from ashtune._src.study.factory import caution_of

MOST_REASONS = 30


class NotesPart(PagePart):
    """The notes of the scheduler and the search, and the reasons for their latest choices.

    Args:
        study: The study.
        workers: The part ``workers``, which must get each event before this part.
    """

    name = "notes"
    empty: ClassVar[Mapping[str, Any]] = {
        "scheduler": "", "search": "", "sources": dict.fromkeys(SOURCES,
        0),
        "why": [],
    }  # fmt: skip
    sees_confirmations = False

    def __init__(self, study: StudyReader, workers: WorkersPart) -> None:
        super().__init__(study)
        self._workers = workers
        self._caution = caution_of(study.settings)
        self._sources: Counter[str] = Counter()
        self._results = [0] * len(study.ladder.rungs)
        self._promotions: deque[_Promotion] = deque(maxlen=MOST_REASONS)
        self._starts: deque[tuple[float, TrialId, str]] = deque(maxlen=MOST_REASONS)
        machine = study.scheduler.machine
        self._compares_all = (
            study.goal.is_plain
            and study.scheduler.rule not in (Rule.ALWAYS, Rule.UNKNOWN)
            # otherwise only trials of the same bracket
            and getattr(type(machine), "bracket", None) is Machine.bracket
        )
        self.scheduler_notes = ""
        """The scheduler's current notes, if the scheduler can be asked."""

    def event(self, event: Event) -> None:
        """Process one event. O(1)."""
        if isinstance(event, JobFinished):
            self._results[event.rung] += 1
        elif isinstance(event, TrialStarted):
            self._sources[source_of(event.origin)] += 1
            if event.origin:
                self._starts.append((self._workers.ran, event.trial, event.origin))

    def followed(self, what: Followed) -> None:
        """Record promotions and failures. O(1)."""
        if isinstance(what, TrialPromoted):
            self._promoted(what)
        elif isinstance(what, TrialFailed):
            self._results[what.rung] += 1

    def value(self) -> Mapping[str, Any]:
        """Return the notes, and the latest reasons, the oldest reason first."""
        return {
            "scheduler": one_line("; ".join(filter(None, (self.scheduler_notes, self._caution)))),
            "search": one_line(
                "; ".join(filter(None, [self.study.settings.search_name, self.study.tally.origins]))
            ),
            "sources": {name: self._sources[name] for name in SOURCES},
            "why": self._why(),
        }

    def _why(self) -> list[Mapping[str, Any]]:
        starts = [
            (time, f"trial {trial}: {one_line(origin, ORIGIN_CHARACTERS)}")
            for time, trial, origin in self._starts
        ]
        promotions = [(each.time, each.text(self)) for each in self._promotions]
        latest = sorted(starts + promotions, key=lambda pair: pair[0])[-MOST_REASONS:]
        return [{"time": round(time, 3), "text": text} for time, text in latest]

    def why_promoted(self, promotion: "_Promotion") -> str:
        """Return a text about the reason for a trial's promotion. O(results of its rung)."""
        study = self.study
        verdict = promotion.verdict
        resource = study.ladder.rungs[verdict.to]
        went_on = f"trial {verdict.trial} continued to {resource:,} {study.unit}s"
        if not self._compares_all:
            return went_on
        rank = self._rank(promotion)
        quota = study.scheduler.quota_rule(study.ladder, verdict.rung).of(promotion.results)
        return f"{went_on}: {_ordinal(rank)} of {promotion.results:,}; {quota:,} may continue"

    def _rank(self, promotion: "_Promotion") -> int:
        """Return the rank (from 1) of a promoted trial among the results that its rung had when it
        was promoted. O(results).
        """
        import numpy as np

        rung = self.study.results.rungs[promotion.verdict.rung]
        losses = np.array(rung.losses[: promotion.results])
        own = losses[np.array(rung.trials[: promotion.results]) == promotion.verdict.trial]
        return 1 + int(np.count_nonzero(losses < own.min(initial=math.inf)))

    def _promoted(self, verdict: TrialPromoted) -> None:
        if verdict.rung < self.study.ladder.top:
            results = self._results[verdict.rung]
            self._promotions.append(_Promotion(self._workers.ran, verdict, results))


class _Promotion(msgspec.Struct):
    """A promotion of a trial, and the number of results that the rung had at that time."""

    time: float
    verdict: TrialPromoted
    results: int
    known_text: str = ""

    def text(self, notes: NotesPart) -> str:
        """Return a text about the reason for the promotion. The text is computed only once."""
        self.known_text = self.known_text or notes.why_promoted(self)
        return self.known_text


def _ordinal(number: int) -> str:
    ending = "th"
    if number % 100 not in (11, 12, 13):
        ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"
