"""The configurations of a study: drawn or proposed once, and kept in msgpack, a tenth of the size of a dict.

Rule: the next new trial has the configuration that the user enqueued, in place of its own. In a finite space no
configuration is tried twice: the displaced one and the enqueued one swap places.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec

from ashtune._src.core.confirm import Numbering
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.plaintext import shown
from ashtune._src.search.origins import ENQUEUED
from ashtune._src.search.proposals import Proposals
from ashtune._src.search.protocol import Design, Proposal
from ashtune._src.space.plain import identity
from ashtune._src.space.space import Space


class Configurations:
    """Trial -> configuration, filled from the journal, from proposals, or from the design.

    Args:
        space: What a configuration that is enqueued has to be one of; without, it is taken as it is.
        proposals: Of a search that sees results; they come before the design's.
        enqueued: How many of the first trials have configurations that the user gave.
    """

    def __init__(
        self, design: Design, *, space: Space | None = None, proposals: Proposals | None = None, enqueued: int = 0
    ) -> None:
        self._design = design
        self.space = space
        self._enqueued = enqueued
        self.proposals = proposals
        self._encoded: dict[TrialId, bytes] = {}
        self._numbering = Numbering()
        self._waiting: deque[dict[str, Any]] = deque()  # enqueued while the study runs
        self._moved: dict[int, int] = {}  # place -> the place in the design whose configuration it has
        self._encoder = msgspec.msgpack.Encoder()

    def __contains__(self, trial: TrialId) -> bool:
        return trial in self._encoded

    @property
    def waiting(self) -> int:
        """How many configurations that were enqueued, at the start or since, no trial has yet."""
        begun = len(self._encoded) - len(self._numbering)
        return len(self._waiting) + max(0, self._enqueued - begun)

    def put(
        self, trial: TrialId, configuration: dict[str, Any], confirms: TrialId | None = None, origin: str = ""
    ) -> None:
        """Take in a configuration that the journal tells of; ``confirms`` is whose it is, if it is another trial's."""
        self._encoded[trial] = self._encoder.encode(configuration)
        if confirms is not None:
            self._numbering.confirms(trial)
            return
        if origin == ENQUEUED and self._waiting and (place := self._numbering.place(trial)) >= self._enqueued:
            self._waiting.popleft()
            self._move(place, configuration)
        if self.proposals is not None:
            self.proposals.tried(configuration)

    def check_enqueued(self, configuration: dict[str, Any]) -> dict[str, Any]:
        """Return a configuration in plain values, if a further trial can have it.

        O(trials) where there is an end of configurations.

        Raises:
            SpaceError: If it is none of the space.
            SettingsError: If each is tried once, and this one was, or is none of the design's.
        """
        if self.space is not None:
            configuration = self.space.check(configuration)
        if self._design.size is None:
            return configuration
        wanted, number = identity(configuration), self._design.find(configuration)
        is_at_the_start = number is not None and number < self._enqueued
        known = (*self._waiting, *map(self.__getitem__, self._encoded))
        if is_at_the_start or any(identity(each) == wanted for each in known):
            raise SettingsError(
                f"{shown(dict(configuration))} was tried or enqueued before, and each configuration of this search is "
                "tried once; give another one"
            )
        if self.proposals is None and number is None:
            raise SettingsError(
                f"{shown(dict(configuration))} is none of the {self._design.size:,} configurations of this search; "
                "give one of them"
            )
        return configuration

    def enqueue(self, configuration: dict[str, Any]) -> None:
        """Let a new trial have a configuration, after those that were enqueued before."""
        self._waiting.append(configuration)

    def draw(self, trial: TrialId) -> Proposal:
        """Choose the configuration of a new trial, keep it and return it, with who proposed it."""
        place = self._numbering.place(trial)
        if place < self._enqueued:
            proposal = Proposal(self._design.configuration(place), ENQUEUED)
        elif self._waiting:
            proposal = Proposal(self._waiting[0], ENQUEUED)
        elif self.proposals is None:
            proposal = Proposal(self._design.configuration(self._moved.get(place, place)))
        else:
            proposal = self.proposals.take(place)
        self.put(trial, proposal.configuration, origin=proposal.origin)
        return proposal

    def repeat(self, confirmed: TrialId, trial: TrialId) -> Proposal:
        """Let a trial that confirms another have its configuration, and return it."""
        configuration = self[confirmed]
        self.put(trial, configuration, confirmed)
        return Proposal(configuration, f"confirms {confirmed}")

    def encoded(self, trial: TrialId) -> bytes:
        """Return a known trial's configuration as msgpack."""
        return self._encoded[trial]

    def __getitem__(self, trial: TrialId) -> dict[str, Any]:
        configuration: dict[str, Any] = msgspec.msgpack.decode(self._encoded[trial])
        return configuration

    def _move(self, place: int, configuration: Mapping[str, Any]) -> None:
        """Let the configuration that a place would have had come where the enqueued one would have come."""
        if self.proposals is not None or self._design.size is None:
            return
        wanted = self._design.find(configuration)
        if wanted is None:
            return
        instead = self._moved.pop(place, place)
        if instead != wanted:
            self._moved[next((at for at, number in self._moved.items() if number == wanted), wanted)] = instead
