"""What all exporters have to be able to: those that need no other library,
and what trackers share.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ashtune._src.core.observer import Exporter, ObservedStudy
from ashtune._src.core.parts import Names
from ashtune._src.driver import observing
from ashtune._src.integrations import tracking
from ashtune._src.integrations.tracking import StudySummary, TrackedTrial, Tracker, with_own
from ashtune.observers import CsvLog
from ashtune.testing.exporter_suite import Exported, ExporterSuite
from ashtune.testing.observer_suite import GOAL, LADDER, History, Observed, ObserverSuite
from tests.helpers.studies import tuned

COPIES: dict[str, dict[str, Any]] = {}
"""What trackers keep here, by folder."""


class InMemory(Tracker):
    """Keeps runs in this process, as a tool would: each point once, by trial and resource."""

    module, extra = "json", "json"

    def open(self) -> None:
        self.place = self.out or self.study.directory
        self._runs = COPIES.setdefault(self.place, {})

    def write(self, trials: Sequence[TrackedTrial]) -> None:
        for trial in trials:
            self._runs[trial.name] = repr(trial)

    def close(self, summary: StudySummary) -> None:
        self._runs["study"] = repr(summary)


def moved(folder: Path) -> InMemory:
    """Return a tracker whose copy goes with its folder."""
    (folder / "copy").touch()
    return InMemory(str((folder / "copy").stat().st_ino))


class TestExporters(ExporterSuite):
    @pytest.fixture(params=["csv", "tracker"])
    def exported(self, request: pytest.FixtureRequest) -> Exported:
        if request.param == "csv":
            return Exported(make=lambda folder: CsvLog(folder / "t.csv"), read=_text)
        return Exported(make=moved, read=lambda tracker: dict(COPIES[tracker.place]))


class TestWhatTrackersShare(ObserverSuite):
    @pytest.fixture
    def observed(self) -> Observed:
        return Observed(make=InMemory, result=lambda tracker: dict(COPIES[tracker.place]))


class Pieces(InMemory):
    """Notes which trials are written together."""

    most_changed = 3

    def open(self) -> None:
        super().open()
        self.pieces: list[dict[str, str]] = []

    def write(self, trials: Sequence[TrackedTrial]) -> None:
        super().write(trials)
        self.pieces.append({trial.name: trial.state for trial in trials})


def test_a_tracker_writes_a_long_history_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Amid the past trials are as they were: an earlier session has written what they are."""
    monkeypatch.setattr(tracking, "SECONDS_BETWEEN", 0.0)
    tracker = Pieces("pieces")
    study = ObservedStudy(
        name="s", directory=str(tmp_path), created=1.0, goal=GOAL, ladder=LADDER, search="random"
    )
    tracker.begin(study, 1)
    for event, followed in History(0, trials=12):
        tracker.event(event)
        for what in followed:
            tracker.followed(what)
    assert tracker.pieces == []
    tracker.tick(1.0)
    tracker.tick(2.0)
    assert [len(piece) for piece in tracker.pieces] == [3, 3]
    tracker.end()
    names = [name for piece in tracker.pieces for name in piece]
    assert len(names) == len(set(names)) >= 12, "each trial once, as it came out"


def test_a_hyperparameter_name_that_is_already_in_use_gets_a_prefix() -> None:
    assert with_own({"ashtune": 1, "x": 2}, {"ashtune": 3}) == {
        "config.ashtune": 1,
        "x": 2,
        "ashtune": 3,
    }


def _text(exporter: Exporter) -> str:
    return Path(exporter.place).read_text()


HANGS = threading.Event()


class Hangs(InMemory):
    """Hangs when it writes, until it is let go."""

    def __init__(self, out: str) -> None:
        super().__init__(out)
        self.go = threading.Event()

    def write(self, trials: Sequence[TrackedTrial]) -> None:
        HANGS.set()
        self.go.wait()
        super().write(trials)


def train_while_it_hangs(trial: Any) -> None:
    assert trial.number < 2 or HANGS.wait(60), "the later trials begin when the tracker hangs"
    for epoch in trial.epochs():
        trial.report(score=trial["x"] * epoch)


def test_export_writes_the_data_that_a_hanging_tracker_did_not_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(observing, "FINISH_SECONDS", 0.2)
    HANGS.clear()
    tracker = Hangs("hangs")
    study = tuned(tmp_path, train_while_it_hangs, engine="threads", observers=[tracker])
    assert (study.is_complete, len(study.trials)) == (True, 16)
    assert (
        capfd.readouterr().err
        == "observer Hangs gets no more events: it has not ended within 0.2 s; the study continues "
        "without it\n"
    )
    assert not COPIES["hangs"]
    tracker.go.set()
    # what it was about to write is written late: not into the copy below
    for thread in threading.enumerate():
        if thread.name == "ashtune-observer-Hangs":
            thread.join()
    monkeypatch.setattr(
        observing, "OBSERVERS", Names("observer", {"memory": InMemory}, "ashtune.observers")
    )
    for name in ("hangs", "other"):
        study.export("memory", name)
    assert COPIES["hangs"] == COPIES["other"]
    assert len(COPIES["other"]) == 17, "the study and its trials"
