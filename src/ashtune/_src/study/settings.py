"""The settings of a study: what it is, as the first line of its journal says, where two differ, and its ladder.

Rule: sessions may add rungs above. A rung that was there stays, with its number and what goes on from it, so whatever
happened before means the same on the longer ladder, which may be taken for the whole of a journal.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from ashtune._src.core.errors import JournalError, SettingsError
from ashtune._src.core.events import SessionStarted, UnixSeconds
from ashtune._src.core.jobs import Goal, KnownResult
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.parts import as_text

FORMAT = 2
"""Of the journal."""
MOST_SHOWN = 60
"""Characters of a value that a message shows."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a study is: the first line of its journal, never changed after.

    ``rungs`` and ``kept`` are the record of the ladder at first (a session may add rungs above),
    ``space`` the search space's, ``scheduler`` and ``search`` those of these parts (``core/parts.py``),
    ``enqueued`` the configurations that come first, ``configurations`` how many there are in all (None: no end).
    ``known`` are results from before that its search knows, and no trials. Trials that share the hyperparameters
    ``grouped_by`` come in runs, whose length depends on ``grouped_for``, the number of trials at first. ``resource`` is
    what it counts, in the singular. ``valid``: a function of the user's says which configurations are valid; it is not
    needed to read the study. ``simulated``: nothing was trained, and there is nothing to resume.
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
    grouped_for: Annotated[int, msgspec.Meta(ge=1)] | None = None
    resource: Annotated[str, msgspec.Meta(min_length=1, max_length=20)] = "epoch"
    configurations: Annotated[int, msgspec.Meta(ge=0)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=0)]
    checkpoint_limit: Annotated[int, msgspec.Meta(ge=0)] | None = None
    simulated: bool = False

    @property
    def search_name(self) -> str:
        """The name of the search, as "random"."""
        return str(self.search.get("kind", ""))


def names_of(space: Mapping[str, Any]) -> Sequence[str]:
    """Return the hyperparameters that the record of a space names; nothing if it names none."""
    names = space.get("names")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else ()


def differences(there: Settings, here: Settings) -> list[str]:
    """Return in words where two studies differ, names and dates aside; nothing if they are the same."""
    same = msgspec.json.decode(msgspec.json.encode(here), type=Settings)  # tuples read back as the file has them
    return [
        _difference(field, getattr(there, field), getattr(same, field))
        for field in Settings.__struct_fields__
        if field not in ("format", "ashtune", "created", "name") and getattr(there, field) != getattr(same, field)
    ]


def _difference(name: str, there: Any, here: Any) -> str:
    """Name where two values differ, as far inside of them as they are too long to be shown whole."""
    one, other = _parts(there), _parts(here)
    if one and other and max(len(repr(there)), len(repr(here))) > MOST_SHOWN:
        for part in one | other:
            if one.get(part) != other.get(part):
                return _difference(name if part in _WRAPPERS else f"{name}.{part}", one.get(part), other.get(part))
    return f"{name} = {_short(there)} and not {_short(here)}"


def _parts(value: object) -> dict[str, Any]:
    """Return what a value of a record is made of, by name: of a list by the names in it, else by place."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list | tuple):
        return {}
    return {
        str(part["name"] if isinstance(part, dict) and "name" in part else at): part for at, part in enumerate(value)
    }


_WRAPPERS = ("space", "hyperparameters")
"""Names in the record of a space that say nothing to its user."""


def _short(value: object) -> str:
    if isinstance(value, dict) and "kind" in value:
        value = as_text(value)
    text = str(value) if isinstance(value, Goal) else repr(value)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 3] + "..."


def first_ladder(settings: Settings) -> Ladder:
    """Return the ladder that a study began with."""
    return Ladder.from_record((settings.rungs, settings.kept))


def next_ladder(before: Ladder, session: SessionStarted) -> Ladder:
    """Return the ladder from the start of a session on.

    Raises:
        JournalError: If it does not have the rungs there were, with others above.
    """
    if not session.rungs:
        return before
    try:
        after = Ladder.from_record((session.rungs, session.kept))
    except SettingsError as error:
        raise JournalError(f"the ladder of a session is none: {error}") from None
    if not before.is_start_of(after):
        raise JournalError(f"the ladder becomes {after}, and was {before}: rungs may only be added above")
    return after


def extend_ladder(first: Ladder, now: Ladder, wanted: Ladder) -> Ladder | None:
    """Return the ladder with which a study goes on that is asked for again with the ``wanted`` one.

    It is the one in force, ``now``, with the wanted rungs above it; None if the wanted one has other rungs below the
    top of the ``first``, with which the study began.
    """
    top, low = first.rungs[-1], first.top
    same = wanted.rungs[:low] == first.rungs[:low] and wanted.kept[:low] == first.kept[:low]
    if not same or wanted.rungs[-1] < top:
        return None
    if now.is_start_of(wanted):
        return wanted
    return now if wanted.rungs[-1] <= now.rungs[-1] else now.lengthened(wanted.rungs[-1])
