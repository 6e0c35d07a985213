"""Very many configurations in one study: the demo's network as lanes, 100,000 configurations, at
most 64 epochs.

Two workers. Measured are time, the most memory that the driver and the largest worker had, and what
the study leaves on disk: its journal and its checkpoints. Programs compiled before are used if
there are any.

    python benchmarks/fused_many.py [--trials 100000] [--json FILE]
"""

import resource
import sys
import tempfile
from pathlib import Path

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.demo import lanes
from ashtune._src.study.checkpoints import FOLDER
from ashtune._src.study.journal import NAME
from table import show


def main() -> None:
    """Measure and print."""
    trials = int(sys.argv[sys.argv.index("--trials") + 1]) if "--trials" in sys.argv else 100_000
    with tempfile.TemporaryDirectory(prefix="ashtune-") as folder:
        study = ashtune.tune(
            lanes.objective(), lanes.space(), metric="accuracy", mode="max", trials=trials,
            max_resource=64, workers=2,
            engine=ashtune.Local(threads=1), quiet=True, directory=Path(folder, "study"),
        )  # fmt: skip
        driver, worker = (
            resource.getrusage(who).ru_maxrss / 1e3
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        tally = StudyReader(study.directory).tally
        journal = (study.directory / NAME).stat().st_size / 1e6
        kept = sum(file.stat().st_size for file in (study.directory / FOLDER).rglob("*")) / 1e6
    seconds = tally.wall_seconds
    columns = ["models", "seconds", "epochs", "epochs/s", "s training", "s compiling", "driver MB",
    "worker MB",
               "journal MB", "checkpoints MB"]  # fmt: skip
    row = [trials, seconds, tally.epochs, tally.epochs / seconds, tally.training_seconds,
    tally.compile_seconds,
           driver, worker, journal, kept]  # fmt: skip
    show("Fused, two workers", columns, [row])


if __name__ == "__main__":
    main()
