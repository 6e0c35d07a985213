"""One-line hints about settings that are valid, but probably not what the user meant.

Rule: a hint is a guess, and never raises an error. A hint names a setting, and says what to write
if the user meant something else.
"""

from collections.abc import Iterable, Mapping

from ashtune._src.core.events import Event, JobFinished
from ashtune._src.core.jobs import Goal, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.plaintext import one_line
from ashtune._src.reports.plan_of_rungs import too_few_trials
from ashtune._src.schedulers.scheduler_protocol import Scheduler
from ashtune._src.search.grid import Grid
from ashtune._src.search.random import Sobol
from ashtune._src.search.search_protocol import Search
from ashtune._src.space.space import Space

RATIO = 5
"""Two floats with at least this ratio are probably the minimum and the maximum of a range."""
# Decision 19 (docs/decisions/0019-refusals-and-giving-up.md).
TRIALS_LOOKED_AT = 200
LEAST_TRIALS = 10
LEAST_SHARE = 0.8


def of_the_space(space: object) -> list[str]:
    """Return a hint for each choice of two floats that looks like a range."""
    if not isinstance(space, Mapping):
        return []
    hints = []
    for name, value in space.items():
        match value:
            case [float(low), float(high)] if (
                isinstance(value, list) and low < high and (low <= 0 or high >= RATIO * low)
            ):
                is_log = low > 0 and high >= RATIO * RATIO * low
                log, in_json = (', "log"', ', "log": true') if is_log else ("", "")
                hints.append(
                    one_line(
                        f"{name}=[{low!r}, {high!r}] is a choice of two values; a range is "
                        f"({low!r}, {high!r}{log}), "
                        f'in a .json file {{"low": {low!r}, "high": {high!r}{in_json}}}'
                    )
                )
            case _:
                pass
    return hints


def of_the_search(search: Search, space: Space) -> list[str]:
    """Return a hint if the search ignores the priors of the search space."""
    if not space.beliefs or not isinstance(search, Grid | Sobol):
        return []
    names = ", ".join(space.beliefs)
    line = (
        f"search={type(search).__name__.lower()!r} ignores the prior of {names}; give "
        "search='random' or search='gp'"
    )
    return [one_line(line)]


def of_the_trials(
    scheduler: Scheduler, ladder: Ladder, trials: int | None, *, unit: str
) -> list[str]:
    """Return a hint if the number of trials is too small for a trial to reach the top rung."""
    if trials is None:
        return []
    expected = scheduler.build(ladder, trials).expected(trials)
    if expected is None or expected[-1]:
        return []
    return [too_few_trials(ladder.rungs[-1], unit=unit)]


def of_the_results(goal: Goal, events: Iterable[Event]) -> list[str]:
    """Return a hint if the metric got worse during training in most of the study's first trials."""
    if goal.others:
        return []
    first: dict[TrialId, float] = {}
    last: dict[TrialId, float] = {}
    for event in events:
        if isinstance(event, JobFinished):
            reports = [*(metrics for _, metrics in event.curve), event.metrics]
            losses = [goal.loss(metrics) for metrics in reports]
            first.setdefault(event.trial, losses[0])
            last[event.trial] = losses[-1]
            if len(last) > TRIALS_LOOKED_AT:
                break
    moved = [last[trial] - first[trial] for trial in last if last[trial] != first[trial]]
    worse = sum(change > 0 for change in moved)
    if len(moved) < LEAST_TRIALS or worse < LEAST_SHARE * len(moved):
        return []
    other = "min" if goal.mode == "max" else "max"
    return [
        one_line(
            f"{goal.metric} got worse with training in {worse} of {len(moved)} trials; if "
            f"mode={goal.mode!r} is a mistake, give mode={other!r}"
        )
    ]
