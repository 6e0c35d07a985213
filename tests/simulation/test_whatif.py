"""Predictions: of what is known they are what happens; deadlines and budgets are kept by them."""

from array import array

import msgspec
import pytest

from ashtune._src.analysis.timeline import Timeline
from ashtune._src.core.jobs import Goal
from ashtune._src.core.ladder import Ladder
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine
from ashtune._src.figures.whatif_figure import whatif_figure
from ashtune._src.reports.plot import plot
from ashtune._src.reports.terminal.text import as_text
from ashtune._src.reports.whatif_table import column_words, whatif_table, whatif_words
from ashtune._src.schedulers.ash import Ash, AshMachine
from ashtune._src.simulation.recording import Recorder
from ashtune._src.simulation.simulated_curves import invent_curves
from ashtune._src.simulation.simulated_run import simulate
from ashtune._src.simulation.traces import Timing, Trace, Traces
from ashtune._src.simulation.whatif import Prediction, Predictor, Range

GOAL, LADDER = Goal("loss", "min"), Ladder(1, 16, 2)


def known(trials: int = 40, *, top: int = 16) -> Traces:
    """Trials whose whole curves are known."""
    curves = invent_curves(seed=2)
    traces = [
        Trace(
            array("d", [curves.loss(trial, resource) for resource in range(1, top + 1)]),  # type: ignore[arg-type]
            [top],
            [curves.does.seconds(trial, 0, top)],  # type: ignore[arg-type]
            1.0,
        )
        for trial in range(trials)
    ]
    return Traces(goal=GOAL, trials=traces, timing=Timing())


def cut(workers: int = 2) -> Traces:
    """What a study by ASH would know of them."""
    recorder, timeline, curves = Recorder(GOAL, LADDER), Timeline(LADDER), invent_curves(seed=2)
    training = curves.training(has_curves=True)
    simulate(
        AshMachine(LADDER, 40),
        SimulatedEngine(training, workers=workers),
        [recorder, timeline],
        trials=40,
    )
    return recorder.traces(Ash(), timeline)


@pytest.mark.parametrize("scheduler", ["ash", "stopping", "sh", "full"])
def test_one_simulated_worker_is_never_idle(scheduler: str) -> None:
    predictor = Predictor(known())
    replayed = predictor.replay(predictor.choice(scheduler, LADDER, 1))
    assert replayed.utilisation == pytest.approx(1.0)
    if scheduler == "full":
        assert replayed.epochs == 40 * 16
        assert replayed.wall == pytest.approx(
            sum(trace.seconds_at(16) for trace in predictor.traces.trials)
        )


def test_whatif_does_not_extrapolate_complete_curves() -> None:
    predictor = Predictor(known())
    one = predictor.prediction(predictor.choice("ash", LADDER, 4))
    assert one.continued == 0
    assert one.wall_seconds.low <= one.wall_seconds.likely <= one.wall_seconds.high
    assert one.wall_seconds.high - one.wall_seconds.low > 0
    sure = Predictor(known(), draws=0)
    assert (
        len({*msgspec.structs.astuple(sure.prediction(sure.choice("ash", LADDER, 4)).wall_seconds)})
        == 1
    )


def test_the_predicted_time_of_the_recorded_study_is_the_recorded_time() -> None:
    curves = invent_curves(seed=2)
    end = simulate(
        AshMachine(LADDER, 40), SimulatedEngine(curves.training(), workers=2), [], trials=40
    )
    predictor = Predictor(cut(workers=2))
    one = predictor.prediction(predictor.choice("ash", LADDER, 2))
    assert one.is_as_recorded
    assert one.wall_seconds == Range(*[pytest.approx(end)] * 3)
    assert one.continued == 0


def test_the_default_scheduler_appears_in_a_prediction_as_ash_without_options() -> None:
    predictor = Predictor(cut(workers=2))
    default = Ash().where_rungs_are_chosen(weighs_seconds=False)
    names = [
        predictor.prediction(predictor.choice(scheduler, LADDER, 2)).scheduler
        for scheduler in (default, Ash(exponent=0.9))
    ]
    assert names == ["ash", "ash:exponent=0.9"]


def test_a_prediction_states_the_share_of_epochs_that_were_never_trained() -> None:
    predictor = Predictor(cut())
    one = predictor.prediction(predictor.choice("full", LADDER, 2))
    assert one.epochs == 40 * 16
    trained = sum(trace.known for trace in predictor.traces.trials)
    assert one.continued == pytest.approx(1 - trained / (40 * 16))
    assert any("were never trained" in sentence for sentence in whatif_words([one], unit="epoch"))


def test_speed_up_compares_with_one_worker_and_efficiency_divides_by_workers() -> None:
    predictor = Predictor(known())
    alone, four = (
        predictor.prediction(predictor.choice("sh", LADDER, workers)) for workers in (1, 4)
    )
    assert (alone.speed_up, alone.efficiency) == (1.0, 1.0)
    assert four.speed_up == pytest.approx(alone.wall_seconds.likely / four.wall_seconds.likely)
    assert four.efficiency == pytest.approx(four.speed_up / 4)
    assert four.worker_hours == pytest.approx(4 * four.wall_seconds.likely / 3600)


def test_a_deadline_before_the_first_trial_cannot_be_met() -> None:
    predictor = Predictor(known())
    assert predictor.fewest_workers(predictor.choice("full", LADDER, 1), 1.0) is None
    assert predictor.fewest_workers(predictor.choice("full", LADDER, 1), 1e9) == predictor.choice(
        "full", LADDER, 1
    )


def test_the_curve_of_a_failed_trial_is_not_extrapolated() -> None:
    traces = known(8)
    traces.trials[3].losses, traces.trials[3].fails = array("d"), True
    predictor = Predictor(traces, draws=0)
    one = predictor.prediction(predictor.choice("full", LADDER, 1))
    assert one.continued == 0
    assert (
        one.best
        == Predictor(known(8), draws=0).prediction(predictor.choice("full", LADDER, 1)).best
    )


def prediction(workers: int, wall: Range, **more: object) -> Prediction:
    given = {
        "scheduler": "ash", "reduction_factor": "3", "trials": 9, "first_seconds": None,
        "speed_up": 2.0,
        "efficiency": 0.25, "utilisation": 0.5, "epochs": 90, "continued": 0.0, "best": Range(0.5,
        0.5, 0.5), **more,
    }  # fmt: skip
    return Prediction(workers=workers, wall_seconds=wall, **given)  # type: ignore[arg-type]


def test_the_whatif_table_shows_a_range_only_if_predictions_differ() -> None:
    sure = prediction(8, Range(60.0, 60.0, 60.0))
    assert as_text(whatif_table([sure], metric="loss", unit="epoch")).splitlines() == [
        "                              times  effi-        best",
        "scheduler workers  wall time faster ciency epochs loss",
        "ash 1/3         8 1 min 00 s      2   25 %     90  0.5",
    ]
    unsure = prediction(
        16, Range(2.0, 1.5, 2.5), continued=0.3, best=Range(0.5, 0.4, 0.5), trials=5
    )
    lines = as_text(whatif_table([sure, unsure], metric="loss", unit="epoch")).splitlines()
    assert " ".join(lines[-1].split()) == "ash 1/3 16 2.0 s -25/+25 % 2 25 % 90 30 % 0.5 0.4 to 0.5"
    assert any(
        "The value after 'or', and the thin line in the figure, show how wrong" in sentence
        for sentence in whatif_words([sure, unsure], unit="epoch")
    )
    assert whatif_words([sure], unit="epoch") == []


@pytest.mark.parametrize("cores_per_worker", [None, 4])
def test_the_widest_whatif_table_fits_100_columns_without_cut_cells(
    cores_per_worker: int | None,
) -> None:
    wall, best = Range(86_399.0, 60_000.0, 99_999.0), Range(0.01234, 0.0123, 0.0124)
    wide: dict[str, object] = {"epochs": 1_000_000, "continued": 0.99, "best": best}
    names = [
        "async_hyperband",
        "ash:ahead=1:exponent=0.8:skip_above=0.4:least_agreement=0.2",
        "async_hyperband:x=1",
    ]
    rows = [prediction(1024, wall, scheduler=name, **wide) for name in names]
    rows.append(prediction(1, wall, scheduler="ash", best=None, trials=10_000))
    table = whatif_table(
        rows, metric="validation_accuracy", unit="epoch", cores_per_worker=cores_per_worker
    )
    words, wider = (as_text(table, width).split() for width in (100, 500))
    assert sorted(words) == sorted(wider)
    assert {"async_...", "(2)", "-31/+16", "1,000,000", "0.01234", "0.0124", "known"} <= {*words}
    sentences = column_words(rows, metric="validation_accuracy", has_gain=True)
    assert f"ash 1/3 is {names[1]} 1/3." in sentences
    assert "async_... 1/3 is async_hyperband 1/3." in sentences
    assert "valida... is validation_accuracy." in sentences


def test_the_explanation_says_that_efficiency_compares_with_one_worker() -> None:
    (sentence,) = column_words(
        [prediction(8, Range(60.0, 60.0, 60.0))], metric="loss", has_gain=True
    )
    assert "compares with 1 worker" in sentence
    assert (
        column_words([prediction(8, Range(60.0, 60.0, 60.0))], metric="loss", has_gain=False) == []
    )


def test_whatif_predicts_no_result_better_than_the_best_recorded_result() -> None:
    traces = cut()
    predictor = Predictor(traces)
    for workers in (1, 8, 32):
        best = predictor.prediction(predictor.choice("full", LADDER, workers)).best
        assert best is not None
        assert best.low >= traces.best_loss


def test_whatif_predicts_no_result_above_the_highest_recorded_rung() -> None:
    predictor = Predictor(known(top=8), draws=2)
    assert predictor.prediction(predictor.choice("full", LADDER, 2)).best is None
    assert predictor.prediction(predictor.choice("full", Ladder(1, 8, 2), 2)).best is not None


def test_the_whatif_figure_has_a_line_per_scheduler_and_readable_times() -> None:
    figure = plot(
        whatif_figure(
            [prediction(workers, Range(60.0 / workers, 1.0, 70.0)) for workers in (4, 1, 2)]
        )
    )
    ranges, line, points = figure.data
    ends = zip(ranges.x, ranges.y, strict=True)
    assert [end for end in ends if end[1] is not None] == [
        (1, 1.0), (1, 70.0), (2, 1.0), (2, 70.0), (4, 1.0), (4, 70.0)
    ]  # fmt: skip
    assert points.hovertext[0].split("<br>")[:3] == [
        "wall time 1 min 00 s",
        "workers 1",
        "1.0 s to 1 min 10 s",
    ]
    assert (list(line.x), list(line.y)) == ([1, 2, 4], [60.0, 30.0, 15.0])
    assert "10 s" in figure.layout.yaxis.ticktext


def test_a_whatif_figure_of_one_prediction_has_fixed_names_and_round_ticks() -> None:
    recorded = [
        whatif_figure([prediction(2, Range(5.4, 5.4, 5.4), is_as_recorded=is_own)])
        for is_own in (True, False)
    ]
    assert [{series.name for series in figure.series} for figure in recorded] == 2 * [
        {"", "ash 1/3"}
    ]
    for seconds in (0.04 * 1.1**power for power in range(180)):
        axis = whatif_figure([prediction(1, Range(seconds, seconds, seconds))]).y
        assert axis.ticks == recorded[0].y.ticks
        assert any(axis.low <= tick <= axis.high for tick in axis.ticks), f"none near {seconds:g} s"
