"""A rank's watch over the driver, and the driver's over it: signs of life both ways.

Between two studies the driver does what the user's script does, which may keep even its pulse from beating
for as long as one call into a library lasts; only during a study is it known to listen.
"""

import os
import sys
import time
from typing import NoReturn

from ashtune.engines.vigil import Vigil
from ashtune.engines.world import DRIVER, World

ROLL_CALL_SECONDS = 0.5
SILENCE_AT_REST = 3600.0


class Watch:
    """To be looked at now and then: it beats, and ends this process when the driver is gone.

    Args:
        world: The ranks.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._next_beat = self._next_roll_call = 0.0
        self.rest()

    def rest(self) -> None:
        """No study is under way: the driver hears nothing, and may say nothing for long."""
        self._is_at_work = False
        self._vigil = Vigil([DRIVER], SILENCE_AT_REST, time.monotonic())

    def work(self) -> None:
        """A study begins."""
        self._is_at_work = True
        self._vigil = Vigil([DRIVER], self._world.silence_allowed, time.monotonic())

    def heard(self) -> None:
        """The driver has said something."""
        self._vigil.heard(DRIVER)

    def look(self) -> None:
        """Show life, and see whether the driver does."""
        now = time.monotonic()
        if self._is_at_work and now >= self._next_beat:
            self._next_beat = now + self._world.beat_seconds
            self._world.post.beat(DRIVER)
        if now >= self._next_roll_call:
            self._next_roll_call = now + ROLL_CALL_SECONDS
            is_silent = self._vigil.silent(now) and self._world.pulse.is_possible  # otherwise it beats only at work
            if is_silent or DRIVER in self._world.post.failed:
                self._leave()

    def _leave(self) -> NoReturn:
        """End, rather than wait until the batch system does it. What this rank has started ends with it."""
        sys.stderr.write(
            f"rank {self._world.rank} on {os.uname().nodename}: the driver is gone; leaving. "
            "Go on with `ashtune resume`\n"
        )
        sys.stderr.flush()
        os._exit(1)
