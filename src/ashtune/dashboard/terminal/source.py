"""Where the page in the terminal has its numbers from, and what it asks for."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from ashtune.core.errors import AshtuneError

Part = Mapping[str, Any]
"""A part of a study as the page in the browser is sent it: plain values."""
UNMADE = "is_unmade"
"""A part that could not be made has this key; all others are as where there is no study."""


class Trials(msgspec.Struct, frozen=True):
    """A question for ``count`` trials that match, in an order, from the place ``offset`` on."""

    search: str
    sort: str
    is_ascending: bool
    offset: int
    count: int


class Source(Protocol):
    """A study that is followed. All methods may be called from any thread."""

    def parts(self) -> Mapping[str, Part]:
        """Return the parts of the study as it is now; none while there is no study.

        A part that has not changed is the same object as before.
        """

    def trouble(self) -> str:
        """Return in one line why there are no news, as where there is no study yet; nothing if all is well."""

    def trials(self, question: Trials) -> Part:
        """Return the trials that were asked for, and how many match. O(trials).

        Raises:
            AshtuneError: If the search cannot be understood.
        """

    def trial(self, number: int) -> Part:
        """Return all that is known of a trial.

        Raises:
            AshtuneError: If there is no such trial.
        """


class Wanted(msgspec.Struct, frozen=True):
    """What is on the screen beside the parts: trials, and one trial by its number."""

    trials: Trials | None = None
    trial: int | None = None


class News(msgspec.Struct, frozen=True):
    """What a source said. ``refusal`` is why trials or a trial that were wanted are not there, in one line."""

    parts: Mapping[str, Part]
    trouble: str
    trials: Part | None = None
    trial: Part | None = None
    refusal: str = ""


def news(source: Source, wanted: Wanted) -> News:
    """Ask a source for all that is wanted."""
    parts, trouble = source.parts(), source.trouble()
    if not parts:
        return News(parts, trouble)
    try:
        trials = None if wanted.trials is None else source.trials(wanted.trials)
        trial = None if wanted.trial is None else source.trial(wanted.trial)
    except AshtuneError as error:  # a search that is no search, or a trial of another study that was there before
        return News(parts, trouble, refusal=str(error))
    return News(parts, trouble, trials, trial)
