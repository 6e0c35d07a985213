"""Only workers whose jobs are short and end with their result get several at a time."""

from typing import Any

from ashtune.engines.haste import LONG_SECONDS, PLACES, SHORT_JOBS_IN_A_ROW, SHORT_SECONDS, Haste
from ashtune.events import JobFinished, PlacesChanged
from ashtune.jobs import TrialId, WorkerId


def job(seconds: float, *, held: bool = False, worker: int = 0, rung: int = 0) -> JobFinished:
    return JobFinished(
        time=7.0,
        worker=WorkerId(worker),
        trial=TrialId(0),
        rung=rung,
        resource=1,
        metrics={},
        seconds=seconds,
        held=held,
    )


def offers(haste: Haste, jobs: int, seconds: float, **how: Any) -> list[PlacesChanged]:
    return [offer for _ in range(jobs) if (offer := haste.saw(job(seconds, **how))) is not None]


def test_a_row_of_short_jobs_earns_places_once_and_one_job_less_does_not() -> None:
    haste = Haste()
    assert offers(haste, SHORT_JOBS_IN_A_ROW - 1, SHORT_SECONDS) == []
    assert offers(haste, 100, SHORT_SECONDS) == [PlacesChanged(7.0, WorkerId(0), PLACES)]


def test_a_longer_job_among_them_begins_the_row_anew() -> None:
    haste = Haste()
    offers(haste, SHORT_JOBS_IN_A_ROW - 1, SHORT_SECONDS)
    assert offers(haste, 1, SHORT_SECONDS * 1.01) == []
    assert offers(haste, SHORT_JOBS_IN_A_ROW - 1, SHORT_SECONDS) == []


def test_a_long_job_takes_the_places_back_and_one_in_between_does_not() -> None:
    haste = Haste()
    offers(haste, SHORT_JOBS_IN_A_ROW, SHORT_SECONDS)
    assert offers(haste, 1, LONG_SECONDS * 0.99) == []
    assert offers(haste, 2, LONG_SECONDS * 1.01) == [PlacesChanged(7.0, WorkerId(0), 1)]


def test_a_worker_that_holds_its_trial_gets_no_second_job_however_short_it_was() -> None:
    haste = Haste()
    assert offers(haste, 200, 0.0, held=True) == []
    offers(haste, SHORT_JOBS_IN_A_ROW, 0.0)
    assert offers(haste, 1, 0.0, held=True) == [PlacesChanged(7.0, WorkerId(0), 1)]


def test_each_worker_is_judged_by_its_own_jobs() -> None:
    haste = Haste()
    offers(haste, SHORT_JOBS_IN_A_ROW - 1, 0.0, worker=0)
    assert offers(haste, SHORT_JOBS_IN_A_ROW - 1, 0.0, worker=1) == []


def test_an_offer_is_for_rungs_whose_jobs_were_short_and_grows_by_one_short_job() -> None:
    haste = Haste()
    assert offers(haste, SHORT_JOBS_IN_A_ROW, 0.0) == [PlacesChanged(7.0, WorkerId(0), PLACES, 0)]
    assert offers(haste, 1, SHORT_SECONDS * 2, rung=1) == []
    assert offers(haste, 2, SHORT_SECONDS, rung=1) == [PlacesChanged(7.0, WorkerId(0), PLACES, 1)]


def test_a_long_job_above_the_offer_leaves_it_as_it_is() -> None:
    haste = Haste()
    offers(haste, SHORT_JOBS_IN_A_ROW, 0.0)
    assert offers(haste, 1, 600.0, rung=3) == []
    assert offers(haste, 1, 600.0, rung=0) == [PlacesChanged(7.0, WorkerId(0), 1)]
