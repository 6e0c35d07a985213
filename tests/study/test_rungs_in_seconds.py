"""A simulated study whose new trials go straight to the top rung: its journal, its report and its
forecast.
"""

from pathlib import Path
from typing import Any

import pytest

from ashtune import GP
from ashtune._src.analysis.audit import Audit
from ashtune._src.analysis.counts import RungTally
from ashtune._src.analysis.expected import expected
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.errors import StudyError
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.engines.simulated.simulated_times import Training
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine
from ashtune._src.schedulers.ash import Ash
from ashtune._src.schedulers.scheduler_registry import SchedulerView
from ashtune._src.simulation.simulated_run import LOSS, new_journal, simulate
from tests.helpers import studies

LADDER = Ladder(1, 9, 3)
TRIALS = 60


@pytest.mark.parametrize(("resumes", "goes_straight"), [(False, True), (True, False)])
def test_new_trials_skip_the_lower_rungs_if_the_lowest_rung_is_expensive(
    tmp_path: Path, resumes: bool, goes_straight: bool
) -> None:
    training = Training(
        metrics=lambda trial, resource: {"loss": (trial * 37 % TRIALS) / resource},
        seconds=lambda trial, start, target: 5.0 + target - start,
        resumes=resumes,
    )
    scheduler = Ash(ahead=1, exponent=0.8, skip_above=0.4)
    with new_journal(
        tmp_path / "s", "s", LOSS, scheduler, LADDER, trials=TRIALS, seed=0
    ) as journal:
        machine, engine = scheduler.build(LADDER, 0), SimulatedEngine(training, workers=4)
        simulate(machine, engine, [], trials=TRIALS, ledger=journal)
    reader = StudyReader(tmp_path / "s")
    lowest, _, top = reader.tally.rungs
    assert (lowest.trained < TRIALS / 2) is (top.trained > TRIALS / 2) is goes_straight
    assert (
        "to 9 directly, because training to 1 takes 43% of" in reader.outcome.notes
    ) is goes_straight
    audit = reader.told(Audit(reader.ladder, LOSS, reader.scheduler))
    assert [record.unexplained for record in audit.records()] == [[], [], []]
    found = expected(reader.scheduler, LADDER, TRIALS, learns=False, rungs=reader.tally.rungs)
    assert found is not None
    assert [each.middle for each in found] == [rung.trained for rung in reader.tally.rungs]


def forecast(*counts: tuple[int, int]) -> list[int]:
    """Return the expected final numbers of 60 trials by rung, from trials (trained, promoted) so
    far.
    """
    ladder = Ladder(1, 27, 3)
    rungs = [RungTally(resource, LOSS) for resource in ladder.rungs]
    for rung, (arrived, promoted) in zip(rungs, counts, strict=True):
        rung.arrived, rung.promoted = arrived, promoted
    scheduler = Ash(ahead=1, exponent=0.8, skip_above=0.4)
    view = SchedulerView("ash", scheduler.rule, scheduler.build(ladder, None))
    found = expected(view, ladder, 60, learns=False, rungs=rungs)
    assert found is not None
    return [each.middle for each in found]


def test_the_forecast_includes_trials_that_went_straight_to_the_former_top_rung() -> None:
    lowest, _, old_top, top = forecast((13, 7), (7, 6), (37, 8), (24, 0))
    assert (lowest, old_top) == (13, 37)
    assert 24 <= top < 30


def test_the_forecast_adds_promoted_trials_to_trials_that_skip_all_lower_rungs() -> None:
    # three are on their way to the rung below the top
    lowest, _, _, top = forecast((12, 6), (6, 3), (0, 0), (3, 0))
    assert lowest == 12
    assert top > 60 - 12


@pytest.mark.parametrize(
    ("search", "skip_above"),
    [(GP(), 0.4), (GP(price=0), None), ("random", None), (None, 0.4)],
    ids=str,
)
def test_trials_skip_expensive_rungs_only_if_the_search_considers_cost(
    tmp_path: Path, search: Any, skip_above: float | None
) -> None:
    studies.tuned(
        tmp_path, trials=1, max_resource=9, min_resource=None, search=search, engine="threads"
    )
    record = StudyReader(tmp_path / "study").settings.scheduler
    assert record.get("skip_above") == skip_above


def test_an_existing_study_refuses_a_changed_value_of_the_option_skip_above(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "max_resource": 9,
        "min_resource": None,
        "search": "gp",
        "engine": "threads",
    }
    studies.tuned(tmp_path, trials=1, **options)
    studies.tuned(tmp_path, trials=2, **options)
    assert StudyReader(tmp_path / "study").tally.started == 2
    with pytest.raises(StudyError, match=r"scheduler\.skip_above: 0\.4 before, 0\.6 now"):
        studies.tuned(tmp_path, trials=3, scheduler=Ash(skip_above=0.6), **options)


def test_the_forecast_lets_no_trial_skip_rungs_after_a_failed_attempt() -> None:
    """Four of 100 trials went straight to the top, and no further trial does."""
    ladder, scheduler = Ladder(1, 9, 3), Ash(ahead=1, exponent=0.8, least_agreement=0.2)
    told = scheduler.build(ladder, None)
    for trial in range(100):
        job = told.next_job()
        while job is not None and job.trial != trial:
            job = told.next_job()
        if trial in (43, 47, 51, 55):
            told._entered_at[TrialId(trial)] = ladder.top
    rungs = [RungTally(resource, LOSS) for resource in ladder.rungs]
    for rung, (arrived, promoted) in zip(rungs, ((96, 26), (26, 8), (12, 0)), strict=True):
        rung.arrived, rung.promoted = arrived, promoted
    view = SchedulerView("ash", scheduler.rule, scheduler.build(ladder, None), told=told)
    lowest, _, top = expected(view, ladder, 250, learns=False, rungs=rungs) or []
    assert lowest.middle == 246
    assert top.middle < 30
