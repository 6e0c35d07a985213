"""Shows the profile of a study, which is the training time of each function, as a table and as a
flame graph.

Rule: function names are shown with printable characters only, since a study may come from another
person.

Source of the flat profile: Graham, Kessler, McKusick, *gprof: a call graph execution profiler*,
SIGPLAN 1982. A sampling profiler counts no calls, so the table has no time per call.
"""

# Theory of operation
# -------------------
# With --profile each worker samples its stack about once a millisecond, and writes the stacks to
# profile/worker-N.json (``training/profiling.py``). Decision 50
# (docs/decisions/0050-one-profiler.md) says why stacks, and why pyinstrument. This module reads the
# files and merges the workers: for the terminal, the page and a notebook as a flat profile
# (flat_profile), for the browser as a flame graph (flame_graph).
#
# A stack's seconds are the self time of its last function and the total time of each function in
# it. So self times add up to the whole, and total times do not. The time after a job's last sample,
# and the job in which a worker was killed, are in no file: therefore profile_words() compares the
# sum with the training time in the journal.
#
# A file may come from another person, who could write any text as the name of a function:
#
#   what the file may try                 what stops it
#   ------------------------------------  --------------------------------------------------------
#   control characters for the terminal   _printable()
#   markup on the page                    a table's cells and a figure's texts are shown as text
#   to end the script of the flame graph  "</" and "<!" get a space: pyinstrument writes the names
#                                         into a script of its page
#   code, as a pickle could have          the file is JSON of known types

import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ashtune._src.core.errors import StudyError, instead_of_os_error
from ashtune._src.core.events import (
    JobFailed,
    JobFinished,
    JobPaused,
    TrialReleased,
    TrialWithdrawn,
)
from ashtune._src.core.numbers import plural, quotient, seconds_text, share_text, shortened
from ashtune._src.figures.axes import choice_axis
from ashtune._src.figures.figure import Axis, Figure, Series
from ashtune._src.figures.looks import BLUE
from ashtune._src.reports import html
from ashtune._src.reports.tables import HEADING, INDENT, line, numbers_table
from ashtune._src.reports.view import Section
from ashtune._src.study.disk import DISK, write_new
from ashtune._src.study.journal import NAME, read_events
from ashtune._src.training.profiling import FOLDER, WorkerProfile, read_profiles

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

TOP = 15
FLAME = f"{FOLDER}/flame.html"
"""The flame graph's path in the study's directory."""
_LIBRARY = re.compile(r".*/(?:site-packages|dist-packages|python3\.[0-9]+)/")
_PACKAGE = f"{Path(__file__).parents[3]}/"
_WORK = (JobFinished, JobFailed, JobPaused, TrialWithdrawn, TrialReleased)
_FONT = re.compile(r"https://fonts\.googleapis\.com/[^\"]*")  # this part is removed from the page
_OPENS_AS = ('{viewMode:"call-stack"}', '{viewMode:"timeline"}')


class ProfileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The times of one function of the profile.

    ``share`` is the function's share of all self seconds. ``cumulative_seconds`` is the sum of the
    self seconds of this function and all functions above it in the table. ``seconds`` includes the
    time of called functions.
    """

    share: float
    cumulative_seconds: float
    self_seconds: float
    seconds: float
    name: str


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The profile of a study. ``seconds`` is the time of all functions in the profile.

    ``worked_seconds`` is the time of training and saving by workers that have a profile, read from
    the journal.
    """

    records: list[ProfileRecord]
    workers: int
    seconds: float
    worked_seconds: float


def profile_of(study: Path) -> Profile | None:
    """Read the profile of a study. If the study was not profiled, return None. No code of the study
    is executed.

    Raises:
        StudyError: If a worker's profile cannot be read.
    """
    profiles = list(read_profiles(study))
    if not profiles:
        return None
    workers = {profile.worker for profile in profiles}
    events = read_events(study / NAME)
    worked = sum(
        event.seconds for event in events if isinstance(event, _WORK) and event.worker in workers
    )
    records = flat_profile(profiles)
    return Profile(
        records=records,
        workers=len(profiles),
        seconds=records[-1].cumulative_seconds if records else 0.0,
        worked_seconds=worked,
    )


def read_profile(study: Path) -> Profile:
    """Read the profile of a study. See :func:`profile_of`.

    Raises:
        StudyError: If the study was not profiled, or a worker's profile cannot be read.
    """
    profile = profile_of(study)
    if profile is None:
        raise StudyError(f"the study in {study} was not profiled; run or resume it with --profile")
    return profile


def _name(frame: str, here: str) -> str:
    """Return a text with the file, line and name of a function, read from pyinstrument's identifier
    of the function.
    """
    identity, _, attributes = frame.partition("\x01")
    name, file, line = (*identity.split("\x00"), "", "")[:3]
    if file == "<built-in>":
        return _printable(f"{{built-in {name}}}")
    if attributes.startswith("c"):
        name = f"{attributes[1:]}.{name}"
    file = _LIBRARY.sub("", file.removeprefix(here).removeprefix(_PACKAGE))
    return _printable(f"{file}:{line} {name}")


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def flat_profile(profiles: Sequence[WorkerProfile]) -> list[ProfileRecord]:
    """Merge the workers' profiles. Return a record for each function, sorted by decreasing self
    seconds.
    """
    here = f"{Path.cwd()}/"
    own = defaultdict[str, float](float)
    total = defaultdict[str, float](float)
    for profile in profiles:
        names = [_name(frame, here) for frame in profile.frames]
        for stack in profile.stacks:
            # a recursive function is counted only once in a stack
            for name in dict.fromkeys(names[place] for place in stack.frames):
                total[name] += stack.seconds
            own[names[stack.frames[-1]]] += stack.seconds
    order = sorted(total, key=lambda name: (-own[name], name))
    whole = sum(own.values())
    running = accumulate(own[name] for name in order)
    return [
        ProfileRecord(
            share=quotient(own[name], whole),
            cumulative_seconds=cumulative,
            self_seconds=own[name],
            seconds=total[name],
            name=name,
        )
        for name, cumulative in zip(order, running, strict=True)
    ]


def profile_view(profile: Profile, top: int | None = TOP) -> "Group":
    """Return the profile as a rich group. If ``top`` is None, the table has all functions."""
    from rich.console import Group

    lines = [line(INDENT + words) for words in profile_words(profile, top)]
    return Group(
        line("profile of training", HEADING), *lines, line(""), profile_table(profile, top)
    )


def profile_words(profile: Profile, top: int | None = TOP) -> list[str]:
    """Return sentences about the total time of all functions, and about the time of the functions
    that are not in the table.
    """
    whole = profile.worked_seconds
    covered = (
        f"{plural(profile.workers, 'worker')}; functions account for "
        f"{seconds_text(profile.seconds)} of the {seconds_text(whole)} spent training and saving"
    )
    if whole > 0:
        covered += f" ({share_text(profile.seconds / whole)})"
    shown = profile.records[:top]
    missing = len(profile.records) - len(shown)
    if not missing:
        return [covered]
    others = max(0.0, 1 - sum(record.share for record in shown))
    rest = f"not shown: {plural(missing, 'other function')}, {share_text(others)} of that time"
    return [covered, rest]


def profile_table(profile: Profile, top: int | None = TOP) -> "Table":
    """Return the first ``top`` functions as a table. If ``top`` is None, the table has all
    functions.
    """
    from rich.text import Text

    table = numbers_table(
        "%\ntime", "cumulative\nseconds", "self\nseconds", "total\nseconds", no_wrap=True
    )
    table.add_column("\nname", overflow="fold")
    for record in profile.records[:top]:
        table.add_row(
            f"{100 * record.share:.1f}",
            f"{record.cumulative_seconds:,.3f}",
            f"{record.self_seconds:,.3f}",
            f"{record.seconds:,.3f}",
            Text(record.name),
        )
    return table


def profile_figure(profile: Profile, top: int = TOP) -> Figure:
    """Return a figure with a bar for each of the ``top`` functions with the most self seconds."""
    shown = profile.records[:top]
    seconds = [record.self_seconds for record in shown]
    places = list(range(len(shown)))
    bars = Series(
        kind="bars", x=[0.0] * len(shown), end=seconds, y=places, color=BLUE, name="self time",
        words=[f"{share_text(record.share)} of the time" for record in shown],
    )  # fmt: skip
    return Figure(
        x=Axis(
            name="self time", title="self time (s)", high=1.05 * max(seconds, default=1.0) or 1.0
        ),
        y=choice_axis(
            "function", [shortened(record.name, 48) for record in shown], is_downward=True
        ),
        series=[bars],
        height=60 + 24 * len(shown),
    )


def write_flame_graph(study: Path) -> Path | None:
    """Write the workers' samples as a flame graph: a page that pyinstrument draws.

    Returns:
        The path of the page, or None if there are no samples.

    Raises:
        StudyError: If a profile cannot be read or the page cannot be written.
    """
    profiles = [profile for profile in read_profiles(study) if profile.stacks]
    if not profiles:
        return None
    path = study / FLAME
    with instead_of_os_error(
        StudyError, path, "free some disk space; the recorded profiles are kept"
    ):
        write_new(DISK, str(path), flame_graph(profiles).encode())
    return path


def flame_graph(profiles: list[WorkerProfile]) -> str:
    """Return the flame graph as a page that needs no network.

    Equal call stacks are placed side by side. Therefore pyinstrument's timeline is a flame graph:
    the width of a function is its time, and each function is drawn below its caller.
    """
    from pyinstrument.renderers import HTMLRenderer
    from pyinstrument.session import Session

    records = sorted(
        (
            [
                profile.frames[place].replace("</", "< /").replace("<!", "< !")
                for place in stack.frames
            ],
            stack.seconds,
        )
        for profile in profiles
        for stack in profile.stacks
    )
    session = Session(
        frame_records=records,
        start_time=min(profile.unix_time for profile in profiles),
        duration=sum(seconds for _, seconds in records),
        min_interval=0.001,
        max_interval=0.001,
        sample_count=sum(profile.samples for profile in profiles),
        start_call_stack=[""],
        target_description=f"training in {len(profiles)} worker{'s' * (len(profiles) > 1)}, merged",
        cpu_time=sum(profile.cpu_seconds for profile in profiles),
        sys_path=sys.path,
        sys_prefixes=Session.current_sys_prefixes(),
    )
    # readers can change this on the page
    page = HTMLRenderer(resample_interval=0).render(session).replace(*_OPENS_AS)
    return _FONT.sub("data:text/css,", page)


class ProfileSection(Section):
    """The report section of the profile: training time by function."""

    name = "profile"
    title = "Profile"

    def lines(self) -> tuple[()]:
        """Return nothing, since the blocks are long, and only the page shows them."""
        return ()

    def blocks(self) -> Iterator[html.Block]:
        profile = profile_of(self.study.directory)
        if profile is not None:
            yield html.figures(profile=profile_figure(profile))
            yield html.table(profile_table(profile))
            yield html.words(*profile_words(profile))
