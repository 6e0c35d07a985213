"""Where the driver's messages to a rank come in."""

from pathlib import Path

import msgspec

from ashtune.engines.courier import FROM_THE_DRIVER, Courier
from ashtune.engines.letters import Closing, Leaving, Mail, Opening, ToRank
from ashtune.engines.lodging import Lodging
from ashtune.engines.patience import Patience
from ashtune.engines.post import BEAT, MAIL, PARCEL, parcel_decoder
from ashtune.engines.watch import Watch
from ashtune.engines.world import World

LONGEST_SLEEP = 0.02


class Inbox:
    """Messages in the order in which they were sent; files that come between them are put where they belong.

    Args:
        world: The ranks.
        watch: It is told that the driver lives, and looked at while waiting.
        lodging: Where files go.
    """

    def __init__(self, world: World, watch: Watch, lodging: Lodging) -> None:
        self._watch = watch
        self._lodging = lodging
        self._post = world.post
        self._mail = msgspec.msgpack.Decoder(Mail[ToRank])
        self._parcel = parcel_decoder()
        self._patience = Patience(LONGEST_SLEEP)
        self._letters: list[ToRank] = []
        self._courier: tuple[Path, Courier] | None = None

    def look(self) -> list[ToRank]:
        """Return what has come."""
        letters, self._letters = self._letters, []
        arrived = self._post.collect()
        if arrived:
            self._watch.heard()
        for _, kind, body in arrived:
            if kind != BEAT:  # a sign of life is not what one waits for
                self._patience.heard()
            if kind == MAIL:
                letters += self._mail.decode(body).letters
            elif kind == PARCEL:
                self._files().take(self._parcel(body))
        self._watch.look()
        return letters

    def _files(self) -> Courier:
        """Return what puts files into the folder that this rank has for the study."""
        folder = self._lodging.folder()
        if self._courier is None or self._courier[0] != folder:
            self._courier = (folder, Courier(folder, FROM_THE_DRIVER))
        return self._courier[1]

    def wait(self) -> list[ToRank]:
        """Wait until something has come; meanwhile send what a slow driver could not take at once."""
        while not (letters := self.look()):
            self._post.flush()
            self.rest()
        return letters

    def rest(self, at_most: float = LONGEST_SLEEP) -> None:
        """Sleep for a moment that suits the traffic."""
        self._patience.rest(at_most)

    def expect_an_answer(self) -> None:
        """Something has been said to the driver: the wait for its answer begins now."""
        self._patience.heard()

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
