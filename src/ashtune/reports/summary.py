"""The end of a study: what was found, where the time went, what failed and why, and how to go on.

It is in plain ASCII but for what comes from the user, and the same with colours and without.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune.analysis.counts import BestResult
from ashtune.analysis.loading import Outcome
from ashtune.analysis.reasons import Reasons
from ashtune.analysis.tally import Tally
from ashtune.analysis.timeline import Timeline
from ashtune.analysis.timeline_times import RungTimes, TimeShares, rung_times, time_shares
from ashtune.core.numbers import number_text, plural, value_text
from ashtune.reports.rungs import rung_records, rung_table, time_line
from ashtune.reports.study_info import About

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.text import Text

GROUPS_SHOWN = 5
TRACEBACK_LINES = 12
INDENT = "  "
HEADING, QUIET, GOOD, BAD, WARNING = "bold", "bright_black", "bold green", "red", "yellow"


def summary(tally: Tally, about: About, outcome: Outcome, timeline: Timeline | None = None) -> "Group":
    """Return the summary of a study as something rich can draw.

    Args:
        tally: The study's counts.
        about: The study.
        outcome: How it ended.
        timeline: Of the same study, with its orders: it knows how busy the workers were.
    """
    from rich.console import Group
    from rich.padding import Padding

    expected = about.expected(tally.most_trials)
    shares, times = _times(timeline)
    table = rung_table(rung_records(tally, expected, times), unit=about.unit)
    parts: list[RenderableType] = [*_head(tally, about, outcome), *_best(tally, about)]
    parts += [
        _line("time by rung", HEADING),
        Padding(table, (0, 0, 0, len(INDENT))),
        _line(time_line(tally, shares, unit=about.unit)),
    ]
    parts.append(_line(""))
    for reasons, what, style in (
        (tally.failures, "failed", BAD),
        (tally.withdrawals, "withdrawn", WARNING),
    ):
        parts += _trouble(reasons, f"{plural(reasons.total, 'trial')} {what}", style)
    parts += _trouble(
        tally.lost_workers, f"{plural(tally.lost_workers.total, 'worker')} lost", WARNING, shows_traceback=False
    )
    if notes := outcome.notes_with(tally):
        parts += [_line("notes", HEADING), *(_indented(note, 1, WARNING) for note in notes), _line("")]
    parts.append(_line(f"kept in {about.directory}"))
    if about.missing:
        parts.append(_line(about.missing, WARNING))
    if not outcome.is_complete and not about.is_simulated:
        parts.append(_line(f"go on with: ashtune resume {about.directory}", HEADING))
    return Group(*parts)


def report_data(tally: Tally, about: About, outcome: Outcome, timeline: Timeline | None = None) -> dict[str, Any]:
    """Return what the summary says as a dict that JSON can hold."""
    expected = about.expected(tally.most_trials)
    shares, times = _times(timeline)
    return {
        "name": about.name,
        "scheduler": about.scheduler.name,
        "directory": about.directory,
        "metric": tally.goal.metric,
        "mode": tally.goal.mode,
        "unit": about.unit,
        "is_complete": outcome.is_complete,
        "stopped": outcome.stopped or None,
        "best": _best_data(tally.best, about),
        "best_at_any_rung": _best_data(tally.best_at_any_rung, about),
        "rungs": msgspec.to_builtins(rung_records(tally, expected, times)),
        "trials": {
            "allowed": tally.most_trials,
            "started": tally.started,
            "tried": tally.tried,
            "failed": tally.failures.total,
            "withdrawn": tally.withdrawn,
            "ended_early": tally.ended_early,
            "trained_again_from_the_start": tally.retrained,
        },
        "jobs": tally.arrived,
        "jobs_broken_off": tally.broken_off,
        "epochs": tally.epochs,
        "sessions": tally.sessions,
        "wall_seconds": tally.wall_seconds,
        "training_seconds": tally.training_seconds if shares is None else shares.trained,
        "failed_seconds": None if shares is None else shares.failed,
        "saving_seconds": tally.saving_seconds if shares is None else shares.saving,
        "compile_seconds": tally.compile_seconds,
        "programs_by_lanes": {str(lanes): count for lanes, count in sorted(tally.programs.items())},
        "worker_seconds": tally.presence,
        "utilisation": shares.utilisation if shares is not None and shares.presence > 0 else None,
        "checkpoint_bytes": about.checkpoint_bytes(),
        "failures": _reasons_data(tally.failures),
        "withdrawals": _reasons_data(tally.withdrawals),
        "lost_workers": _reasons_data(tally.lost_workers),
        "missing": about.missing or None,
        "notes": outcome.notes_with(tally),
    }


def _times(timeline: Timeline | None) -> tuple[TimeShares | None, Sequence[RungTimes] | None]:
    return (None, None) if timeline is None else (time_shares(timeline), rung_times(timeline))


def _line(text: str, style: str = "") -> "Text":
    from rich.text import Text

    return Text(text, style)


def _indented(text: str, times: int = 1, style: str = "") -> "RenderableType":
    """Return a text that stays indented where it wraps."""
    from rich.padding import Padding

    return Padding(_line(text, style), (0, 0, 0, times * len(INDENT)))


def _head(tally: Tally, about: About, outcome: Outcome) -> "Iterator[RenderableType]":
    line = _line("").append(about.name, HEADING).append(f"  {about.scheduler.name}, {plural(tally.tried, 'trial')}, ")
    yield line.append(outcome.text, "" if outcome.is_complete else WARNING)
    yield _line("")


def _best(tally: Tally, about: About) -> "Iterator[RenderableType]":
    best, anywhere = tally.best, tally.best_at_any_rung
    if best is None:
        yield from (_line("no trial has a result", BAD), _line(""))
        return
    metric = tally.goal.metric
    top = ", the top rung" if best.rung == tally.ladder.top else ", the highest rung reached"
    line = _line("").append("best  ", HEADING).append(f"{metric} = {_value(best, metric)}", GOOD)
    yield line.append(f" at {about.unit} {best.resource:,}{top} (trial {best.trial})")
    yield from _aligned(about.configuration(best.trial))
    others = {name: number_text(value) for name, value in best.metrics.items() if name != metric}
    if others:
        yield _line(INDENT + "with " + ", ".join(f"{name} = {value}" for name, value in others.items()), QUIET)
    if anywhere is not None and anywhere.loss < best.loss:
        yield _line("")
        line = _line("best at any rung  ", HEADING).append(f"{metric} = {_value(anywhere, metric)}", "")
        yield line.append(f" at {about.unit} {anywhere.resource:,} (trial {anywhere.trial})")
        if anywhere.trial != best.trial:
            yield from _aligned(about.configuration(anywhere.trial))
    yield _line("")


def _value(best: BestResult, metric: str) -> str:
    return number_text(best.metrics.get(metric), digits=6)


def _aligned(configuration: Mapping[str, Any]) -> "Iterator[RenderableType]":
    longest = max(map(len, configuration), default=0)
    for name, value in configuration.items():
        shown = number_text(value, digits=6) if type(value) is float else value_text(value)
        yield _line(f"{INDENT}{name:<{longest}}  {shown}")


def _trouble(reasons: Reasons, what: str, style: str, *, shows_traceback: bool = True) -> "Iterator[RenderableType]":
    """Yield what went wrong by reason, each with the first trial it befell and its traceback."""
    if not reasons.total:
        return
    yield _line(what, f"{HEADING} {style}")
    groups = reasons.groups()
    for group in groups[:GROUPS_SHOWN]:
        first = "" if group.trial is None else f" (first: trial {group.trial} on the way to rung {group.rung})"
        yield _indented(f"{group.count:,} x {' '.join(group.reason.split())}{first}")
        if shows_traceback:
            lines = group.traceback.rstrip().splitlines()
            cut = ["..."] if len(lines) > TRACEBACK_LINES else []
            yield from (_indented(line, 3, QUIET) for line in cut + lines[-TRACEBACK_LINES:])
    if unseen := reasons.total - sum(group.count for group in groups[:GROUPS_SHOWN]):
        yield _line(f"{INDENT}{unseen:,} for other reasons")
    yield _line("")


def _best_data(best: BestResult | None, about: About) -> dict[str, Any] | None:
    if best is None:
        return None
    return {
        "trial": best.trial,
        "rung": best.rung,
        "resource": best.resource,
        "metrics": dict(best.metrics),
        "configuration": dict(about.configuration(best.trial)),
    }


def _reasons_data(reasons: Reasons) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = msgspec.to_builtins(reasons.groups())
    return groups
