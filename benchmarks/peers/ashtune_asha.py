"""ashtune's ASH on the digits, beside its peers: the same plain PyTorch function, or the network
fused by JAX.

    python benchmarks/peers/ashtune_asha.py [--trials 256] [--seed 0] [--reports DIR] [--fused]

``--fused`` begins with an empty cache of compiled programs; with ``--warm`` the one of the last
such run is used. Configurations are drawn by ashtune from the same space: a fused study wants those
of a shape together.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.events import JobFinished
from ashtune._src.demo import lanes
from ashtune._src.study.journal import NAME, read_events
from reports import WORKERS, Options, measure, note
from space import CHOICES, INTERVALS, MAX_EPOCHS

CACHE = Path(tempfile.gettempdir(), "ashtune-peers-cache")


def train(trial: ashtune.Trial) -> None:
    """Train a configuration to its rungs, as any user of PyTorch would write it."""
    from training import Model, load  # the fused study does without PyTorch

    model = Model(trial.config, load())
    if (state := trial.restore()) is not None:
        model.load(state)
    for _ in trial.epochs():
        model.train_epoch()
        trial.report(accuracy=model.accuracy())
    trial.save(model.state())


def space() -> dict[str, Any]:
    """Return the space that all tuners share."""
    floats = {
        name: (float(interval.low), float(interval.high), *(["log"] if interval.log else []))
        for name, interval in INTERVALS.items()
    }
    return floats | CHOICES


def search(options: Options) -> None:
    """Run the study, then note each epoch at the time at which the driver heard of its job: later
    than it was.
    """
    function = lanes.objective() if FUSED else train
    study = ashtune.tune(
        function, space(), metric="accuracy", mode="max", trials=options.trials, min_resource=1,
        max_resource=MAX_EPOCHS, reduction_factor=2, search="random", seed=options.seed,
        workers=WORKERS,
        engine=ashtune.Local(threads=1), quiet=True, directory=options.directory / "study",
    )  # fmt: skip
    reader = StudyReader(study.directory)
    began = time.clock_gettime(time.CLOCK_BOOTTIME) - (time.time() - reader.settings.created)
    for event in read_events(study.directory / NAME):
        if isinstance(event, JobFinished):
            for epoch, metrics in [*event.curve, (event.resource, event.metrics)]:
                note(began + event.time, event.trial, epoch, metrics["accuracy"] or 0.0)
    tally = reader.tally
    sys.stderr.write(
        f"workers' time: compiling {tally.compile_seconds:.1f} s, training "
        f"{tally.training_seconds:.1f} s\n"
    )


FUSED = "--fused" in sys.argv
if __name__ == "__main__":
    is_warm = "--warm" in sys.argv
    for option in ("--fused", "--warm"):
        if option in sys.argv:
            sys.argv.remove(option)
    if not is_warm:
        shutil.rmtree(CACHE, ignore_errors=True)
    os.environ["XDG_CACHE_HOME"] = str(CACHE)
    how = f"fused, {'warm' if is_warm else 'cold'}" if FUSED else "plain PyTorch"
    measure(f"ashtune, {how}", "ashtune", search)
