"""Receive the driver's messages and files on a rank, and exchange heartbeats with the driver."""

import os
import time

import msgspec

from ashtune._src.core.plaintext import say
from ashtune._src.engines.awake import AwakeClock
from ashtune._src.engines.files import FROM_THE_DRIVER, FileReceiver
from ashtune._src.engines.mpi.mpi_messages import DRIVER, Closing, EndOfLaunch, Envelope, ToRank
from ashtune._src.engines.mpi.transport import CHUNK, ENVELOPE, HEARTBEAT, Polling
from ashtune._src.engines.mpi.world import World
from ashtune._src.engines.opening import Opening
from ashtune._src.engines.workload import WithinStudy
from ashtune._src.study.folders import ScratchDirectory

LONGEST_SLEEP = 0.02
LIVENESS_CHECK_SECONDS = 0.5
# Decision 6 (docs/decisions/0006-ranks-serve-until-the-script-ends.md).
SILENCE_AT_REST = 3600.0


class RankInbox:
    """Receives the driver's messages in the order sent, and writes the files that arrive between
    the messages.

    The inbox also sends heartbeats to the driver, and ends this process if the driver is dead or
    silent for too long. Between two studies the driver runs the user's script, and may be silent
    for a long time.
    """

    def __init__(self, world: World, scratch: ScratchDirectory) -> None:
        self._world = world
        self._scratch = scratch
        self._transport = world.transport
        self._envelope = msgspec.msgpack.Decoder(Envelope[ToRank])
        self._polling = Polling(LONGEST_SLEEP, is_for_an_answer=True)
        self._messages: list[ToRank] = []
        self._receiver: FileReceiver | None = None
        self._next_heartbeat = self._next_liveness_check = 0.0
        self.end_study()

    def begin_study(self) -> None:
        """Start to send heartbeats to the driver, and to expect heartbeats from the driver."""
        self._is_at_work = True
        self._silence = AwakeClock(time.monotonic(), self._world.silence_allowed)

    def end_study(self) -> None:
        """Stop sending heartbeats, and allow the driver to be silent for ``SILENCE_AT_REST``
        seconds.
        """
        self._is_at_work = False
        self._receiver = None  # the next study has another folder
        self._silence = AwakeClock(time.monotonic(), SILENCE_AT_REST)

    def look(self) -> list[ToRank]:
        """Return the new messages."""
        messages = self._messages
        self._messages = []
        arrived = self._transport.collect()
        if arrived:
            self._silence.restart()
        for _, kind, body in arrived:
            if kind != HEARTBEAT:  # a heartbeat is no answer
                self._polling.heard()
            if kind == ENVELOPE:
                messages += self._envelope.decode(body).messages
            elif kind == CHUNK:
                self._files().take_encoded(body)
        self._check_liveness()
        return messages

    def has_news(self) -> bool:
        """Return whether :meth:`look` may have messages.

        An exception that interrupts this method loses no message.
        """
        self._check_liveness()
        return bool(self._messages) or self._transport.has_news

    def _check_liveness(self) -> None:
        """Send a heartbeat if it is due. End this process if the driver is dead or has been silent
        for too long.
        """
        world = self._world
        now = time.monotonic()
        if self._is_at_work and now >= self._next_heartbeat:
            self._next_heartbeat = now + world.heartbeat_seconds
            self._transport.heartbeat(DRIVER)
        if now < self._next_liveness_check:
            return
        self._next_liveness_check = now + LIVENESS_CHECK_SECONDS
        # If threads may not send, heartbeats come only during a study.
        is_silent = self._silence.is_over(now) and world.heartbeat.is_possible
        if is_silent or DRIVER in self._transport.failed:
            say(
                f"rank {world.rank} on {os.uname().nodename}: the driver is gone, so this rank "
                "ends; continue with `ashtune resume`"
            )
            os._exit(1)

    def look_within_study(self) -> tuple[list[WithinStudy], bool]:
        """Return the new messages of this study, and whether the study is over.

        The message that ends the study is put back, so that :meth:`look` returns the message again.
        """
        within: list[WithinStudy] = []
        messages = self.look()
        for at, message in enumerate(messages):
            if isinstance(message, Closing | EndOfLaunch | Opening):
                self.put_back(messages[at:])
                return within, True
            within.append(message)
        return within, False

    def _files(self) -> FileReceiver:
        if self._receiver is None:
            self._receiver = FileReceiver(self._scratch.folder(), FROM_THE_DRIVER)
        return self._receiver

    def wait(self) -> list[ToRank]:
        """Wait for messages, and return them. While waiting, send messages that the driver could
        not receive yet.
        """
        while True:
            messages = self.look()
            if messages:
                return messages
            self._transport.flush()
            self.rest()

    def rest(self, at_most: float = LONGEST_SLEEP) -> None:
        """Sleep for a time that depends on how often messages arrive."""
        self._polling.rest(at_most)

    def expect_an_answer(self) -> None:
        """Record that a message was just sent to the driver, so that this rank often checks for the
        answer.
        """
        self._polling.heard()

    def wait_for_the_end(self) -> None:
        """Ignore all messages until the study is over."""
        while not self.look_within_study()[1]:
            self._transport.flush()
            self.rest()

    def put_back(self, messages: list[ToRank]) -> None:
        """Put messages back, so that the next call of :meth:`look` returns these messages first."""
        self._messages = messages + self._messages
