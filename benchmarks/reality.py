"""A simulated study against the real one: what its own journal gives back, and what one worker's
journal says of two.

For each function and seed: the study is run for real on two workers and on one (one BLAS thread
each). Then its journal of two workers is replayed on two, and that of one worker is asked what two
would have taken. Besides the digits there are functions of 50 ms epochs: one that saves, one that
needs 1 s more the first time in each process (imports, data), and one that saves nothing, so that
each promotion trains from the beginning.

Claims: the replay agrees in wall time within 5 %, the prediction within 10 %.

    python benchmarks/reality.py [--seeds 3] [--trials MOST] [--json FILE]
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.demo import demo_objective as objective
from ashtune._src.simulation.recording import traces_of
from ashtune._src.simulation.whatif import Predictor
from table import show

EPOCH_SECONDS = 0.05


def steady(trial: ashtune.Trial) -> None:
    """Train in epochs of 50 ms, asleep: nothing but the driver takes a core."""
    state = trial.restore() or 0
    for epoch in trial.epochs():
        time.sleep(EPOCH_SECONDS)
        trial.report(accuracy=1 - trial["x"] - (1 - trial["x"]) / (epoch + 1))
        state = epoch
    trial.save(state)


_imported: list[str] = []  # by this process


def slow_to_start(trial: ashtune.Trial) -> None:
    """Train like :func:`steady`; the first time in a process takes a second more."""
    if not _imported:
        time.sleep(1.0)
        _imported.append("what takes long")
    steady(trial)


def saves_nothing(trial: ashtune.Trial) -> None:
    """Train in epochs of 50 ms, each job from the beginning."""
    for epoch in trial.epochs():
        time.sleep(EPOCH_SECONDS)
        trial.report(accuracy=1 - trial["x"] - (1 - trial["x"]) / (epoch + 1))


def run(
    function: Callable[..., Any], space: Any, workers: int, seed: int, **more: Any
) -> ashtune.Study:
    """Run for real."""
    return ashtune.tune(
        function,
        space,
        metric="accuracy",
        mode="max",
        search="random",
        seed=seed,
        engine=ashtune.Local(workers=workers, threads=1),
        quiet=True,
        **more,
    )


def predicted(study: ashtune.Study, workers: int) -> float:
    """Return the wall time of a study, predicted from its journal."""
    predictor = Predictor(traces_of(study._reader))
    ladder = StudyReader(study.directory).ladder
    return predictor.wall_seconds(predictor.choice("ash", ladder, workers))


def main() -> None:
    """Run and compare."""
    seeds = int(sys.argv[sys.argv.index("--seeds") + 1]) if "--seeds" in sys.argv else 3
    most = int(sys.argv[sys.argv.index("--trials") + 1]) if "--trials" in sys.argv else 256
    studies: list[tuple[str, Callable[..., Any], Any, dict[str, Any]]] = [
        (
            f"digits, {most} models, rungs 1 to 64",
            objective.train,
            objective.space(),
            {"trials": most, "max_resource": 64},
        ),
        (
            f"50 ms epochs, {min(most, 64)} models, rungs 1 to 16",
            steady,
            {"x": (0.0, 1.0)},
            {"trials": min(most, 64), "max_resource": 16},
        ),
        (
            "the same, 1 s to start",
            slow_to_start,
            {"x": (0.0, 1.0)},
            {"trials": min(most, 64), "max_resource": 16},
        ),
        (
            "the same, nothing saved",
            saves_nothing,
            {"x": (0.0, 1.0)},
            {"trials": min(most, 64), "max_resource": 16},
        ),
    ]
    rows, replays, predictions = [], [], []
    for name, function, space, more in studies:
        for seed in range(seeds):
            with tempfile.TemporaryDirectory(prefix="ashtune-") as folder:
                one, two = (
                    run(
                        function, space, workers, seed, directory=Path(folder, str(workers)), **more
                    )
                    for workers in (1, 2)
                )
                alone, real = (
                    StudyReader(each.directory).tally.wall_seconds for each in (one, two)
                )
                again, foretold = predicted(two, 2), predicted(one, 2)
            replays.append(abs(again / real - 1))
            predictions.append(abs(foretold / real - 1))
            rows.append([name, seed, alone, real, again, f"{100 * (again / real - 1):+.1f} %",
                         foretold, f"{100 * (foretold / real - 1):+.1f} %"])  # fmt: skip
            print(*rows[-1], file=sys.stderr)
    columns = [
        "study",
        "seed",
        "real, one",
        "real, two",
        "replay of two",
        "off",
        "one's say of two",
        "off",
    ]
    show("Wall time in seconds", columns, rows)
    print(
        f"largest error of the replay {100 * max(replays):.1f} %, of the prediction "
        f"{100 * max(predictions):.1f} %"
    )


if __name__ == "__main__":
    main()
