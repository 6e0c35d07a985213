"""What is shown while a study runs fits where it is shown."""

import io
import itertools
import math
import re
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from ashtune._src.analysis.expected import estimate
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.events import (
    JobFailed,
    SessionStarted,
    StopRequested,
    TrialStarted,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.figures.looks import TRIALS
from ashtune._src.reports.terminal.frame import Frame
from ashtune._src.reports.terminal.live import (
    Display,
    LiveDisplay,
    PlainDisplay,
    display_for,
    progress_line,
)
from ashtune._src.reports.terminal.text import Visible
from tests.helpers.made_up import ACCURACY, MadeUpReader, MadeUpStudy, show, tell

LADDER = Ladder(1, 64, 2)
GLYPHS = {look.glyph for look in TRIALS.values()}
HEADER = ["epoch", "trained", "expected", "running", "paused", "promoted", "failed"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def part_of_a_study(
    workers: int = 4, trials: int = 256, steps: int = 1500, **more: Any
) -> tuple[Tally, StudyReader]:
    study = MadeUpStudy(LADDER, trials, workers, **more)
    tally = show(Tally(LADDER, ACCURACY), itertools.islice(study, steps))
    return tally, MadeUpReader(
        study,
        tally,
        workers=workers,
        directory="runs/digits-20261124-160957",
        checkpoint_bytes=study.controller.checkpoints.total_bytes,
    )


def drawn(
    study: StudyReader,
    width: int,
    height: int,
    encoding: str = "utf-8",
    *,
    is_over: bool = False,
) -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding)
    Console(width=width, height=height, file=file, force_terminal=True, color_system=None).print(
        Visible(Frame(study, is_over=is_over)), end=""
    )
    file.seek(0)
    return file.read().splitlines()


@settings(max_examples=100, deadline=None)
@given(
    width=st.integers(20, 200),
    height=st.integers(4, 60),
    steps=st.integers(0, 1500),
    workers=st.sampled_from([1, 4, 64]),
)
def test_a_frame_of_the_live_display_fits_the_terminal(
    width: int, height: int, steps: int, workers: int
) -> None:
    lines = drawn(part_of_a_study(workers, steps=steps)[1], width, height)
    assert len(lines) < height
    assert max(cell_len(line) for line in lines) <= width
    assert "nan" not in "\n".join(lines).split()


def test_a_frame_of_80_columns_is_not_cut() -> None:
    text = "\n".join(drawn(part_of_a_study()[1], 80, 24))
    for word in (
        "digits",
        "256 trials",
        "left",
        "expected",
        "promoted",
        "failed",
        "best",
        "the top rung",
        "busy",
    ):
        assert word in text
    assert "…" not in text


def test_the_bars_of_the_live_display_show_the_progress_of_each_rung() -> None:
    tally, study = part_of_a_study(trouble=0.0, steps=700)
    lines = [line.strip("│| ").split() for line in drawn(study, 100, 40)]
    bars = [line[1] for line in lines[lines.index(HEADER) + 1 :][: len(tally.rungs)]]
    assert len({len(bar) for bar in bars}) == 1
    for bar, rung, expected in zip(
        bars, reversed(tally.rungs), reversed(study.expected or ()), strict=True
    ):
        share = (rung.trained + rung.running) / max(expected.middle, rung.trained + rung.running)
        full = [glyph for glyph in bar if glyph in GLYPHS]
        assert len(full) == pytest.approx(share * len(bar), abs=3)
        assert bool(full) == (share > 0)


def test_the_live_display_shows_markup_in_failures_and_reasons_as_plain_text() -> None:
    tally, study = part_of_a_study(trouble=0.0)
    failure = JobFailed(
        tally.now,
        worker=WorkerId(0),
        trial=TrialId(3),
        rung=0,
        seconds=0.1,
        reason="[bold]no[/bold]",
    )
    tell(tally, failure)
    tally.event(StopRequested(tally.now, "Ctrl-C received"))
    text = "\n".join(drawn(study, 80, 24))
    assert "1 trial failed with [bold]no[/bold]" in text
    assert "stopping: Ctrl-C received" in text
    assert " left" not in text


def test_the_live_display_says_when_a_study_waits_for_workers() -> None:
    tally, study = part_of_a_study(trouble=0.0, steps=400)
    study.workers = 0
    waits = "waiting for workers"
    assert waits not in progress_line(study)
    for worker in list(tally.workers):
        tell(tally, WorkerLost(tally.now, worker=worker, reason="it left", is_dismissed=True))
    assert waits in progress_line(study)
    assert waits in "\n".join(drawn(study, 80, 24))
    assert waits not in "\n".join(drawn(study, 80, 24, is_over=True))


def test_the_live_display_explains_a_slow_start_while_most_time_was_waiting() -> None:
    tally = Tally(LADDER, ACCURACY)
    study = MadeUpReader(MadeUpStudy(LADDER, 8, 2), tally, workers=2, waited=0.5)
    tell(
        tally,
        SessionStarted(0.0, unix_time=0.0, version="1", host="here", pid=1, trials=8),
        WorkerJoined(0.6, worker=WorkerId(0)),
        WorkerJoined(0.8, worker=WorkerId(1)),
    )
    tally.tick(2.0)
    why = "of 2.0 s: 0.70 s starting workers, 0.50 s waiting for the model"
    assert why in progress_line(study)
    assert why in "\n".join(drawn(study, 80, 24))
    assert why in "\n".join(drawn(study, 80, 24, is_over=True))
    tally.tick(10.0)
    assert "starting workers" not in progress_line(study)


def test_a_progress_line_shows_the_share_of_trials_proposed_by_the_model() -> None:
    tally = Tally(LADDER, ACCURACY)
    study = MadeUpReader(MadeUpStudy(LADDER, 8, 2), tally)
    for trial, origin in enumerate(("random", "gp, 9 results", "mutation of 0", "random")):
        tally.event(TrialStarted(0.0, TrialId(trial), {"x": 1}, origin))
    line = progress_line(study)
    assert "25 % by the model" in line
    assert "proposed" not in line


def test_the_last_frame_of_the_live_display_shows_no_running_work() -> None:
    tally, study = part_of_a_study(steps=1500)
    assert tally.running
    before, after = ("\n".join(drawn(study, 100, 40, is_over=is_over)) for is_over in (False, True))
    for text in (" training", " left"):
        assert text in before
        assert text not in after
    present = len(tally.workers)
    assert present
    assert before.count("\n") - after.count("\n") == present, "a line for each worker"
    assert "4 workers" in after
    tally.event(StopRequested(tally.now, "Ctrl-C received"))
    after = "\n".join(drawn(study, 100, 40, is_over=True))
    assert "stopped: Ctrl-C received" in after
    assert "stopping" not in after


def test_the_terminal_is_restored_after_the_live_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    with display_for(part_of_a_study()[1], stream=terminal) as display:
        assert isinstance(display, LiveDisplay)
        display.tick(0.0)
        print("an observer prints", file=sys.stderr)
        display.tick(1.0)
    text = terminal.getvalue()
    assert text.index("an observer prints") < text.rindex("digits")
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    assert re.sub(r"\x1b\[\?2026h.*?\x1b\[\?2026l", "", text, flags=re.DOTALL) == ""


def test_the_live_display_draws_at_most_five_frames_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    _, study = part_of_a_study()
    terminal = Terminal()
    with display_for(study, stream=terminal) as display:
        for hundredth in range(1000):
            display.tick(hundredth / 100)
        frames = terminal.getvalue().count("runs/digits")
    assert 40 <= frames <= 55


def test_plain_progress_lines_are_printed_to_a_stream_other_than_a_terminal() -> None:
    _, study = part_of_a_study()
    stream = io.StringIO()
    assert isinstance(display_for(study, stream=stream), PlainDisplay)
    with display_for(study, stream=Terminal(), quiet=True) as display:
        assert isinstance(display, Display)
        display.tick(9.0)


def test_a_plain_line_is_printed_every_five_seconds() -> None:
    _, study = part_of_a_study()
    stream = io.StringIO()
    display = PlainDisplay(study, stream)
    with display:
        for tenth in range(1, 161):
            display.tick(1000 + tenth / 10)
    assert len(stream.getvalue().splitlines()) == 3


def test_the_estimated_time_left_is_wrong_by_at_most_a_quarter() -> None:
    for workers in (1, 4, 16):
        whole = part_of_a_study(workers, 512, 100_000, trouble=0.0)[0].now
        for steps in (500, 1500, 2500):
            tally, study = part_of_a_study(workers, 512, steps, trouble=0.0)
            left = estimate(tally, study.scheduler, learns=False, unit="epoch").seconds_left
            assert left is not None
            assert left == pytest.approx(whole - tally.now, rel=0.25, abs=1.0)


def test_the_estimated_time_left_includes_promotions_beyond_the_quota() -> None:
    whole, study = part_of_a_study(4, 512, 100_000, trouble=0.0, learns=0.05)
    expected = study.scheduler.expected(512)
    assert expected is not None
    assert whole.rungs[1].arrived > 1.2 * expected[1]
    # those that continued beyond the quota did so at the lower rungs until now
    for steps in (1500, 2000, 2500):
        tally, study = part_of_a_study(4, 512, steps, trouble=0.0, learns=0.05)
        left = estimate(tally, study.scheduler, learns=True, unit="epoch").seconds_left
        assert left is not None
        assert 0.3 < left / (whole.now - tally.now) < 1.1


def test_the_share_of_finished_work_reaches_one_only_at_the_end() -> None:
    study = MadeUpStudy(LADDER, 128, 4, trouble=0.0)
    tally = Tally(LADDER, ACCURACY)
    shares = [0.0]
    for kind, what in study:
        show(tally, [(kind, what)])
        if kind == "order" and tally.running:
            shares.append(estimate(tally, study.scheduler, learns=False, unit="epoch").share or 0.0)
    assert all(later > share - 0.1 for share, later in itertools.pairwise(shares))
    assert max(shares) < 1
    assert estimate(tally, study.scheduler, learns=False, unit="epoch").share == 1.0


def test_the_remaining_time_follows_the_nearest_limit_if_there_is_one() -> None:
    tally, study = part_of_a_study()
    tally.session = SessionStarted(0.0, 0.0, "1", "laptop", 1)
    judged = estimate(tally, study.scheduler, learns=False, unit="epoch")
    assert (judged.share, judged.seconds_left, judged.left) == (None, None, "")
    assert drawn(study, 80, 24)
    judged = estimate(tally, study.scheduler, learns=False, deadline=tally.now + 3.0, unit="epoch")
    assert judged.seconds_left == pytest.approx(3.0)
    assert judged.left == "3.0 s left"
    tally.session = SessionStarted(0.0, 0.0, "1", "laptop", 1, total_resource=tally.epochs * 2)
    judged = estimate(tally, study.scheduler, learns=False, deadline=1e6, unit="epoch")
    assert judged.share == 0.5
    assert judged.done.endswith("epochs")
    assert judged.seconds_left is not None and math.isfinite(judged.seconds_left)
    workers = len(tally.workers)
    tally.session = SessionStarted(
        0.0, 0.0, "1", "laptop", 1, budget=tally.presence + 2.0 * workers
    )
    judged = estimate(tally, study.scheduler, learns=False, unit="epoch")
    assert judged.seconds_left == pytest.approx(2.0)
    assert judged.share == pytest.approx(tally.presence / (tally.presence + 2.0 * workers))
