"""Which signals stop a study, and which say that nobody wants to wait."""

import signal
from signal import SIGCONT, SIGINT, SIGTERM, SIGUSR1

import pytest

from ashtune.engines.stop import SIGNALS, StopSwitch


def after(*received: int) -> StopSwitch:
    """Return the switch after these signals were sent to this very process."""
    with StopSwitch(grace=30) as stop:
        for number in received:
            signal.raise_signal(number)
    return stop


@pytest.mark.parametrize(("number", "name"), [(SIGINT, "Ctrl-C"), (SIGTERM, "SIGTERM"), (SIGUSR1, "SIGUSR1")])
def test_each_signal_is_a_reason_to_stop_and_the_first_alone_is_no_impatience(number: int, name: str) -> None:
    stop = after(number)
    assert stop.reason(0) == f"{name} received"
    assert not stop.is_impatient(0)


@pytest.mark.parametrize("received", [(SIGINT, SIGINT), (SIGINT, SIGUSR1, SIGINT), (SIGTERM, SIGINT, SIGINT)])
def test_a_second_ctrl_c_is_impatience(received: tuple[int, ...]) -> None:
    assert after(*received).is_impatient(0)


@pytest.mark.parametrize(
    "received",
    [
        (SIGUSR1, SIGUSR1, SIGUSR1),
        (SIGUSR1, SIGCONT, SIGTERM),
        (SIGTERM, SIGTERM),
        (SIGCONT, SIGTERM, SIGCONT, SIGTERM),
        (SIGTERM, SIGINT),
        (SIGINT, SIGTERM),
    ],
)
def test_a_batch_system_that_repeats_itself_is_no_impatience(received: tuple[int, ...]) -> None:
    assert not after(*received).is_impatient(0)


def test_the_signals_are_those_received_oldest_first() -> None:
    assert after(SIGUSR1, SIGUSR1, SIGTERM).signals == [SIGUSR1, SIGUSR1, SIGTERM]


def test_the_grace_begins_with_the_first_reason_and_no_later_signal_prolongs_it() -> None:
    stop = after(SIGUSR1)
    assert not any(stop.is_impatient(100 + turn / 2) for turn in range(30))
    stop.signals.append(SIGTERM)
    assert not any(stop.is_impatient(115 + turn / 2) for turn in range(31))
    assert stop.is_impatient(130.5)


def test_time_in_which_the_driver_itself_was_suspended_is_no_part_of_the_grace() -> None:
    stop = after(SIGUSR1)
    assert not stop.is_impatient(100)
    assert not stop.is_impatient(5_000), "it was suspended"
    assert not any(stop.is_impatient(5_000 + turn / 2) for turn in range(58))
    assert any(stop.is_impatient(5_029 + turn / 2) for turn in range(4))


def test_the_time_limit_is_a_reason_to_stop_without_any_signal() -> None:
    stop = StopSwitch(60)
    assert not stop.reason(59)
    assert stop.reason(60) == "time limit reached"


def test_what_listened_before_listens_again_afterwards() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with StopSwitch() as stop:
        assert all(signal.getsignal(number) == stop._note for number in SIGNALS)
    assert [signal.getsignal(number) for number in SIGNALS] == before
