"""A suite of tests for exporters: after several exports, a study's copy has each value once.

Derive a test class from :class:`ExporterSuite`, with a fixture ``exported`` that returns the
exporter under test::

    class TestMine(ExporterSuite):
        @pytest.fixture
        def exported(self) -> Exported:
            return Exported(
                make=lambda folder: Mine(folder / "copy"), read=lambda mine: load(mine.place)
            )

Because an exporter is an observer, a fast exporter also passes
:class:`~ashtune.testing.observer_suite.ObserverSuite`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ashtune._src.core.confirm import Confirm
from ashtune._src.core.observer import Exporter, ObservedStudy
from ashtune._src.integrations import tracking
from ashtune.testing.observer_suite import GOAL, LADDER, History, Step, as_in_a_journal

__all__ = ["Exported", "ExporterSuite"]

# An exporter may be started at any time, several times, and while the study runs. Each test is a
# case in which a copy may get a value twice or lose a value. The times of the study are no whole
# seconds. Otherwise trackers that store whole seconds would seem to be exact.
CREATED = 1_700_000_000.25


class Exported(msgspec.Struct, frozen=True):
    """An exporter under test.

    Args:
        make: A function that returns a new exporter with its copy in the given folder. Two
            exporters with the same folder share the copy.
        read: A function that returns the content of the copy in a form that can be compared with
            ``==``: without folder names, and with NaN replaced by a value that equals itself.
    """

    make: Callable[[Path], Exporter]
    read: Callable[[Any], Any]


class ExporterSuite:
    """The tests of an exporter."""

    @pytest.fixture
    def exported(self) -> Exported:
        """Return the exporter under test."""
        raise NotImplementedError

    @pytest.fixture(params=[0, 1])
    def steps(self, request: pytest.FixtureRequest) -> list[Step]:
        """Return the events of a random study."""
        return list(
            History(request.param, trials=12, confirm=Confirm(2, 1) if request.param else None)
        )

    @pytest.fixture(autouse=True)
    def writes_at_each_tick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let trackers write at each tick, so that a killed tracker leaves data. A slow tracker may
        override this.
        """
        monkeypatch.setattr(tracking, "SECONDS_BETWEEN", 0.0)

    def test_an_exporter_names_the_place_of_its_copy(
        self, exported: Exported, tmp_path: Path
    ) -> None:
        # Without the line, a user would have to search for the copy.
        exporter = _told(exported, tmp_path / "a", [])
        assert exporter.place

    def test_a_second_export_of_a_study_does_not_change_the_copy(
        self, exported: Exported, steps: list[Step], tmp_path: Path
    ) -> None:
        # If a tracker only appends, each point exists twice after a second export, and its curves
        # jump back to the start.
        first = exported.read(_told(exported, tmp_path / "a", steps))
        assert first, "the export of a study with many events is empty"
        assert exported.read(_told(exported, tmp_path / "a", steps)) == first

    def test_a_live_export_equals_an_export_of_the_complete_study(
        self, exported: Exported, steps: list[Step], tmp_path: Path
    ) -> None:
        # If an exporter used the present time and not the time of the event, a study of a week
        # would seem to have lasted for one second.
        live = exported.read(_told(exported, tmp_path / "live", steps, is_live=True))
        assert exported.read(_told(exported, tmp_path / "later", steps)) == live

    @pytest.mark.parametrize("is_killed", [False, True])
    def test_a_resumed_study_is_exported_with_each_value_once(
        self, exported: Exported, steps: list[Step], is_killed: bool, tmp_path: Path
    ) -> None:
        """The driver of the earlier session ended normally or was killed."""
        # The exporter of the next session gets the whole journal again. It must recognise the
        # values that a killed exporter has written, and write the values that were only in that
        # exporter's memory.
        whole = exported.read(_told(exported, tmp_path / "whole", steps))
        for part in (1 / 3, 2 / 3):
            first = steps[: int(len(steps) * part)]
            _told(exported, tmp_path / "a", first, is_live=True, ends=not is_killed)
        assert exported.read(_told(exported, tmp_path / "a", steps, is_live=True)) == whole

    def test_the_export_of_a_moved_study_continues_the_same_copy(
        self, exported: Exported, steps: list[Step], tmp_path: Path
    ) -> None:
        # Users copy studies from a cluster to a laptop. If an exporter identified a study by its
        # path, it would begin a second copy on the laptop.
        _told(exported, tmp_path / "a", steps[: len(steps) // 2])
        (tmp_path / "a").rename(tmp_path / "b")
        moved = exported.read(_told(exported, tmp_path / "b", steps))
        assert moved == exported.read(_told(exported, tmp_path / "whole", steps))


def _told(
    exported: Exported,
    folder: Path,
    steps: Sequence[Step],
    *,
    is_live: bool = False,
    ends: bool = True,
) -> Exporter:
    """Return a new exporter that has received all events of a study: while the study ran, or from
    its journal.
    """
    folder.mkdir(exist_ok=True)
    exporter = exported.make(folder)
    study = ObservedStudy(
        name="suite", directory=str(folder), created=CREATED, goal=GOAL, ladder=LADDER,
        hyperparameters=("x",),
        search="random", seed=7,
    )  # fmt: skip
    exporter.begin(study, int(is_live))
    for event, followed in steps:
        exporter.event(event if is_live else as_in_a_journal(event))
        for what in followed:
            exporter.followed(what)
        if is_live:
            exporter.tick(event.time)
    if ends:
        exporter.end()
    return exporter
