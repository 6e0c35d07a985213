"""When to look again: against a clock of the test's."""

import math

import pytest

from ashtune._src.engines.mpi import transport
from ashtune._src.engines.mpi.transport import SHORTEST_SLEEP, WAKE_SECONDS, Polling


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(transport.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("gap", [0.003, 0.09, 0.4])
def test_the_sleep_time_minimizes_the_total_cost_of_waking_and_waiting(
    clock: list[float], gap: float
) -> None:
    polling = Polling(longest=0.01)
    for _ in range(200):
        clock[0] += gap
        polling.heard()
    pause = polling.pause()
    costs = [
        WAKE_SECONDS / sleep + sleep / (2 * gap) for sleep in (pause, pause * 0.9, pause * 1.1)
    ]
    assert costs[0] == min(costs)


@pytest.mark.parametrize("is_for_an_answer", [False, True])
def test_no_process_sleeps_longer_than_the_maximum(
    clock: list[float], is_for_an_answer: bool
) -> None:
    polling = Polling(longest=0.01, is_for_an_answer=is_for_an_answer)
    clock[0] += 3600
    assert polling.pause() == pytest.approx(0.01)
    polling.heard()
    clock[0] += 1  # one long wait does not make it deaf
    assert polling.pause() <= 0.01


def test_frequent_messages_are_read_immediately(clock: list[float]) -> None:
    polling = Polling(longest=0.01)
    for _ in range(50):
        clock[0] += 0.00005
        polling.heard()
    assert polling.pause() == 0
    clock[0] += 0.0003
    assert polling.pause() >= SHORTEST_SLEEP


@pytest.mark.parametrize("wait", [0.01, 0.1, 1.0])
def test_polling_for_messages_costs_less_than_twice_the_minimum_cost(
    clock: list[float], wait: float
) -> None:
    waiting, wakes, began = Polling(longest=0.02, is_for_an_answer=True), 0, clock[0]
    while clock[0] < began + wait:
        clock[0] += (pause := max(SHORTEST_SLEEP, waiting.pause()))
        wakes += 1
    assert wakes * WAKE_SECONDS + pause / 2 <= 2 * math.sqrt(2 * wait * WAKE_SECONDS)
