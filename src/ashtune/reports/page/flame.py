"""A flame graph of a study's training, all workers merged: one page, drawn by pyinstrument."""

import re
import sys
from pathlib import Path

from ashtune.core.errors import StudyError
from ashtune.study.disk import DISK, write_new
from ashtune.training.profiling.files import FOLDER, WorkerProfile, read_profiles

NAME = f"{FOLDER}/flame.html"
_FONT = re.compile(r"https://fonts\.googleapis\.com/[^\"]*")  # the page does without
_OPENS_AS = ('{viewMode:"call-stack"}', '{viewMode:"timeline"}')


def write_flame_graph(study: Path) -> Path | None:
    """Draw what the workers' samplers saw.

    Args:
        study: The study's directory.

    Returns:
        The page's path; None if nothing was sampled.

    Raises:
        StudyError: If a profile cannot be read or the page not be written.
    """
    profiles = [profile for profile in read_profiles(study) if profile.stacks]
    if not profiles:
        return None
    path = study / NAME
    try:
        write_new(DISK, str(path), flame_graph(profiles).encode())
    except OSError as error:
        raise StudyError(f"{path}: {error.strerror}; make room; what was found so far is kept") from None
    return path


def flame_graph(profiles: list[WorkerProfile]) -> str:
    """Return the flame graph as a page that needs no network.

    Equal stacks lie side by side, whenever and wherever they were seen, so that what pyinstrument calls a timeline is
    a flame graph: width is time, and what calls lies on top of what it calls.
    """
    from pyinstrument.renderers import HTMLRenderer
    from pyinstrument.session import Session

    records = sorted(
        ([_harmless(profile.frames[place]) for place in stack.frames], stack.seconds)
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
    page = HTMLRenderer(resample_interval=0).render(session).replace(*_OPENS_AS)  # its reader may switch
    return _FONT.sub("data:text/css,", page)


def _harmless(frame: str) -> str:
    """Return a function's name such that it cannot end the page's script, in which it stands."""
    return frame.replace("</", "< /").replace("<!", "< !")
