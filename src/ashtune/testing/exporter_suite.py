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

# An exporter may be started at any time, several times, and while the study runs. The tests are the
# ways in which a copy gets a value twice, or loses one. The time of the study has a fraction,
# because trackers that keep whole seconds otherwise seem to be exact.
CREATED = 1_700_000_000.25


class Exported(msgspec.Struct, frozen=True):
    """An exporter under test.

    Args:
        make: Returns a new exporter that keeps its copy in a folder. Two exporters of one folder
            share the copy.
        read: Returns the content of the copy in a form that ``==`` compares: without folder names,
            and with NaN replaced by a value that equals itself.
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

    def test_it_says_where_its_copy_is(self, exported: Exported, tmp_path: Path) -> None:
        # Without it, a user would have to search for the copy.
        exporter = _told(exported, tmp_path / "a", [])
        assert exporter.place

    def test_a_second_export_adds_nothing(
        self, exported: Exported, steps: list[Step], tmp_path: Path
    ) -> None:
        # A tracker that appends has each point twice after a second export, and its curves go back.
        first = exported.read(_told(exported, tmp_path / "a", steps))
        assert first, "a study in which much happens leaves something"
        assert exported.read(_told(exported, tmp_path / "a", steps)) == first

    def test_live_and_later_the_copy_is_the_same(
        self, exported: Exported, steps: list[Step], tmp_path: Path
    ) -> None:
        # An exporter that uses the present time, and not that of the event, gives a copy in which a
        # study of a week lasted for a second.
        live = exported.read(_told(exported, tmp_path / "live", steps, is_live=True))
        assert exported.read(_told(exported, tmp_path / "later", steps)) == live

    @pytest.mark.parametrize("is_killed", [False, True])
    def test_a_study_that_goes_on_has_each_value_once(
        self, exported: Exported, steps: list[Step], is_killed: bool, tmp_path: Path
    ) -> None:
        """The driver of the earlier session ended normally or was killed."""
        # The exporter of the next session gets the whole journal again. What a killed one has
        # written, it must recognise; what was still in its memory, it must write.
        whole = exported.read(_told(exported, tmp_path / "whole", steps))
        for part in (1 / 3, 2 / 3):
            first = steps[: int(len(steps) * part)]
            _told(exported, tmp_path / "a", first, is_live=True, ends=not is_killed)
        assert exported.read(_told(exported, tmp_path / "a", steps, is_live=True)) == whole

    def test_a_study_that_is_moved_goes_on_with_its_copy(
        self, exported: Exported, steps: list[Step], tmp_path: Path
    ) -> None:
        # Studies are copied from a cluster to a laptop. An exporter that recognises a study by its
        # path would begin a second copy there.
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
