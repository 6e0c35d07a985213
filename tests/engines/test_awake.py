"""Silence counts only while one was listening."""

from ashtune._src.engines.awake import AwakeClock


def listen(clock: AwakeClock, begin: float, seconds: float) -> float:
    now = begin
    while now < begin + seconds:
        now += 0.5
        clock.look(now)
    return now


def test_a_clock_of_awake_time_ends_at_its_limit_and_not_earlier() -> None:
    clock = AwakeClock(0.0, limit=10.0)
    now = listen(clock, 0.0, 9.5)
    assert not clock.is_over(now + 0.4)
    assert clock.is_over(now + 0.8)
    clock.restart()
    assert not clock.is_over(now + 9.0)


def test_a_clock_of_awake_time_does_not_count_an_hour_of_suspension() -> None:
    clock = AwakeClock(0.0, limit=10.0)
    now = listen(clock, 0.0, 5.0)
    assert not clock.is_over(now + 3600.0)
    now = listen(clock, now + 3600.0, 3.5)
    assert not clock.is_over(now)
    assert clock.is_over(listen(clock, now, 1.0))
