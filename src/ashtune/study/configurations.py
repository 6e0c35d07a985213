"""The configurations of a study: drawn once, kept encoded, sent as they are.

A configuration is about 100 bytes of msgpack here where a dict of Python objects is a kilobyte.
"""

from typing import Any

import msgspec

from ashtune.jobs import TrialId
from ashtune.search.protocol import Design


class Configurations:
    """Trial -> configuration, filled from the journal or drawn from the design.

    Args:
        design: Where new configurations come from.
    """

    def __init__(self, design: Design) -> None:
        self._design = design
        self._encoded: dict[TrialId, bytes] = {}
        self._encoder = msgspec.msgpack.Encoder()

    def __contains__(self, trial: TrialId) -> bool:
        return trial in self._encoded

    def put(self, trial: TrialId, configuration: dict[str, Any]) -> None:
        """Take in a configuration that the journal tells of."""
        self._encoded[trial] = self._encoder.encode(configuration)

    def draw(self, trial: TrialId) -> dict[str, Any]:
        """Draw the configuration of a new trial, keep it and return it."""
        configuration = self._design.configuration(trial)
        self.put(trial, configuration)
        return configuration

    def encoded(self, trial: TrialId) -> bytes:
        """Return a known trial's configuration as msgpack."""
        return self._encoded[trial]

    def __getitem__(self, trial: TrialId) -> dict[str, Any]:
        configuration: dict[str, Any] = msgspec.msgpack.decode(self._encoded[trial])
        return configuration
