"""The configurations of a study: drawn or proposed once, kept encoded, sent as they are.

A configuration is about 100 bytes of msgpack here where a dict of Python objects is a kilobyte.
"""

from typing import Any

import msgspec

from ashtune.core.jobs import TrialId
from ashtune.core.numbering import Numbering
from ashtune.search.origins import ENQUEUED
from ashtune.search.proposals import Proposals
from ashtune.search.protocol import Design, Proposal


class Configurations:
    """Trial -> configuration, filled from the journal, from proposals, or from the design.

    Args:
        design: Where new configurations come from.
        proposals: Of a search that sees results; they come before the design's.
        enqueued: How many of the first trials have configurations that the user gave.
    """

    def __init__(self, design: Design, *, proposals: Proposals | None = None, enqueued: int = 0) -> None:
        self._design = design
        self._enqueued = enqueued
        self.proposals = proposals
        self._encoded: dict[TrialId, bytes] = {}
        self._numbering = Numbering()
        self._encoder = msgspec.msgpack.Encoder()

    def __contains__(self, trial: TrialId) -> bool:
        return trial in self._encoded

    def put(self, trial: TrialId, configuration: dict[str, Any], confirms: TrialId | None = None) -> None:
        """Take in a configuration that the journal tells of; ``confirms`` is whose it is, if it is another trial's."""
        self._encoded[trial] = self._encoder.encode(configuration)
        if confirms is not None:
            self._numbering.confirms(trial)
        elif self.proposals is not None:
            self.proposals.tried(configuration)

    def draw(self, trial: TrialId) -> Proposal:
        """Choose the configuration of a new trial, keep it and return it, with who proposed it."""
        place = self._numbering.place(trial)
        if place < self._enqueued:
            proposal = Proposal(self._design.configuration(place), ENQUEUED)
        elif self.proposals is None:
            proposal = Proposal(self._design.configuration(place))
        else:
            proposal = self.proposals.take(place)
        self.put(trial, proposal.configuration)
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
