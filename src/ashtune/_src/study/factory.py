"""Builds a study's parts from the first line of the study's journal, and builds the first line of a
new journal.
"""

import math
import time
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.core.checks import MOST_WHOLE
from ashtune._src.core.errors import SettingsError, SpaceError
from ashtune._src.core.jobs import Goal, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import ObservedStudy
from ashtune._src.core.version import __version__
from ashtune._src.schedulers.scheduler_protocol import Machine, Scheduler
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS, SchedulerView, view_of
from ashtune._src.search.proposals import Proposals
from ashtune._src.search.search_protocol import Search
from ashtune._src.search.search_registry import SEARCHES, design_of
from ashtune._src.space.plain import identity
from ashtune._src.space.rules import Valid
from ashtune._src.space.space import Space
from ashtune._src.study.configurations import Configurations
from ashtune._src.study.controller import Controller
from ashtune._src.study.settings import Settings, first_ladder, names_of


class BuiltStudy(msgspec.Struct, frozen=True, kw_only=True):
    """A study's settings, and the parts that a driver builds from them. Each part is built only
    once.

    :func:`new_study` builds a new study from the user's arguments. :func:`built_study` builds an
    existing study from its journal. ``ladder`` is the ladder of the next session. It may have more
    rungs at the top than ``ladder_before``, the ladder of the session before. The controller has no
    events yet. If ``is_new`` is True, the journal has no events.
    """

    settings: Settings
    scheduler: Scheduler
    search: Search
    space: Space
    ladder: Ladder
    ladder_before: Ladder
    controller: Controller
    configurations: Configurations
    is_new: bool = False

    @property
    def caution(self) -> str:
        """A one-line warning if the search makes the scheduler's choices less reliable, else ""."""
        return _caution(self.scheduler, self.search)

    def view(self) -> SchedulerView:
        """Return a view of the scheduler. In this view, the machine that has received the results
        is the controller's machine.
        """
        # A second machine is built, because a view asks about a study without results. After the
        # first result, the controller's machine cannot answer such questions.
        view = scheduler_view(self.settings, self.ladder)
        return msgspec.structs.replace(view, told=self.controller.machine)


def new_study(
    *,
    name: str,
    goal: Goal,
    scheduler: Scheduler,
    ladder: Ladder,
    space: Space,
    search: Search,
    seed: int,
    **more: Any,
) -> BuiltStudy:
    """Return a new study, which is not on disk yet. ``more`` has additional fields of ``Settings``.

    Raises:
        SettingsError: If the settings cannot be written to a journal, or no study can be built from
            them.
    """
    rungs, kept = ladder.to_record()
    settings = Settings(
        ashtune=__version__,
        created=time.time(),
        name=name,
        goal=goal,
        scheduler=SCHEDULERS.record(scheduler),
        rungs=rungs,
        kept=kept,
        space=space.to_record(),
        valid=space.rules.valid is not None,
        search=SEARCHES.record(search),
        seed=seed,
        **more,
    )
    try:
        # The settings are encoded and decoded once, so that the study has the same values as a
        # resumed study.
        settings = msgspec.json.decode(msgspec.json.encode(settings), type=Settings)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise SettingsError(
            f"the study cannot be stored in a journal ({type(error).__name__}: {error})"
        ) from None
    if space.rules.has_clauses:
        # The study counts its invalid draws. The counts are reset, so that they include neither the
        # checks of enqueued configurations and earlier results nor the draws of another study with
        # the same Space.
        space = Space.from_record(settings.space, space.rules.valid)
    return _built(settings, scheduler, search, space, ladder, is_new=True)


def built_study(
    settings: Settings, ladder: Ladder | None = None, valid: Valid | None = None
) -> BuiltStudy:
    """Return the study of a journal.

    Args:
        ladder: The ladder of the last session; None for the study's first ladder.
        valid: The user's function that says which configurations are valid, if there is one.

    Raises:
        SettingsError: If the scheduler or the search is not installed, or does not fit the
            journal's first line.
    """
    with _first_line():
        scheduler = SCHEDULERS.read(settings.scheduler)
        search = SEARCHES.read(settings.search)
        space = Space.from_record(settings.space, valid)
        study = _built(settings, scheduler, search, space, ladder or first_ladder(settings))
    size = study.settings.configurations
    if settings.configurations != size:
        raise SettingsError(
            f"line 1 of the journal says configurations={settings.configurations}, but the search "
            f"that it describes has {size}; the journal was altered, or written by another version"
        )
    return study


def _built(
    settings: Settings,
    scheduler: Scheduler,
    search: Search,
    space: Space,
    ladder: Ladder,
    *,
    is_new: bool = False,
) -> BuiltStudy:
    """Build the controller and the configurations. In the returned settings, the number of
    configurations is set.
    """
    # The first session has already called `valid` for the given configurations.
    written = Space.from_record(settings.space) if space.rules.has_clauses else space
    others = settings.of_other_tasks
    design = design_of(
        search,
        space,
        settings.seed,
        enqueued=[written.check(each) for each in (*settings.enqueued, *others)],
        grouped_by=settings.grouped_by,
        trials=settings.grouped_for,
    )
    size = design.size  # raises if a finite space cannot be counted
    settings = msgspec.structs.replace(
        settings, configurations=size if size is not None and size <= MOST_WHOLE else None
    )
    # A search without a proposer needs no thread, no process and no copy of the results.
    proposals = None
    if search.has_proposer:
        proposals = Proposals(
            search,
            space,
            design,
            goal=settings.goal,
            seed=settings.seed,
            grouped_by=settings.grouped_by,
            known=_known(settings, written),
        )
    return BuiltStudy(
        settings=settings,
        scheduler=scheduler,
        search=search,
        space=space,
        ladder=ladder,
        ladder_before=ladder,
        controller=_controller(settings, scheduler.build(first_ladder(settings), 0, settings.seed)),
        configurations=Configurations(
            design,
            space=space,
            written=written,
            proposals=proposals,
            enqueued=len(settings.enqueued),
            of_other_tasks=len(others),
        ),
        is_new=is_new,
    )


def scheduler_view(settings: Settings, ladder: Ladder) -> SchedulerView:
    """Return a view of a study's scheduler for the study's present ladder, without importing a
    module.

    Raises:
        SettingsError: If the journal's first line names no scheduler, or has wrong options for it.
    """
    with _first_line():
        return view_of(settings.scheduler, first_ladder(settings), ladder, settings.seed)


@contextmanager
def _first_line() -> Iterator[None]:
    """If code in this context raises an error, add to the error's message that line 1 of the
    journal is the cause.
    """
    try:
        yield
    except (SpaceError, SettingsError) as error:
        raise SettingsError(f"line 1 of the journal: {error}") from None


def build_controller(settings: Settings, machine: Machine | None = None) -> Controller:
    """Return the controller of a study, before its first event.

    Args:
        machine: The machine of the study's scheduler; None to build one, which may import the
            scheduler's module.

    Raises:
        SettingsError: If the journal's first line names no scheduler or search, or the scheduler is
            not installed.
    """
    with _first_line():
        SEARCHES.check(settings.search)
        if machine is None:
            machine = SCHEDULERS.read(settings.scheduler).build(
                first_ladder(settings), 0, settings.seed
            )
    return _controller(settings, machine)


def _controller(settings: Settings, machine: Machine) -> Controller:
    return Controller(
        machine,
        settings.goal,
        configurations=settings.configurations,
        checkpoint_limit=settings.checkpoint_limit,
    )


def caution_of(settings: Settings) -> str:
    """Return a one-line warning if the search makes the scheduler's choices
    less reliable, else "".
    """
    scheduler = SCHEDULERS.part_or_reason(settings.scheduler)
    search = SEARCHES.part_or_reason(settings.search)
    if isinstance(scheduler, str) or isinstance(search, str):
        return ""
    return _caution(scheduler, search)


def _caution(scheduler: Scheduler, search: Search) -> str:
    if not (scheduler.takes_trials_for_alike and search.has_proposer):
        return ""
    return (
        "the scheduler expects random configurations, but the search proposes similar ones, which "
        "a low rung ranks less reliably"
    )


def _known(settings: Settings, space: Space) -> list[tuple[Result, dict[str, object]]]:
    """Return the results from before the study, with their configurations, in the form that a
    search needs.

    The rung of each result is the highest rung of the study's first ladder that the result's
    resource reaches.
    """
    ladder = first_ladder(settings)
    numbers = dict[object, TrialId]()
    known = []
    for each in (each for each in settings.known if not each.is_of_another_task):
        configuration = space.check(each.configuration)
        losses, violation = settings.goal.judged(each.metrics)
        if max(losses) == math.inf:
            raise SettingsError(f"an earlier result has no finite {settings.goal.metric}")
        number = numbers.setdefault(identity(configuration), TrialId(-1 - len(numbers)))
        rung = max(0, bisect_right(ladder.rungs, each.resource) - 1)
        known.append(
            (Result(number, rung, each.resource, losses, 0.0, violation=violation), configuration)
        )
    return known


def observed_study(settings: Settings, ladder: Ladder, directory: Path) -> ObservedStudy:
    """Return the description of a study, which observers receive before all events."""
    return ObservedStudy(
        name=settings.name,
        directory=str(directory.absolute()),
        created=settings.created,
        goal=settings.goal,
        ladder=ladder,
        hyperparameters=tuple(names_of(settings.space)),
        search=settings.search_name,
        seed=settings.seed,
        unit=settings.resource,
    )
