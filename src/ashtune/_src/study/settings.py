"""The settings of a study (the first line of its journal), and the study's ladder.

Rule: a session may add rungs at the top. Such a session keeps the lower rungs and the fractions of
trials that these rungs promote. Therefore events of earlier sessions can be read with the longer
ladder.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from ashtune._src.core.checks import MOST_SEED, MOST_WHOLE
from ashtune._src.core.errors import JournalError, SettingsError
from ashtune._src.core.events import SessionStarted, UnixSeconds
from ashtune._src.core.jobs import Goal, KnownResult
from ashtune._src.core.ladder import Ladder
from ashtune._src.space.plain import identity

FORMAT = 2
"""The version of the journal's format."""
MOST_SHOWN = 60
"""Maximum number of characters of a value in a message."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The description of a study: the first line of its journal, which never changes.

    ``rungs`` and ``kept`` are the record of the study's first ladder. ``space``, ``scheduler`` and
    ``search`` are records of these parts (``core/parts.py``). ``enqueued`` are the configurations
    of the first trials. ``configurations`` is the number of all configurations, or None if there is
    no limit. ``known`` has results from before the study. The search learns only from results of
    the same task. From results of other tasks, only the configurations are used: they are trained
    after ``enqueued``. Trials with the same values of ``grouped_by`` come one after another, in
    groups. The size of a group depends on ``grouped_for``, the number of trials at the start.
    ``resource`` is the name of the unit of training, in the singular. If ``valid`` is True, the
    user gave a function that decides which configurations are valid. Only a driver needs this
    function. If ``simulated`` is True, no trial was really trained, and the study cannot be
    resumed.
    """

    format: int = FORMAT
    ashtune: str
    created: UnixSeconds
    name: str
    goal: Goal
    scheduler: dict[str, Any]
    rungs: tuple[int, ...]
    kept: tuple[tuple[int, int], ...]
    space: dict[str, Any]
    valid: bool = False
    search: dict[str, Any]
    enqueued: list[dict[str, Any]] = []
    known: list[KnownResult] = []
    grouped_by: tuple[str, ...] = ()
    grouped_for: Annotated[int, msgspec.Meta(ge=1, le=MOST_WHOLE)] | None = None
    resource: Annotated[str, msgspec.Meta(min_length=1, max_length=20)] = "epoch"
    configurations: Annotated[int, msgspec.Meta(ge=0, le=MOST_WHOLE)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, le=MOST_SEED)]
    checkpoint_limit: Annotated[int, msgspec.Meta(ge=0, le=MOST_WHOLE)] | None = None
    simulated: bool = False

    @property
    def of_other_tasks(self) -> list[dict[str, Any]]:
        """The configurations of other tasks, which are trained after ``enqueued``. Configurations
        that ``enqueued`` also contains are left out.
        """
        enqueued = {identity(each) for each in self.enqueued}
        others = [each.configuration for each in self.known if each.is_of_another_task]
        return [each for each in others if identity(each) not in enqueued]

    @property
    def search_name(self) -> str:
        """The name of the search, such as "random"."""
        return str(self.search.get("kind", ""))


def names_of(space: Mapping[str, Any]) -> Sequence[str]:
    """Return the names of the hyperparameters in the record of a space. If the record has no names,
    return nothing.
    """
    names = space.get("names")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else ()


def first_ladder(settings: Settings) -> Ladder:
    """Return the first ladder of a study."""
    return Ladder.from_record((settings.rungs, settings.kept))


def next_ladder(before: Ladder, session: SessionStarted) -> Ladder:
    """Return the ladder of a session. ``before`` is the ladder of the previous session.

    Raises:
        JournalError: If the session changes an earlier rung instead of adding rungs above.
    """
    if not session.rungs:
        return before
    try:
        after = Ladder.from_record((session.rungs, session.kept))
    except SettingsError as error:
        raise JournalError(f"the rungs of a session are invalid: {error}") from None
    if not before.is_start_of(after):
        raise JournalError(
            f"the rungs change from {before} to {after}, but rungs may be added only above"
        )
    return after


def extend_ladder(first: Ladder, now: Ladder, wanted: Ladder) -> Ladder | None:
    """Return the ladder with which a study continues if the user gives the ladder ``wanted``.

    The returned ladder is the present ladder ``now``, lengthened up to the top rung of ``wanted``.
    If ``wanted`` does not reach the top rung of ``first``, or differs from ``first`` below this
    rung, the function returns None.
    """
    top = first.rungs[-1]
    low = first.top
    same = wanted.rungs[:low] == first.rungs[:low] and wanted.kept[:low] == first.kept[:low]
    if not same or wanted.rungs[-1] < top:
        return None
    if now.is_start_of(wanted):
        return wanted
    return now if wanted.rungs[-1] <= now.rungs[-1] else now.lengthened(wanted.rungs[-1])
