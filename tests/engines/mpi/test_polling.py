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
def test_a_driver_sleeps_where_waking_and_waiting_cost_least_together(clock: list[float], gap: float) -> None:
    polling = Polling(longest=0.01)
    for _ in range(200):
        clock[0] += gap
        polling.heard()
    pause = polling.pause()

    def cost(sleep: float) -> float:
        return WAKE_SECONDS / sleep + sleep / (2 * gap)

    assert cost(pause) <= min(cost(pause * 0.9), cost(pause * 1.1))
    assert pause == pytest.approx(math.sqrt(2 * gap * WAKE_SECONDS), rel=1e-3)


def test_a_driver_never_sleeps_longer_than_the_longest(clock: list[float]) -> None:
    polling = Polling(longest=0.01)
    clock[0] += 3600
    assert polling.pause() == pytest.approx(0.01)
    polling.heard()
    clock[0] += 1  # one long wait does not make it deaf
    assert polling.pause() <= 0.01


def test_dense_traffic_is_looked_at_at_once(clock: list[float]) -> None:
    polling = Polling(longest=0.01)
    for _ in range(50):
        clock[0] += 0.00005
        polling.heard()
    assert polling.pause() == 0
    clock[0] += 0.0003
    assert polling.pause() >= SHORTEST_SLEEP


def test_a_rank_sleeps_a_share_of_the_time_waited(clock: list[float]) -> None:
    waiting = Polling(longest=0.02, is_for_an_answer=True)
    clock[0] += 0.5
    assert waiting.pause() == pytest.approx(0.01)
    clock[0] += 10
    assert waiting.pause() == 0.02
