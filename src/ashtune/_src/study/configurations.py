"""The configurations of a study. Each configuration is drawn or proposed once, and stored as
msgpack to save memory.

Rule: a configuration that the user enqueues replaces the planned configuration of the next new
trial. In a finite space, the enqueued configuration and the planned configuration exchange their
trials, so that no configuration is tried twice.
"""

# The rule: decision 42 (docs/decisions/0042-control-from-the-page.md).

from collections import deque
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import msgspec

from ashtune._src.core.confirm import Numbering
from ashtune._src.core.errors import SettingsError, SpaceError
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.plaintext import shown
from ashtune._src.search.origins import ENQUEUED, OF_OTHER_TASKS
from ashtune._src.search.proposals import Proposals
from ashtune._src.search.search_protocol import Design, Proposal
from ashtune._src.space.plain import identity
from ashtune._src.space.space import Space


class EncodedConfiguration(Mapping[str, Any]):
    """A configuration that is decoded when it is first used."""

    def __init__(self, encoded: bytes) -> None:
        self._encoded = encoded

    @cached_property
    def _decoded(self) -> dict[str, Any]:
        return msgspec.msgpack.decode(self._encoded, type=dict[str, Any])

    def __getitem__(self, name: str) -> Any:
        return self._decoded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoded)

    def __len__(self) -> int:
        return len(self._decoded)


class Configurations:
    """Maps each trial to its configuration, which comes from the journal, the proposals, or the
    design.

    Args:
        space: The space that a user's enqueued configurations must fit; None to accept any
            configuration.
        written: The space that the configurations of the search must fit; None to check nothing. It
            does not have the user's function ``valid``, because the search has already called this
            function.
        proposals: The proposals of a search that learns from results. They are used instead of the
            design.
        enqueued: How many of the first trials have configurations that the user enqueued at the
            start.
        of_other_tasks: How many of the next trials have the best configurations of other tasks.
    """

    def __init__(
        self,
        design: Design,
        *,
        space: Space | None = None,
        written: Space | None = None,
        proposals: Proposals | None = None,
        enqueued: int = 0,
        of_other_tasks: int = 0,
    ) -> None:
        self._design = design
        self.space = space
        self._written = written
        self._by_the_user = enqueued
        self._enqueued = enqueued + of_other_tasks
        self.proposals = proposals
        self._encoded: dict[TrialId, bytes] = {}
        self._numbering = Numbering()
        # configurations that are enqueued while the study runs
        self._waiting: deque[dict[str, Any]] = deque()
        # a trial's place -> the place of its configuration in the design
        self._moved: dict[int, int] = {}
        self._encoder = msgspec.msgpack.Encoder()

    def __contains__(self, trial: TrialId) -> bool:
        return trial in self._encoded

    @property
    def waiting(self) -> int:
        """The number of enqueued configurations that have no trial yet."""
        begun = len(self._encoded) - len(self._numbering)
        return len(self._waiting) + max(0, self._enqueued - begun)

    def put(
        self,
        trial: TrialId,
        configuration: dict[str, Any],
        confirms: TrialId | None = None,
        origin: str = "",
    ) -> None:
        """Record the configuration of a started trial. If ``confirms`` is given, the started trial
        confirms this trial.
        """
        self._encoded[trial] = self._encoder.encode(configuration)
        if confirms is not None:
            self._numbering.confirms(trial)
            return
        if origin == ENQUEUED and self._waiting:
            place = self._numbering.place(trial)
            if place >= self._enqueued:
                self._waiting.popleft()
                self._move(place, configuration)
        if self.proposals is not None:
            self.proposals.tried(configuration)

    def check_enqueued(self, configuration: dict[str, Any]) -> dict[str, Any]:
        """Return a checked configuration in plain values. The time is O(trials) if the search is
        finite.

        Raises:
            SpaceError: If the configuration is not in the space.
            SettingsError: If the search is finite, and the configuration was tried or enqueued
                before, or is not in the design.
        """
        if self.space is not None:
            configuration = self.space.check(configuration)
        if self._design.size is None:
            return configuration
        wanted = identity(configuration)
        number = self._design.find(configuration)
        is_at_the_start = number is not None and number < self._enqueued
        known = (*self._waiting, *map(self.__getitem__, self._encoded))
        if is_at_the_start or any(identity(each) == wanted for each in known):
            raise SettingsError(
                f"{shown(dict(configuration))} was tried or enqueued before, and each "
                "configuration of this search is tried once; give another configuration"
            )
        if self.proposals is None and number is None:
            raise SettingsError(
                f"{shown(dict(configuration))} is not one of the {self._design.size:,} "
                "configurations of this search; give one of them"
            )
        return configuration

    def enqueue(self, configuration: dict[str, Any]) -> None:
        """Add a configuration to the queue for new trials."""
        self._waiting.append(configuration)

    def draw(self, trial: TrialId) -> Proposal:
        """Choose and record the configuration of a new trial. Return the configuration and its
        origin.

        Raises:
            SpaceError: If the search gives a configuration outside of the space, because no reader
                of a journal would accept this configuration.
        """
        place = self._numbering.place(trial)
        if place < self._by_the_user:
            proposal = Proposal(self._design.configuration(place), ENQUEUED)
        elif place < self._enqueued:
            proposal = Proposal(self._design.configuration(place), OF_OTHER_TASKS)
        elif self._waiting:
            proposal = Proposal(self._waiting[0], ENQUEUED)
        elif self.proposals is None:
            proposal = Proposal(self._design.configuration(self._moved.get(place, place)))
        else:
            proposal = self.proposals.take(place)
        if self._written is not None:
            try:
                self._written.check(proposal.configuration)
            except SpaceError as error:
                reason = str(error).partition(";")[0]
                raise SpaceError(
                    f"the search gave trial {trial} an invalid configuration: {reason}; correct "
                    f"the search"
                ) from None
        self.put(trial, proposal.configuration, origin=proposal.origin)
        return proposal

    def repeat(self, confirmed: TrialId, trial: TrialId) -> Proposal:
        """Give the new trial ``trial`` the configuration of the trial ``confirmed``, and return
        this configuration.
        """
        configuration = self[confirmed]
        self.put(trial, configuration, confirmed)
        return Proposal(configuration, f"confirms {confirmed}")

    def encoded(self, trial: TrialId) -> bytes:
        """Return the configuration of a started trial as msgpack."""
        return self._encoded[trial]

    def view(self, trial: TrialId) -> Mapping[str, Any]:
        """Return the configuration of a started trial. The configuration is decoded when it is
        first used.
        """
        return EncodedConfiguration(self._encoded[trial])

    def __getitem__(self, trial: TrialId) -> dict[str, Any]:
        return msgspec.msgpack.decode(self._encoded[trial], type=dict[str, Any])

    def _move(self, place: int, configuration: Mapping[str, Any]) -> None:
        """An enqueued configuration replaces the planned configuration of the trial ``place``. Move
        the replaced configuration to the trial for which the enqueued configuration was planned.
        """
        if self.proposals is not None or self._design.size is None:
            return
        wanted = self._design.find(configuration)
        if wanted is None:
            return
        instead = self._moved.pop(place, place)
        if instead != wanted:
            # Find where ``wanted`` is planned now, because an earlier exchange may have moved it.
            planned_at = next(
                (at for at, number in self._moved.items() if number == wanted), wanted
            )
            self._moved[planned_at] = instead
