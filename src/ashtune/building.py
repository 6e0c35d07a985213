"""From the first line of a journal to the parts it names, and to the first line of a new one."""

import time
from collections.abc import Callable
from typing import Any

import msgspec

from ashtune import __version__
from ashtune.errors import SettingsError, SpaceError
from ashtune.jobs import Goal
from ashtune.ladder import Ladder
from ashtune.plaintext import shown
from ashtune.schedulers.ash import Ash
from ashtune.schedulers.full import FullTraining
from ashtune.schedulers.protocol import Scheduler
from ashtune.schedulers.sh import SuccessiveHalving
from ashtune.schedulers.stopping import StoppingAsh
from ashtune.search.enqueued import Enqueued
from ashtune.search.grid import GridSearch
from ashtune.search.grouped import Grouped
from ashtune.search.protocol import Indexed, Search
from ashtune.search.random import RandomSearch
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
SEARCHES = ("random", "grid")


def new_settings(
    *,
    name: str,
    goal: Goal,
    scheduler: str,
    ladder: Ladder,
    space: Space,
    search: dict[str, Any],
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
        search=search,
        seed=seed,
        **more,
    )
    try:
        again = msgspec.json.decode(msgspec.json.encode(settings), type=Settings)
        build_controller(again, build_search(again).size)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise SettingsError(f"the study cannot be written down ({type(error).__name__}: {error})") from None
    return settings


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


def build_controller(settings: Settings, configurations: int | None) -> Controller:
    """Return the controller of a study, before its first event.

    Args:
        settings: What the study is.
        configurations: How many its search can give: ``search.size``. A withdrawn trial is replaced
            only while there are more.
    """
    return Controller(
        build_scheduler(settings),
        settings.goal,
        configurations=configurations,
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


class _Recipe(msgspec.Struct):
    """The record of a search, with the types that it has when it was not altered."""

    kind: str
    points: int | dict[str, int] | None = None
    grouped: list[str] = []
    grouped_for: int | None = None


def build_search(settings: Settings) -> Search:
    """Return the search of a study: what was enqueued, then random or grid.

    Raises:
        SettingsError: If the search that the journal's first line describes is none.
    """
    try:
        msgspec.convert(settings.search, _Recipe)
        space = Space.from_record(settings.space)
        enqueued = [space.check(configuration) for configuration in settings.enqueued]
        search = search_named(settings.search, space, settings.seed, enqueued)
        search.size  # noqa: B018 - counting what a finite space has may refuse it
    except (SpaceError, SettingsError, msgspec.ValidationError) as error:
        raise SettingsError(f"line 1 of the journal describes no search: {error}") from None
    return search


def search_named(search: dict[str, Any], space: Space, seed: int, enqueued: list[dict[str, Any]]) -> Search:
    """Return the search of a kind.

    Raises:
        SettingsError: If there is none of that kind.
        SpaceError: If the space does not suit it, as a continuous parameter without grid points.
    """
    found: Indexed
    match search["kind"]:
        case "random":
            found = RandomSearch(space, seed)
        case "grid":
            found = GridSearch(space, search.get("points"))
        case kind:
            raise SettingsError(f"search={shown(kind)} is unknown; give one of {', '.join(SEARCHES)}")
    if search.get("grouped"):
        found = Grouped(found, tuple(search["grouped"]), search.get("grouped_for"))
    return Enqueued(enqueued, found) if enqueued else found
