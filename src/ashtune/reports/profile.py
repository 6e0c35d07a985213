"""The profile of a study: where its training time went by function, all workers merged, in gprof's columns.

Source of the columns: Graham, Kessler, McKusick, *gprof: a call graph execution profiler*, SIGPLAN 1982.
"""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ashtune.analysis.functions import Totals, WorkingSeconds, totals_of
from ashtune.analysis.loading import events_of
from ashtune.core.errors import StudyError
from ashtune.core.numbers import plural, seconds_text, share_text, shortened
from ashtune.reports.page import html
from ashtune.reports.sections import Section
from ashtune.reports.tables import bare_table
from ashtune.study.journal import NAME
from ashtune.training.profiling.files import WorkerProfile, read_profiles

if TYPE_CHECKING:
    from plotly.graph_objects import Figure
    from rich.console import Group
    from rich.table import Table

TOP = 15


class ProfileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One function. What it cost a call is None where the stack was sampled, as calls were not counted.

    ``share`` is that of all self seconds; ``cumulative_seconds`` are the self seconds of this function and those
    listed before it; ``total_ms`` includes what it called.
    """

    share: float
    cumulative_seconds: float
    self_seconds: float
    calls: int | None
    self_ms: float | None
    total_ms: float | None
    name: str


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The profile of a study: ``seconds`` in functions, of ``worked_seconds`` that its journal has.

    These are the seconds of training and saving of all workers in the sessions that were profiled.
    """

    records: list[ProfileRecord]
    workers: int
    seconds: float
    worked_seconds: float
    problems: list[str]


def profile_of(study: Path) -> Profile | None:
    """Read the profile of a study, None if it was not profiled. Nothing of the study is executed.

    Calls that were counted in some sessions are not mixed with stacks sampled in others: these are left out.

    Raises:
        StudyError: If a worker's profile cannot be read.
    """
    profiles = list(read_profiles(study))
    if not profiles:
        return None
    working = WorkingSeconds()
    for event in events_of(study / NAME):
        working.event(event)
    merged = [profile for profile in profiles if profile.functions] or profiles
    records = flat_profile(merged)
    problems = [f"worker {profile.worker}: {profile.problem}" for profile in merged if profile.problem]
    if len(merged) < len(profiles):
        left_out = plural(len(profiles) - len(merged), "worker")
        problems.append(f"{left_out} of sessions whose stacks were sampled left out: see their flame graph")
    return Profile(
        records=records,
        workers=len(merged),
        seconds=records[-1].cumulative_seconds if records else 0.0,
        worked_seconds=working.seconds_beside([profile.worker for profile in merged]),
        problems=problems,
    )


def read_profile(study: Path) -> Profile:
    """Read the profile of a study that has to have one; see :func:`profile_of`.

    Raises:
        StudyError: If it was not profiled, or a worker's profile cannot be read.
    """
    profile = profile_of(study)
    if profile is None:
        raise StudyError(f"{study} was not profiled; run or resume it with --profile")
    return profile


def flat_profile(profiles: Sequence[WorkerProfile]) -> list[ProfileRecord]:
    """Merge workers' profiles; return a record for each function, the one with most self seconds first."""
    functions = sorted(totals_of(profiles).items(), key=lambda pair: (-pair[1].self_seconds, pair[0]))
    whole = sum(totals.self_seconds for _, totals in functions)
    running = accumulate(totals.self_seconds for _, totals in functions)
    return [
        _record(name, totals, whole, cumulative) for (name, totals), cumulative in zip(functions, running, strict=True)
    ]


def _record(name: str, totals: Totals, whole: float, cumulative: float) -> ProfileRecord:
    calls, primitive = totals.calls, totals.primitive_calls
    return ProfileRecord(
        share=totals.self_seconds / whole if whole > 0 else 0.0,
        cumulative_seconds=cumulative,
        self_seconds=totals.self_seconds,
        calls=calls or None,
        self_ms=1000 * totals.self_seconds / calls if calls else None,
        total_ms=1000 * totals.seconds / primitive if primitive else None,
        name=name,
    )


def profile_view(profile: Profile, top: int | None = TOP) -> "Group":
    """Return the profile as something rich can draw: what it covers, and its first functions; None: all of them."""
    from rich.console import Group
    from rich.text import Text

    lines = [Text(f"  {line}") for line in profile_words(profile, top)]
    return Group(Text("profile of training", "bold"), *lines, Text(), profile_table(profile, top))


def profile_words(profile: Profile, top: int | None = TOP) -> list[str]:
    """Say how much of the workers' time the profile accounts for, what it misses, and what a table leaves out."""
    whole = profile.worked_seconds
    share = f" ({share_text(profile.seconds / whole)})" if whole > 0 else ""
    covered = (
        f"{plural(profile.workers, 'worker')}; functions account for {seconds_text(profile.seconds)} of the "
        f"{seconds_text(whole)} spent training and saving{share}"
    )
    shown, records = profile.records[:top], profile.records
    if len(shown) == len(records):
        return [covered, *profile.problems]
    others = max(0.0, 1 - sum(record.share for record in shown))
    rest = f"not shown: {plural(len(records) - len(shown), 'other function')}, {share_text(others)} of that time"
    return [covered, *profile.problems, rest]


def profile_table(profile: Profile, top: int | None = TOP) -> "Table":
    """Return the first functions, or all, as a table with gprof's columns."""
    from rich.text import Text

    table = bare_table()
    for header in ("%\ntime", "cumulative\nseconds", "self\nseconds", "\ncalls", "self\nms/call", "total\nms/call"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("\nname", overflow="fold")
    for record in profile.records[:top]:
        table.add_row(
            f"{100 * record.share:.1f}",
            f"{record.cumulative_seconds:,.3f}",
            f"{record.self_seconds:,.3f}",
            "" if record.calls is None else f"{record.calls:,}",
            "" if record.self_ms is None else f"{record.self_ms:,.4f}",
            "" if record.total_ms is None else f"{record.total_ms:,.4f}",
            Text(record.name),
        )
    return table


def profile_figure(profile: Profile, top: int = TOP) -> "Figure":
    """Return the functions with most self seconds as bars, the first at the top."""
    from ashtune.reports.figures.plots import BLUE, blank, go

    shown = profile.records[:top]
    places = list(range(len(shown)))
    figure = blank(x="self time (s)", height=90 + 24 * len(shown))
    figure.add_trace(
        go().Bar(
            x=[record.self_seconds for record in shown],
            y=places,
            orientation="h",
            marker={"color": BLUE},
            text=[share_text(record.share) for record in shown],
            textposition="auto",
            hovertext=[_hover(record) for record in shown],
            hoverinfo="text",
            showlegend=False,
        )
    )
    names = [escape(shortened(record.name, 48)) for record in shown]
    figure.update_yaxes(autorange="reversed", tickvals=places, ticktext=names, showgrid=False)
    return figure


def _hover(record: ProfileRecord) -> str:
    calls = "" if record.calls is None else f" in {plural(record.calls, 'call')}"
    return f"{escape(record.name)}<br>{record.self_seconds:,.3f} s of its own{calls}, {share_text(record.share)}"


class ProfileSection(Section):
    """Where the training time went by function."""

    name, title = "profile", "Profile"

    def blocks(self) -> Iterator[html.Block]:
        profile = profile_of(self.study.directory)
        if profile is not None:
            yield html.figures(profile=profile_figure(profile))
            yield html.table(profile_table(profile))
            yield html.words(*profile_words(profile))
        elif self.study.info.is_simulated:
            yield html.words("This study was simulated.", style="quiet")
        else:
            remark = "Not profiled; `ashtune run --profile ...` or `ashtune resume --profile` adds it."
            yield html.words(remark, style="quiet")
