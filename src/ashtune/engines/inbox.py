"""What the driver says to a rank, one message at a time, and signs of life both ways."""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

import msgspec

from ashtune.engines.courier import Courier
from ashtune.engines.letters import Closing, Leaving, Mail, Opening, ToRank
from ashtune.engines.patience import Patience
from ashtune.engines.post import MAIL, PARCEL, parcel_decoder
from ashtune.engines.vigil import Vigil
from ashtune.engines.world import DRIVER, World

LONGEST_SLEEP = 0.005
ROLL_CALL_SECONDS = 0.5


class Inbox:
    """What the driver says to this rank, one message at a time; signs of life both ways.

    Args:
        world: The ranks.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._post = world.post
        self._mail = msgspec.msgpack.Decoder(Mail[ToRank])
        self._parcel = parcel_decoder()
        self._patience = Patience(LONGEST_SLEEP)
        self._vigil = Vigil([DRIVER], world.silence_allowed, time.monotonic())
        self._next_beat = self._next_roll_call = 0.0
        self._letters: list[ToRank] = []
        self.folder: Path | None = None
        """Where files that the driver sends are kept."""

    def look(self) -> list[ToRank]:
        """Return what has come."""
        letters, self._letters = self._letters, []
        arrived = self._post.collect()
        if arrived:
            self._patience.heard()
            self._vigil.heard(DRIVER)
        for _, kind, body in arrived:
            if kind == MAIL:
                letters += self._mail.decode(body).letters
            elif kind == PARCEL:
                Courier(self.private_folder()).take(self._parcel(body))
        self._show_life()
        return letters

    def wait(self) -> list[ToRank]:
        """Wait until something has come; meanwhile send what a slow driver could not take at once."""
        while not (letters := self.look()):
            self._post.flush()
            self.rest()
        return letters

    def rest(self, at_most: float = LONGEST_SLEEP) -> None:
        """Sleep for a moment that suits the traffic."""
        self._patience.rest(at_most)

    def wait_for_the_end(self) -> None:
        """Take no notice of anything until the study is over."""
        while True:
            for at, letter in enumerate(letters := self.wait()):
                if isinstance(letter, Closing | Leaving | Opening):
                    self.put_back(letters[at:])
                    return

    def put_back(self, letters: list[ToRank]) -> None:
        """Have messages come once more."""
        self._letters = letters + self._letters

    def private_folder(self) -> Path:
        """Return this rank's own folder for what is not shared."""
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="ashtune-"))
        return self.folder

    def tidy_up(self) -> None:
        """Delete the folder."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    def _show_life(self) -> None:
        now = time.monotonic()
        if now >= self._next_beat:
            self._next_beat = now + self._world.beat_seconds
            self._post.beat(DRIVER)
        if now >= self._next_roll_call:
            self._next_roll_call = now + ROLL_CALL_SECONDS
            is_silent = self._vigil.silent(now) and self._world.pulse.is_possible  # otherwise it beats only at work
            if is_silent or DRIVER in self._post.failed:
                self._leave_alone()

    def _leave_alone(self) -> NoReturn:
        """The driver is gone: end, rather than wait until the batch system does it."""
        sys.stderr.write(
            f"rank {self._world.rank} on {os.uname().nodename}: the driver is gone; leaving. "
            "Go on with `ashtune resume`\n"
        )
        sys.stderr.flush()
        self.tidy_up()
        self._world.mpi.COMM_WORLD.Abort(1)
        os._exit(1)
