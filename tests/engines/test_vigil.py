"""Silence counts only while one was listening."""

from ashtune.engines.vigil import Vigil


def listen(vigil: Vigil, begin: float, seconds: float) -> float:
    now = begin
    while now < begin + seconds:
        now += 0.5
        vigil.silent(now)
    return now


def test_a_rank_is_silent_after_its_limit_and_not_before() -> None:
    vigil = Vigil([1, 2], limit=10.0, now=0.0)
    now = listen(vigil, 0.0, 9.5)
    assert vigil.silent(now + 0.4) == []
    vigil.heard(2)
    assert vigil.silent(now + 0.8) == [1]


def test_a_listener_that_was_suspended_for_an_hour_misses_nobody() -> None:
    vigil = Vigil([1], limit=10.0, now=0.0)
    now = listen(vigil, 0.0, 5.0)
    assert vigil.silent(now + 3600.0) == []
    now = listen(vigil, now + 3600.0, 3.5)
    assert vigil.silent(now) == []
    assert vigil.silent(listen(vigil, now, 1.0)) == [1]


def test_a_rank_that_is_forgotten_is_not_missed() -> None:
    vigil = Vigil([1, 2], limit=1.0, now=0.0)
    vigil.forget(1)
    assert vigil.silent(listen(vigil, 0.0, 5.0)) == [2]
