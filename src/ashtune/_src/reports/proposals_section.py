"""Compares two shares of a study: the promoted share of the search's proposals, and the promoted
share of random draws.

The module ``search/promotions.py`` has the comparison and the statistical test.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.events import Event, TrialStarted
from ashtune._src.core.numbers import number_text, plural, share_text
from ashtune._src.core.observer import Observer
from ashtune._src.reports import html
from ashtune._src.reports.tables import HEADING, QUIET, indented, line, numbers_table
from ashtune._src.reports.view import Section
from ashtune._src.search.origins import FAILED, NOT_READY, REPLACED, Sort
from ashtune._src.search.promotions import Promotions, Ratio, chances, ratio_of

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

# Decision 34 (docs/decisions/0034-did-the-model-help.md).
LEVEL = 0.05
"""A difference counts if its two-sided p-value is at most this number."""
COMPARED: Mapping[str, tuple[Sort, ...]] = {
    "proposals of the model": (Sort.MODEL,),
    "mutations of the best": (Sort.MUTATION, Sort.STANDING_IN),
}

_REMARKS = (NOT_READY, REPLACED, FAILED)


class Shares(msgspec.Struct, frozen=True):
    """The number of compared trials of one kind, and the number of promoted trials."""

    trials: int
    promoted: int


class Comparison(msgspec.Struct, frozen=True):
    """The comparison of proposals with random draws. Only trials that started at about the same
    time are compared with each other.

    The study does not react to the comparison. A guard that made more trials random after a bad
    comparison did not improve the results, see ``docs/decisions/0049-no-guard-of-searches.md``.

    Attributes:
        what: The kind of proposals.
        proposed, random: The numbers of proposals and of random draws.
        ratio: The promoted share of proposals divided by the promoted share of random draws; None
            if no proposal or no random draw was promoted.
        chance: The exact two-sided p-value: the probability of at least this difference if
            proposals and random draws are equally good.
        is_too_small: Whether there are too few random draws to show any difference.
    """

    what: str
    proposed: Shares
    random: Shares
    ratio: Ratio | None
    chance: float
    is_too_small: bool

    def sentence(self) -> str:
        """Return the conclusion of the comparison in one sentence."""
        subject = f"{self.what[0].upper()}{self.what[1:]}"
        if self.is_too_small:
            return (
                f"{subject}: {self.proposed.trials:,} proposals and {self.random.trials:,} random "
                "draws are too few to compare."
            )
        if self.ratio is not None:
            rate = (
                f"were promoted {number_text(self.ratio.ratio, 2)} times as often as random draws "
                f"(95 % interval {_interval(self.ratio)})"
            )
        elif self.proposed.promoted:
            rate = "were promoted, and no random draw was"
        else:
            rate = "were never promoted, and random draws were"
        if self.chance > LEVEL:
            rate += ", which may be chance"
        return f"{subject} {rate}."

    def counts(self) -> str:
        """Return a sentence with the numbers of promoted proposals and of promoted random draws."""
        proposals = plural(self.proposed.trials, "proposal")
        draws = plural(self.random.trials, "random draw")
        return (
            f"Of {proposals} {self.proposed.promoted:,} continued; of {draws} in the same time, "
            f"{self.random.promoted:,} continued."
        )


def comparison_of(promotions: Promotions, what: str, sorts: Collection[Sort]) -> Comparison | None:
    """Compare the proposals of ``sorts`` with random draws. If the study has no such proposals,
    return None.
    """
    trials = [trial for stretch in promotions.compared(sorts) for trial in stretch]
    drawn = [trial for trial in trials if promotions.sorts[trial] == Sort.RANDOM]
    proposed = [trial for trial in trials if promotions.sorts[trial] != Sort.RANDOM]
    if not proposed:
        return None

    def shares(some: Sequence[Any]) -> Shares:
        return Shares(len(some), sum(map(promotions.is_promoted, some)))

    stretches = promotions.stretches(sorts)
    exact = chances(stretches)
    chance = min(1.0, 2 * min(exact.as_many, exact.as_few))
    is_too_small = min(chance, 2 * exact.fewest) > LEVEL
    return Comparison(
        what, shares(proposed), shares(drawn), ratio_of(stretches), chance, is_too_small
    )


class _Remarks(Observer):
    """Counts the trials with each remark. A remark is the last part of a trial's origin."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def event(self, event: Event) -> None:
        if isinstance(event, TrialStarted):
            self.counts.update(remark for remark in _REMARKS if event.origin.endswith(remark))


class ModelSection(Section):
    """The report section that compares the promotions of a model's proposals with the promotions of
    random draws.
    """

    name = "model"
    title = "Did the model help?"
    uses = ("tally",)
    needs_result = True

    def __init__(self, study: StudyReader) -> None:
        super().__init__(study)
        self._promotions = self.observe(Promotions())
        self._remarked = self.observe(_Remarks())

    @cached_property
    def _comparisons(self) -> list[Comparison]:
        each = (comparison_of(self._promotions, what, sorts) for what, sorts in COMPARED.items())
        return [comparison for comparison in each if comparison is not None]

    @property
    def _has_model(self) -> bool:
        return bool(self._comparisons) or bool(self._remarked.counts)

    def blocks(self) -> Iterator[html.Block]:
        if not self._has_model:
            return
        yield html.words(*(comparison.sentence() for comparison in self._comparisons))
        if self._comparisons:
            yield html.table(self._table())
            yield html.words(
                "Trials are compared if they began at the same rung within the same 20 trials, "
                "from the first proposal on; failed trials are left out. The interval has 95 % "
                "confidence. The chance is the probability of at least this difference if "
                "proposals and random draws are equally good. It is computed by an exact test over "
                "the groups of 20.",
            )
        yield html.words(*self._remarks())

    def lines(self) -> "Iterator[RenderableType]":
        if not self._has_model:
            return
        yield line("did the model help?", HEADING)
        for comparison in self._comparisons:
            yield indented(line(comparison.sentence()))
            yield indented(line(comparison.counts(), QUIET))
        for sentence in self._remarks():
            yield indented(line(sentence))

    def value(self) -> Mapping[str, Any]:
        if not self._has_model:
            return {}
        remarks = self._remarked.counts
        return {
            "comparisons": msgspec.to_builtins(self._comparisons),
            "no_proposal_in_time": remarks[NOT_READY],
            "proposals_replaced": remarks[REPLACED],
            "proposer_had_failed": remarks[FAILED],
        }

    def _remarks(self) -> list[str]:
        counts = self._remarked.counts
        late = plural(counts[NOT_READY], "trial")
        replaced = plural(counts[REPLACED], "proposal")
        failed = plural(counts[FAILED], "trial")
        sentences = {
            NOT_READY: f"For {late} no proposal was ready in time.",
            REPLACED: f"{replaced} had been tried before; random draws replaced them.",
            FAILED: f"The search had failed before {failed} began; these trials are random.",
        }
        remarks = [sentences[remark] for remark in _REMARKS if counts[remark]]
        tally = self.study.tally
        if tally.origins:
            remarks.insert(0, f"Of {plural(tally.started, 'trial')}: {tally.origins}.")
        return remarks

    def _table(self) -> "Table":
        table = numbers_table(
            "compared", "trials", "promoted", "share", "ratio", "interval", "chance",
            texts="compared",
        )  # fmt: skip
        for each in self._comparisons:
            numbers = ("", "")
            if each.ratio is not None:
                numbers = (number_text(each.ratio.ratio, 2), _interval(each.ratio))
            table.add_row(each.what, *_cells(each.proposed), *numbers, number_text(each.chance, 2))
            table.add_row("random draws beside them", *_cells(each.random), "", "", "")
        return table


def _interval(ratio: Ratio) -> str:
    return f"{number_text(ratio.low, 2)} to {number_text(ratio.high, 2)}"


def _cells(shares: Shares) -> list[str]:
    share = ""
    if shares.trials:
        share = share_text(shares.promoted / shares.trials)
    return [f"{shares.trials:,}", f"{shares.promoted:,}", share]
