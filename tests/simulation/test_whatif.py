"""Predictions: of what is known they are what happens; deadlines and budgets are kept by them."""

from array import array

import msgspec
import pytest

from ashtune.engines.simulated import SimulatedWorkers
from ashtune.errors import SettingsError
from ashtune.jobs import Goal
from ashtune.ladder import Ladder
from ashtune.reports.text import as_text
from ashtune.reports.timeline import Timeline
from ashtune.reports.whatif import Prediction, Span, whatif_figure, whatif_table, whatif_words
from ashtune.schedulers.ash import Ash
from ashtune.simulation import simulate
from ashtune.simulation.curves import made_up
from ashtune.simulation.recording import Recorder
from ashtune.simulation.traces import Timing, Trace, Traces
from ashtune.simulation.whatif import Oracle

GOAL, LADDER = Goal("loss", "min"), Ladder(1, 16, 2)


def known(trials: int = 40, *, top: int = 16) -> Traces:
    """Trials whose whole curves are known."""
    curves = made_up(seed=2)
    found = [
        Trace(
            array("d", [curves.loss(trial, resource) for resource in range(1, top + 1)]),  # type: ignore[arg-type]
            [top],
            [curves.seconds(trial, 0, top)],  # type: ignore[arg-type]
            1.0,
        )
        for trial in range(trials)
    ]
    return Traces(goal=GOAL, trials=found, timing=Timing())


def cut(workers: int = 2) -> Traces:
    """What a study by ASH would know of them."""
    recorder, timeline, curves = Recorder(GOAL, LADDER), Timeline(LADDER), made_up(seed=2)
    training = curves.training(has_curves=True)
    simulate(Ash(LADDER, 40), SimulatedWorkers(training, workers=workers), [recorder, timeline], trials=40)
    return recorder.traces("ash", timeline)


@pytest.mark.parametrize("scheduler", ["ash", "stopping", "sh", "full"])
def test_on_one_worker_the_wall_time_is_the_sum_of_all_training(scheduler: str) -> None:
    oracle = Oracle(known())
    found = oracle.replayed(oracle.choice(scheduler, LADDER, 1))
    assert found.utilisation == pytest.approx(1.0)
    if scheduler == "full":
        assert found.epochs == 40 * 16
        assert found.wall == pytest.approx(sum(trace.seconds_at(16) for trace in oracle.traces.trials))


def test_of_curves_known_in_full_nothing_is_guessed_and_the_spread_is_luck() -> None:
    oracle = Oracle(known())
    one = oracle.prediction(oracle.choice("ash", LADDER, 4))
    assert one.continued == 0
    assert one.wall_seconds.low <= one.wall_seconds.likely <= one.wall_seconds.high
    assert one.wall_seconds.high - one.wall_seconds.low > 0
    sure = Oracle(known(), draws=0)
    assert len({*msgspec.structs.astuple(sure.prediction(sure.choice("ash", LADDER, 4)).wall_seconds)}) == 1


def test_a_study_asked_for_what_it_was_answers_what_it_took() -> None:
    curves = made_up(seed=2)
    end = simulate(Ash(LADDER, 40), SimulatedWorkers(curves.training(), workers=2), [], trials=40)
    oracle = Oracle(cut(workers=2))
    one = oracle.prediction(oracle.choice("ash", LADDER, 2))
    assert one.is_as_recorded
    assert one.wall_seconds == Span(*[pytest.approx(end)] * 3)
    assert one.continued == 0


def test_full_training_of_a_study_that_was_cut_is_mostly_guessed_and_says_so() -> None:
    oracle = Oracle(cut())
    one = oracle.prediction(oracle.choice("full", LADDER, 2))
    assert one.epochs == 40 * 16
    trained = sum(trace.known for trace in oracle.traces.trials)
    assert one.continued == pytest.approx(1 - trained / (40 * 16))
    assert any("were never trained" in sentence for sentence in whatif_words([one]))


def test_speed_up_is_against_one_worker_and_efficiency_by_their_number() -> None:
    oracle = Oracle(known())
    alone, four = (oracle.prediction(oracle.choice("sh", LADDER, workers)) for workers in (1, 4))
    assert (alone.speed_up, alone.efficiency) == (1.0, 1.0)
    assert four.speed_up == pytest.approx(alone.wall_seconds.likely / four.wall_seconds.likely)
    assert four.efficiency == pytest.approx(four.speed_up / 4)
    assert four.worker_hours == pytest.approx(4 * four.wall_seconds.likely / 3600)


@pytest.mark.parametrize("scheduler", ["ash", "sh", "full"])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.2])
def test_the_fewest_workers_are_done_in_time_and_one_fewer_is_not(scheduler: str, share: float) -> None:
    oracle = Oracle(known())
    deadline = share * oracle.wall_seconds(oracle.choice(scheduler, LADDER, 1))
    found = oracle.fewest_workers(oracle.choice(scheduler, LADDER, 1), deadline)
    assert found is not None
    assert oracle.wall_seconds(found) <= deadline
    assert found.workers > 1
    assert oracle.wall_seconds(oracle.choice(scheduler, LADDER, found.workers - 1)) > deadline


def test_a_deadline_before_one_trial_is_trained_is_not_met_by_any_number() -> None:
    oracle = Oracle(known())
    assert oracle.fewest_workers(oracle.choice("full", LADDER, 1), 1.0) is None
    assert oracle.fewest_workers(oracle.choice("full", LADDER, 1), 1e9) == oracle.choice("full", LADDER, 1)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_most_trials_of_a_budget_cost_no_more_and_one_more_would(workers: int) -> None:
    oracle = Oracle(known())
    choice = oracle.choice("sh", LADDER, workers)
    budget = 0.5 * workers * oracle.wall_seconds(choice)
    found = oracle.most_trials(choice, budget)
    assert found is not None
    assert workers * oracle.wall_seconds(found) <= budget
    more = oracle.choice("sh", LADDER, workers, found.trials + 1)
    assert workers * oracle.wall_seconds(more) > budget
    assert oracle.most_trials(choice, 1e9) == choice
    assert oracle.most_trials(choice, 0.1) is None


def test_of_a_trial_that_fails_again_nothing_is_guessed() -> None:
    traces = known(8)
    traces.trials[3].losses, traces.trials[3].fails = array("d"), True
    oracle = Oracle(traces, draws=0)
    one = oracle.prediction(oracle.choice("full", LADDER, 1))
    assert one.continued == 0
    assert one.best == Oracle(known(8), draws=0).prediction(oracle.choice("full", LADDER, 1)).best


def test_a_driver_that_needs_time_makes_many_workers_useless() -> None:
    fast, slow = Oracle(known()), Oracle(known(), decision_seconds=5.0)
    choice = fast.choice("ash", LADDER, 40)
    assert slow.replayed(choice).wall > 2 * fast.replayed(choice).wall


def test_more_trials_than_were_recorded_and_unknown_schedulers_are_refused() -> None:
    oracle = Oracle(known())
    with pytest.raises(SettingsError, match="the study has 40; give at most that many"):
        oracle.choice("ash", LADDER, 1, 41)
    with pytest.raises(SettingsError, match="scheduler='magic' is unknown"):
        oracle.choice("magic", LADDER, 1)


def prediction(workers: int, wall: Span, **more: object) -> Prediction:
    given = {
        "scheduler": "ash", "reduction_factor": "3", "trials": 9, "first_seconds": None, "speed_up": 2.0,
        "efficiency": 0.25, "utilisation": 0.5, "epochs": 90, "continued": 0.0, "best": Span(0.5, 0.5, 0.5), **more,
    }  # fmt: skip
    return Prediction(workers=workers, wall_seconds=wall, **given)  # type: ignore[arg-type]


def test_the_table_shows_spreads_only_where_there_are_any() -> None:
    sure = prediction(8, Span(60.0, 60.0, 60.0))
    assert as_text(whatif_table([sure], metric="loss")).splitlines() == [
        "scheduler workers  wall time times faster cores used epochs best loss",
        "ash 1/3         8 1 min 00 s            2       25 %     90       0.5",
    ]
    unsure = prediction(16, Span(2.0, 1.5, 2.5), continued=0.3, best=Span(0.5, 0.4, 0.5), trials=5)
    text = as_text(whatif_table([sure, unsure], metric="loss"))
    assert "1.5-2.5 s" in text
    assert any("'or' is the span" in sentence for sentence in whatif_words([sure, unsure]))
    assert whatif_words([sure]) == []
    assert "0.4-0.5" in text
    assert "30 %" in text
    assert "core hours" in text


def test_the_figure_has_a_line_for_each_scheduler_and_readable_times() -> None:
    figure = whatif_figure([prediction(workers, Span(60.0 / workers, 1.0, 70.0)) for workers in (4, 1, 2)])
    (line,) = figure.data
    assert (list(line.x), list(line.y)) == ([1, 2, 4], [60.0, 30.0, 15.0])
    assert "10 s" in figure.layout.yaxis.ticktext
