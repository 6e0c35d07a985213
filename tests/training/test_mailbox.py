"""Jobs ahead of their time wait, and answers find the trial that they are meant for."""

from collections import deque

import msgspec
import pytest

from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.orders import Pause, Release
from ashtune._src.training.worker_messages import (
    Assignment,
    FromWorker,
    Mailbox,
    Shutdown,
    ToWorker,
)

ME = WorkerId(0)


class Channel:
    """A channel at which everything has come already."""

    def __init__(self, *messages: ToWorker) -> None:
        self.messages = deque(messages)

    def send(self, message: FromWorker) -> None:
        raise AssertionError("nothing is to be sent")

    def wait(self) -> None:
        if not self.messages:
            raise Shutdown

    def poll(self) -> ToWorker | None:
        return self.messages.popleft() if self.messages else None


def job(trial: int, *, in_place: bool = False) -> Assignment:
    return Assignment(ME, TrialId(trial), 0, 0, 1, in_place, msgspec.Raw(b"\x80"))


def answer_of(mailbox: Mailbox) -> Assignment | Release:
    heard: list[Assignment | Release] = []
    mailbox.answer(TrialId(1), lambda answer: not heard.append(answer))
    return heard[0]


def test_the_answer_of_the_driver_is_read_before_jobs_that_wait() -> None:
    answer = Release(ME, TrialId(1))
    mailbox = Mailbox(Channel(job(2), job(3), answer, job(4)))
    assert answer_of(mailbox) == answer
    assert [mailbox.next() for _ in range(3)] == [job(2), job(3), job(4)]


def test_an_answer_received_while_checking_for_a_pause_is_not_lost() -> None:
    mailbox = Mailbox(Channel(job(2), Release(ME, TrialId(1))))
    assert not mailbox.is_to_pause(TrialId(1))
    assert answer_of(mailbox) == Release(ME, TrialId(1))
    assert mailbox.next() == job(2)


def test_a_pause_message_stops_only_the_named_trial_and_only_once() -> None:
    mailbox = Mailbox(Channel(job(2), Pause(ME, TrialId(2)), Pause(ME, TrialId(1))))
    assert mailbox.is_to_pause(TrialId(1))
    assert not mailbox.is_to_pause(TrialId(1))
    assert mailbox.next() == job(2)
    assert mailbox.is_to_pause(TrialId(2))


def test_waiting_for_an_answer_ends_if_the_driver_disconnects() -> None:
    with pytest.raises(Shutdown):
        answer_of(Mailbox(Channel(job(2))))
