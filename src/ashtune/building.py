"""From the first line of a journal to the parts it names, and to the first line of a new one."""

import time
from collections.abc import Callable
from typing import Any

import msgspec

from ashtune import __version__
from ashtune.errors import SettingsError, SpaceError
from ashtune.jobs import Goal
from ashtune.ladder import MOST_WHOLE, Ladder
from ashtune.plaintext import shown
from ashtune.schedulers.ash import Ash
from ashtune.schedulers.full import FullTraining
from ashtune.schedulers.protocol import Scheduler
from ashtune.schedulers.sh import SuccessiveHalving
from ashtune.schedulers.stopping import StoppingAsh
from ashtune.search.protocol import Design, Search
from ashtune.search.registry import SEARCHES, design_of
from ashtune.search.space import Space
from ashtune.study.controller import Controller
from ashtune.study.journal import Settings
from ashtune.study.ladders import first_ladder

SCHEDULERS: dict[str, Callable[[Ladder, int], Scheduler]] = {
    "ash": Ash,
    "stopping": StoppingAsh,
    "sh": SuccessiveHalving,
    "full": FullTraining,
}


def new_settings(
    *,
    name: str,
    goal: Goal,
    scheduler: str,
    ladder: Ladder,
    space: Space,
    search: Search,
    seed: int,
    **more: Any,
) -> Settings:
    """Return the first line of a new study's journal, made now; for ``more`` see there.

    Raises:
        SettingsError: If a journal cannot hold it, or a study not be made of what it would hold.
    """
    rungs, kept = ladder.to_record()
    settings = Settings(
        ashtune=__version__,
        created=time.time(),
        name=name,
        goal=goal,
        scheduler=scheduler,
        rungs=rungs,
        kept=kept,
        space=space.to_record(),
        search=SEARCHES.record(search),
        seed=seed,
        **more,
    )
    try:
        again = msgspec.json.decode(msgspec.json.encode(settings), type=Settings)
        build_controller(again)
        size = _whole(_design(again).size)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise SettingsError(f"the study cannot be written down ({type(error).__name__}: {error})") from None
    return msgspec.structs.replace(settings, configurations=size)


def build_scheduler(settings: Settings, ladder: Ladder | None = None) -> Scheduler:
    """Return the scheduler of a study, with no trial allowed yet: its first session says how many.

    Args:
        settings: What the study is.
        ladder: Its rungs; those it began with by default.

    Raises:
        SettingsError: If there is no such scheduler.
    """
    if settings.scheduler not in SCHEDULERS:
        raise SettingsError(
            f"line 1 of the journal names the scheduler {shown(settings.scheduler)}, which is unknown; there are "
            f"{', '.join(SCHEDULERS)}"
        )
    return SCHEDULERS[settings.scheduler](first_ladder(settings) if ladder is None else ladder, 0)


def build_controller(settings: Settings) -> Controller:
    """Return the controller of a study, before its first event.

    Raises:
        SettingsError: If the journal's first line names no scheduler or no search.
    """
    try:
        SEARCHES.check(settings.search)
    except SettingsError as error:
        raise SettingsError(f"line 1 of the journal: {error}") from None
    return Controller(
        build_scheduler(settings),
        settings.goal,
        configurations=settings.configurations,
        checkpoint_limit=settings.checkpoint_limit,
    )


def scheduler_named(name: str) -> Callable[[Ladder, int], Scheduler]:
    """Return a scheduler's class.

    Raises:
        SettingsError: If there is none of that name.
    """
    if not isinstance(name, str) or name not in SCHEDULERS:
        raise SettingsError(f"scheduler={shown(name)} is unknown; give one of {', '.join(SCHEDULERS)}")
    return SCHEDULERS[name]


def build_design(settings: Settings) -> Design:
    """Return the configurations of a study: what was enqueued, then those of its search.

    Raises:
        SettingsError: If its search is not installed here, or the journal's first line describes none.
    """
    design = _design(settings)
    size = _whole(design.size)
    if settings.configurations != size:
        raise SettingsError(
            f"line 1 of the journal says configurations={settings.configurations} where its search has {size}; it was "
            "altered, or written by another version of the search"
        )
    return design


def _design(settings: Settings) -> Design:
    try:
        search = SEARCHES.read(settings.search)
        space = Space.from_record(settings.space)
        design = design_of(
            search,
            space,
            settings.seed,
            enqueued=[space.check(configuration) for configuration in settings.enqueued],
            grouped_by=settings.grouped_by,
            trials=settings.grouped_for,
        )
        design.size  # noqa: B018 - counting what a finite space has may refuse it
    except (SpaceError, SettingsError) as error:
        raise SettingsError(f"line 1 of the journal describes no search: {error}") from None
    return design


def _whole(size: int | None) -> int | None:
    """Return the size of a design, None where it is too large for a journal."""
    return size if size is not None and size <= MOST_WHOLE else None
