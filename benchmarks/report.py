"""What a report costs: 100,000 trials, tuned for real by a function that only makes up a curve,
then their page.

Claim: the page of 100,000 trials is built in under 60 s and stays under 1 MB.

    python benchmarks/report.py [--trials 100000] [--keep FILE] [--json FILE]
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from table import show

REPORT = (
    "import sys; from ashtune._src.api.study import Study; "
    "Study.load(sys.argv[1]).report_html(sys.argv[2])"
)


def train(trial: Any) -> None:
    """Make up a learning curve: every epoch is reported, nothing is computed."""
    goal = 0.5 + 0.5 * trial["quality"] - 0.1 * abs(trial["rate"] - 0.3)
    for epoch in trial.epochs():
        trial.report(accuracy=goal * epoch / (epoch + 1), loss=1 / epoch)


def study(trials: int, place: Path) -> float:
    """Tune; return the seconds."""
    import ashtune

    began = time.perf_counter()
    space = {"quality": (0.0, 1.0), "rate": (0.0, 1.0), "width": [16, 32, 64], "kind": ["a", "b"]}
    ashtune.tune(
        train,
        space,
        metric="accuracy",
        mode="max",
        trials=trials,
        max_resource=64,
        search="random",
        directory=place,
        quiet=True,
    )
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    most = int(sys.argv[sys.argv.index("--trials") + 1]) if "--trials" in sys.argv else 100_000
    rows: list[list[Any]] = []
    for trials in sorted({min(256, most), most}):
        with tempfile.TemporaryDirectory() as directory:
            place, page = Path(directory, "study"), Path(directory, "report.html")
            tuned = study(trials, place)
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", REPORT, str(place), str(page)], check=True)
            seconds = time.perf_counter() - began
            memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            journal = place / "journal.jsonl"
            rows.append(
                [
                    trials,
                    tuned,
                    journal.stat().st_size / 1e6,
                    seconds,
                    page.stat().st_size / 1e6,
                    memory,
                ]
            )
            if "--keep" in sys.argv and trials == most:
                shutil.copy(page, sys.argv[sys.argv.index("--keep") + 1])
    show(
        "A report as one page",
        ["trials", "tuned in s", "journal MB", "page in s", "page MB", "peak MB"],
        rows,
    )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
