"""The cost of a live page: epochs a second without a page, with one, and with one that somebody
watches.

Two workers on two cores train epochs that take 10 ms of processor time, so whatever the page
computes is taken from them. The three studies are run in turn, of the same configurations; each
page is started before its study, as `ashtune watch` is. A viewer is a process that reads all that
the page sends. Given are the median of the rounds' ratios and the lowest and highest, and the
page's own processor time as a share of the two cores, which other work on the machine disturbs
less.

Claim: a page that somebody looks at costs less than 1 % of the epochs a second.

    python benchmarks/watching_cost.py [--rounds 7] [--trials 300] [--json FILE]
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ashtune
from ashtune._src.core.events import JobFinished, WorkerJoined
from ashtune._src.study.journal import NAME, read_events
from table import show

EPOCH_SECONDS, WORKERS = 0.010, 2
HOW = ("no page", "a page", "a page and a viewer")
STEPS = 2_000
VIEWER = (
    "import sys, urllib.request\nfor line in urllib.request.urlopen(sys.argv[1] + "
    "'api/studies/0/events'): pass"
)
START_SECONDS = 3.0
"""In which page and viewer import what they need, before the study begins."""


def steps(count: int) -> float:
    """Compute."""
    value = 0.5
    for _ in range(count):
        value = 3.9 * value * (1.0 - value)
    return value


def steps_of_an_epoch() -> int:
    """Return how many steps take 10 ms of processor time."""
    taken = []
    for _ in range(51):
        began = time.process_time()
        steps(STEPS)
        taken.append(time.process_time() - began)
    return round(STEPS * EPOCH_SECONDS / statistics.median(taken))


def train(trial: Any) -> None:
    """Compute as many steps in each epoch."""
    count = int(os.environ["STEPS_OF_AN_EPOCH"])
    done = trial.restore() or 0
    for _ in trial.epochs():
        done += 1
        trial.report(score=trial["x"] * done + 0 * steps(count))
    trial.save(done)


@contextmanager
def page_of(study: Path, *, has_viewer: bool) -> Iterator["subprocess.Popen[str]"]:
    """Serve a page of a study that is not there yet."""
    command = [sys.executable, "-m", "ashtune", "watch", str(study)]
    with ExitStack() as ending:
        page = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        ending.callback(page.wait)
        ending.callback(page.terminate)
        assert page.stdout is not None
        address = page.stdout.readline().strip()
        if has_viewer:
            viewer = subprocess.Popen([sys.executable, "-c", VIEWER, address])
            ending.callback(viewer.wait)
            ending.callback(viewer.kill)
        time.sleep(START_SECONDS)
        yield page


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def run(how: str, trials: int) -> tuple[float, float]:
    """Return the epochs a second of a study, and the share of the two cores that its page used."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as ending:
        study = Path(folder, "study")
        page = (
            None
            if how == HOW[0]
            else ending.enter_context(page_of(study, has_viewer=how == HOW[2]))
        )
        used, began = (processor_seconds(page.pid) if page else 0.0), time.perf_counter()
        ashtune.tune(
            train, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=trials, max_resource=27,
            search="random",
            seed=0, workers=WORKERS, directory=study, quiet=True,
        )  # fmt: skip
        share = (
            (processor_seconds(page.pid) - used) / (WORKERS * (time.perf_counter() - began))
            if page
            else 0.0
        )
        joined = end = 0.0
        epochs = 0
        for event in read_events(study / NAME):
            if isinstance(event, WorkerJoined):
                joined = joined or event.time
            elif isinstance(event, JobFinished):
                epochs += event.resource - event.start
            end = event.time
        return epochs / (end - joined), share


def given(name: str, default: int) -> int:
    """Return the number of an option."""
    return int(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else default


def main() -> int:
    """Measure and print; return 1 if a page with a viewer costs 1 % or more."""
    rounds, trials = given("--rounds", 7), given("--trials", 300)
    os.environ["STEPS_OF_AN_EPOCH"] = str(steps_of_an_epoch())
    speeds: dict[str, list[float]] = {how: [] for how in HOW}
    shares: dict[str, list[float]] = {how: [] for how in HOW}
    for _ in range(rounds):
        for how in HOW:
            speed, share = run(how, trials)
            speeds[how].append(speed)
            shares[how].append(share)
    rows, median = [], 1.0
    for how in HOW:
        ratios = [
            with_it / without for with_it, without in zip(speeds[how], speeds[HOW[0]], strict=True)
        ]
        median = statistics.median(ratios)
        rows.append([
            how, f"{statistics.median(speeds[how]):.1f}", f"{median:.4f}", f"{min(ratios):.4f}",
            f"{max(ratios):.4f}",
            f"{100 * statistics.median(shares[how]):.2f}",
        ])  # fmt: skip
    show(
        f"What a live page costs: {trials} trials, epochs of 10 ms on two workers, {rounds} "
        f"rounds in turn",
        ["how", "epochs/s", "ratio", "lowest", "highest", "page's share of the cores %"],
        rows,
    )
    return int(median <= 0.99)


if __name__ == "__main__":
    sys.exit(main())
