"""Studies run for real, of functions that report or save as they please: their journals give the
same studies back.
"""

import time
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.simulation.recording import traces_of
from ashtune._src.simulation.whatif import Predictor


def reports_once_and_saves_nothing(trial: ashtune.Trial) -> None:
    for _ in trial.epochs():
        time.sleep(0.004)
    trial.report(loss=trial["x"] + 1 / trial.target)


def reports_every_third_epoch(trial: ashtune.Trial) -> None:
    trained = trial.restore() or 0
    for epoch in trial.epochs():
        time.sleep(0.004)
        trained += 1
        assert trained == epoch
        if epoch % 3 == 0:
            trial.report(loss=trial["x"] + 1 / epoch)
    trial.save(trial.target)


def returns_a_number(trial: ashtune.Trial) -> float:
    time.sleep(0.004 * trial.target)
    return float(trial["x"]) + 1 / trial.target


@pytest.mark.parametrize(("scheduler", "workers"), [("ash", 1), ("sh", 2)])
@pytest.mark.parametrize(
    "function", [reports_once_and_saves_nothing, reports_every_third_epoch, returns_a_number]
)
def test_replaying_the_journal_of_a_real_study_gives_the_same_study(
    function: Any, scheduler: str, workers: int, tmp_path: Path
) -> None:
    """Here who is promoted does not depend on how long the driver of a busy machine takes between
    two jobs.
    """
    study = ashtune.tune(
        function, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=24, min_resource=4,
        max_resource=16,
        workers=workers, scheduler=scheduler, search="random", quiet=True, directory=tmp_path / "s",
    )  # fmt: skip
    tally = StudyReader(study.directory).tally
    predictor = Predictor(traces_of(study._reader))
    choice = predictor.choice(scheduler, StudyReader(study.directory).ladder, workers)
    predicted, replayed = predictor.prediction(choice), predictor.replay(choice)
    assert predicted.is_as_recorded
    assert predicted.continued == 0
    assert predicted.epochs == tally.epochs
    # Of two workers each takes longer for its first job, in the replay by about the mean. A busy
    # machine adds to this.
    rel = 1e-6 if workers == 1 else 0.5
    there = replayed.wall - predictor.traces.timing.start(0)
    assert replayed.utilisation * workers * there == pytest.approx(tally.training_seconds, rel=rel)
    if workers == 1:  # of two, one may wait for the other at another time
        assert predicted.wall_seconds.likely == pytest.approx(tally.wall_seconds, rel=0.02)
