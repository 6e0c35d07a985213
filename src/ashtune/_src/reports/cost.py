"""The report section about the training time, and about the hyperparameters on which it depends."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Any

from ashtune._src.analysis.audit import rank_correlation
from ashtune._src.analysis.sampling import sampled
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.numbers import number_text, plural, time_text, value_text
from ashtune._src.reports import html
from ashtune._src.reports.tables import trials_table
from ashtune._src.reports.view import Section

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = 10
MOST = 5000
"""The largest number of compared trials. If a study has more trials, a sample is compared."""
FEWEST = 10
"""With fewer trials, the section says nothing about training time."""
STRONG = 0.5
SLOWER = 1.5
"""A hyperparameter is named if trials with its slowest value take at least this many times as long
as trials with its fastest value.
"""


class CostSection(Section):
    """The report section about the time of an epoch in each trial, and the hyperparameters that
    affect this time.
    """

    name = "cost"
    title = "What made training slow"
    uses = ("trials",)
    needs_result = True

    @cached_property
    def _times(self) -> Sequence[tuple[float, TrialId]]:
        """The seconds per epoch of each trial that did not fail, the slowest trial first. O(n log
        n).

        Failed trials are left out, since the number of epochs that a failed trial trained is
        unknown.
        """
        trained = (record for record in self.study.trials if record.resource and not record.reason)
        times = ((record.seconds / record.resource, record.number) for record in trained)
        return sorted(times, key=lambda each: (-each[0], each[1]))

    def lines(self) -> tuple[()]:
        """Return no lines, since the blocks are long and only the page shows them."""
        return ()

    def blocks(self) -> Iterator[html.Block]:
        times = self._times
        unit = self.study.unit
        if not times or not times[0][0]:
            return
        yield html.words(
            f"In the median of {plural(len(times), 'trial')}, one {unit} took "
            f"{time_text(median(self._seconds))}; in the slowest, trial {times[0][1]}, it took "
            f"{time_text(times[0][0])}.",
            *(
                f"Training takes longer if {name} is {'larger' if correlation > 0 else 'smaller'} "
                f"(rank correlation {correlation:.2f})."
                for name, correlation in self._correlations().items()
            ),
            *(f"{name}: {_listed(medians)}." for name, medians in self._medians().items()),
        )
        yield html.table(self._table())

    def value(self) -> Mapping[str, Any]:
        times = self._times
        if not times or not times[0][0]:
            return {}
        return {
            "median_seconds": median(self._seconds),
            "slowest": [{"trial": trial, "seconds": seconds} for seconds, trial in times[:SHOWN]],
            "rank_correlations": self._correlations(),
            "median_seconds_by_value": self._medians(),
        }

    @property
    def _seconds(self) -> list[float]:
        return [seconds for seconds, _ in self._times]

    def _correlations(self) -> dict[str, float]:
        """For each numeric hyperparameter, return its rank correlation with the time of an epoch,
        if this correlation is strong.
        """
        strong = {}
        for name, pairs in self._columns(int | float).items():
            correlation = rank_correlation(*zip(*pairs, strict=True))
            if correlation is not None and abs(correlation) >= STRONG:
                strong[name] = correlation
        return strong

    def _medians(self) -> dict[str, dict[str, float]]:
        """Return the median epoch time of each choice, if the choices of a hyperparameter have very
        different times.
        """
        all_medians = {}
        for name, pairs in self._columns(str | bool | None).items():
            times = defaultdict[str, list[float]](list)
            for value, seconds in pairs:
                times[value_text(value)].append(seconds)
            medians = {
                value: median(seconds)
                for value, seconds in times.items()
                if 2 * len(seconds) >= FEWEST
            }
            if len(medians) > 1 and max(medians.values()) >= SLOWER * min(medians.values()):
                all_medians[name] = dict(sorted(medians.items(), key=lambda pair: -pair[1])[:SHOWN])
        return all_medians

    def _columns(self, kind: Any) -> dict[str, list[tuple[Any, float]]]:
        """Return pairs (value, seconds per epoch) for each hyperparameter whose values all have the
        type ``kind``.
        """
        seconds_of = {trial: seconds for seconds, trial in self._times}
        columns = defaultdict[str, list[tuple[Any, float]]](list)
        for trial in sampled(list(seconds_of), MOST):
            for name, value in self.study.trials.configuration(trial).items():
                columns[name].append((value, seconds_of[trial]))
        return {
            name: pairs
            for name, pairs in columns.items()
            if len(pairs) >= FEWEST
            and all(
                isinstance(value, kind) and (kind != int | float or type(value) is not bool)
                for value, _ in pairs
            )
        }

    def _table(self) -> "Table":
        slowest = self._times[:SHOWN]
        unit = self.study.unit
        records = [self.study.trials[trial] for _, trial in slowest]
        columns = {f"seconds per {unit}": [number_text(each) for each, _ in slowest]}
        return trials_table(records, columns, [record.resource for record in records], unit=unit)


def _listed(medians: Mapping[Any, float]) -> str:
    return ", ".join(f"{time_text(seconds)} with {value}" for value, seconds in medians.items())
