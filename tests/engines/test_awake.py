"""Silence counts only while one was listening."""

from ashtune.engines.awake import FailureDetector


def listen(detector: FailureDetector, begin: float, seconds: float) -> float:
    now = begin
    while now < begin + seconds:
        now += 0.5
        detector.silent(now)
    return now


def test_a_rank_is_silent_after_its_limit_and_not_before() -> None:
    detector = FailureDetector([1, 2], limit=10.0, now=0.0)
    now = listen(detector, 0.0, 9.5)
    assert detector.silent(now + 0.4) == []
    detector.heard(2)
    assert detector.silent(now + 0.8) == [1]


def test_a_listener_that_was_suspended_for_an_hour_misses_nobody() -> None:
    detector = FailureDetector([1], limit=10.0, now=0.0)
    now = listen(detector, 0.0, 5.0)
    assert detector.silent(now + 3600.0) == []
    now = listen(detector, now + 3600.0, 3.5)
    assert detector.silent(now) == []
    assert detector.silent(listen(detector, now, 1.0)) == [1]


def test_a_rank_that_is_forgotten_is_not_missed() -> None:
    detector = FailureDetector([1, 2], limit=1.0, now=0.0)
    detector.forget(1)
    assert detector.silent(listen(detector, 0.0, 5.0)) == [2]
