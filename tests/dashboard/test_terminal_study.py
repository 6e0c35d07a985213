"""Real studies on the terminal page: done, running, killed, resumed, replaced, not there yet, with hostile texts."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from studies import tuned
from terminal_page import Seen, on_the_page
from terminal_parts import HOSTILE

import ashtune
from ashtune.core.plaintext import one_line
from ashtune.dashboard.following import FollowedStudy
from ashtune.dashboard.terminal.followed import FollowedSource

TRAIN = """
    import time

    space = {"x": (0.0, 1.0)}

    def train(trial):
        trained = trial.restore() or 0
        for epoch in trial.epochs():
            time.sleep(0.05)
            trained += 1
            trial.report(score=trial["x"] * trained)
        trial.save(trained)
"""


@contextlib.contextmanager
def followed(directory: Path) -> Iterator[FollowedSource]:
    study = FollowedStudy(directory)
    study.start()
    try:
        yield FollowedSource(study)
    finally:
        study.close()


@contextlib.contextmanager
def command(*arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command of ashtune in a process of its own, which is gone after the block."""
    process = subprocess.Popen([sys.executable, "-m", "ashtune", *arguments], stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_study_that_is_done_is_shown_as_its_report_tells_it(finished_study: Path) -> None:
    best = ashtune.Study.load(finished_study).best

    async def test(seen: Seen) -> None:
        await seen.shows(
            "✓ complete", "16 of 16 trials", f"score {best.metrics['score']:.4g}, trial {best.trial} at epoch 8"
        )
        await seen.press("6")
        await seen.shows("16 trials", "x", "top")
        await seen.press("/", *"status", "enter")
        await seen.shows("none of 16 trials matches")
        await seen.press("escape")
        await seen.shows("1 to 16 of 16 trials")
        await seen.press("enter")
        await seen.shows("configuration, and that of the best trial")

    with followed(finished_study) as source:
        on_the_page(source, test)


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_every_view_of_a_study_that_is_done_has_something_to_show(finished_study: Path, size: tuple[int, int]) -> None:
    words = {
        "1": "best so far", "2": "promoted", "3": "over seconds", "4": "best, trial", "5": "% busy", "6": "status",
        "7": "nothing failed", "8": "random",
    }  # fmt: skip

    async def test(seen: Seen) -> None:
        await seen.shows("complete")
        for key, word in words.items():
            await seen.press(key)
            await seen.shows(word)

    with followed(finished_study) as source:
        on_the_page(source, test, size=size)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_study_is_awaited_watched_said_to_have_died_and_watched_to_its_end_once_resumed(tmp_path: Path) -> None:
    file, directory = tmp_path / "train.py", tmp_path / "study"
    file.write_text(textwrap.dedent(TRAIN))
    run = ["run", f"{file}:train", "--metric", "score", "--mode", "max", "--trials", "60", "--max-resource", "9"]
    run += ["--search", "random", "--workers", "2", "--directory", str(directory), "--quiet"]

    async def test(seen: Seen) -> None:
        await seen.shows("there is no study in")
        with command(*run) as driver:
            await seen.shows("● running", "best score", "of 60 trials", "2 workers, ")
            os.kill(driver.pid, signal.SIGKILL)
            driver.wait()
            await seen.shows("✗ died", "ashtune resume")
        with command("resume", str(directory), "--quiet", "--workers", "2"):
            await seen.shows("● running", "2 workers, ")
            await seen.shows("✓ complete")

    with followed(directory) as source:
        on_the_page(source, test)


def another(trial: Any) -> None:
    trial.report(loss=trial["x"])


def test_another_study_in_the_place_of_one_is_shown_in_its_place(tmp_path: Path) -> None:
    first = tuned(tmp_path)
    second = tuned(tmp_path / "other", another, trials=4, metric="loss", mode="min")

    async def test(seen: Seen) -> None:
        await seen.shows("train ash", "16 of 16 trials")
        await seen.press("6", "end", "enter")
        await seen.shows("trial", "configuration, and that of the best trial")
        shutil.rmtree(first.directory)
        shutil.copytree(second.directory, first.directory)
        await seen.shows("another ash", "4 of 4 trials")
        await seen.press("1")
        await seen.shows("rungs")

    with followed(first.directory) as source:
        on_the_page(source, test)


def test_a_directory_that_is_deleted_is_said_to_be_gone(tmp_path: Path) -> None:
    study = tuned(tmp_path)

    async def test(seen: Seen) -> None:
        await seen.shows("complete")
        shutil.rmtree(study.directory)
        await seen.shows("gone")

    with followed(study.directory) as source:
        on_the_page(source, test)


QUITS = "[@click=app.quit]漢字[/]"


def fails_with_a_hostile_text(trial: Any) -> None:
    print(HOSTILE)
    if trial.number % 2:
        raise ValueError(HOSTILE)
    trial.report(**{"[b]loss[/b]": len(trial["kind"])})


def test_names_texts_and_logs_that_are_hostile_are_only_text(tmp_path: Path) -> None:
    study = ashtune.tune(
        fails_with_a_hostile_text, {"kind": [QUITS, f"{QUITS}!"], "x": (0.0, 1.0)}, metric="[b]loss[/b]", mode="min",
        trials=8, max_resource=1, search="random", workers=1, directory=tmp_path / "study", quiet=True,
    )  # fmt: skip
    reason = one_line(f"ValueError: {HOSTILE}")

    async def test(seen: Seen) -> None:
        await seen.shows("best [b]loss[/b]", "4 failed")
        for view in "12345678":
            await seen.press(view)
            await seen.pilot.pause()
            assert "\x1b" not in seen.text
            assert "\u202e" not in seen.text
        await seen.press("7")
        await seen.shows(reason[:30])
        await seen.press("enter")
        await seen.shows("trial 1", reason[:30], QUITS)
        await seen.press("end")
        await seen.shows("\\x1b[31m")
        assert seen.pilot.app.is_running

    with followed(study.directory) as source:
        on_the_page(source, test, size=(120, 30))
