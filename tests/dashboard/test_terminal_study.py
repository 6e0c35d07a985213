"""Real studies on the terminal page: done, running, killed, resumed, replaced, not there yet, with hostile texts."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live_page import SlowStudy
from studies import tuned
from terminal_page import Seen, on_the_page
from terminal_parts import HOSTILE

import ashtune
from ashtune.core.jobs import TrialId
from ashtune.core.plaintext import one_line
from ashtune.dashboard.following import FollowedStudy
from ashtune.dashboard.picture import PARTS
from ashtune.dashboard.terminal.followed import FollowedSource
from ashtune.dashboard.trial_page import trial_page


@contextlib.contextmanager
def followed(directory: Path) -> Iterator[FollowedSource]:
    study = FollowedStudy(directory)
    study.start()
    try:
        yield FollowedSource(study)
    finally:
        study.close()


def test_a_study_that_is_done_is_shown_as_its_report_tells_it(finished_study: Path) -> None:
    best = ashtune.Study.load(finished_study).best

    async def test(seen: Seen) -> None:
        await seen.shows(
            "✓ complete", "16 of 16 trials", f"score {best.metrics['score']:.4g}, trial {best.trial} at epoch 8"
        )
        await seen.press("6")
        await seen.shows("16 trials", "x", "top")
        await seen.search(*"status", "enter")
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


def test_a_trial_is_read_once_while_the_journal_does_not_grow(
    finished_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def counted(directory: Path, trial: TrialId, *rest: Any, **named: Any) -> Any:
        read.append(trial)
        return trial_page(directory, trial, *rest, **named)

    monkeypatch.setattr("ashtune.dashboard.terminal.followed.trial_page", counted)

    async def test(seen: Seen) -> None:
        await seen.shows("complete")
        for trial in (3, 3, 4, 4):
            assert source.trial(trial)["trial"] == trial
        assert read == [3, 4]

    with followed(finished_study) as source:
        on_the_page(source, test)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_study_is_awaited_watched_said_to_have_died_and_watched_to_its_end_once_resumed(
    slow_study: SlowStudy,
) -> None:
    async def test(seen: Seen) -> None:
        await seen.shows("there is no study in")
        slow_study.hold()
        slow_study.run("--trials", "150", "--max-resource", "9")
        await seen.shows("● running", "best score", "of 150 trials", "2 workers, ")
        slow_study.kill()
        await seen.shows("✗ died", "ashtune resume")
        slow_study.resume("--workers", "2")
        await seen.shows("● running", "2 workers, ")
        slow_study.let_go()
        await seen.shows("✓ complete")

    with followed(slow_study.directory) as source:
        on_the_page(source, test)


UNMADE = "this part of the study could not be made"
KEYS = {"2": "ladder", "3": "best", "4": "curves", "5": "workers", "7": "failures", "8": "notes"}


def fails(*_: object) -> None:
    raise ValueError("a fault of this part")


@pytest.mark.parametrize(("key", "part"), KEYS.items())
def test_a_part_that_cannot_be_made_is_said_and_the_others_are_shown(
    finished_study: Path, monkeypatch: pytest.MonkeyPatch, key: str, part: str
) -> None:
    monkeypatch.setattr(PARTS[part], "value", fails)

    async def test(seen: Seen) -> None:
        await seen.shows("complete")
        for other in KEYS:
            await seen.press(other)
            await seen.pilot.pause()
            is_broken = other == key
            await seen.until(lambda text, is_broken=is_broken: (UNMADE in text) == is_broken)

    with followed(finished_study) as source:
        on_the_page(source, test)


def test_a_study_whose_state_cannot_be_made_out_is_said(finished_study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PARTS["head"], "value", fails)

    async def test(seen: Seen) -> None:
        await seen.shows("train", "the figures cannot be shown (")

    with followed(finished_study) as source:
        on_the_page(source, test)


def another(trial: Any) -> None:
    trial.report(loss=trial["x"])


def test_another_study_in_the_place_of_one_is_shown_in_its_place(tmp_path: Path) -> None:
    first = tuned(tmp_path)
    second = tuned(tmp_path / "other", another, trials=4, metric="loss", mode="min")

    async def test(seen: Seen) -> None:
        await seen.shows("train ash", "16 of 16 trials")
        await seen.press("6")
        await seen.shows("1 to 16 of 16 trials")
        await seen.press("end", "enter")
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
