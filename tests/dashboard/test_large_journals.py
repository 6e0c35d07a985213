"""A large journal is read twice, first from events alone, and comes out as if it were read once."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

import ashtune
from ashtune._src.analysis.trials import STATUSES
from ashtune._src.core.ladder import Ladder
from ashtune._src.dashboard import picture as pictures
from ashtune._src.dashboard.liveness import Standing
from ashtune._src.dashboard.trial_query import Query, table_of
from ashtune._src.engines.simulated.simulated_times import Mortality, half_normal
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine
from ashtune._src.schedulers.ash import Ash
from ashtune._src.simulation.simulated_curves import invent_curves
from ashtune._src.simulation.simulated_run import new_journal, simulate
from ashtune._src.study.journal import NAME
from tests.dashboard.study_picture import picture_of, shown
from tests.helpers.studies import tuned

pytestmark = pytest.mark.timeout(180)
STANDING = Standing("running", "")


def seen(directory: Path) -> dict[str, Any]:
    """Return all that is shown of a study."""
    picture = picture_of(directory)
    found = shown(picture, STANDING)
    query = Query(search=("a",), sort="value", count=500)
    found["trials"] = msgspec.to_builtins(table_of(picture.trials, query).select(query))
    found["facts"] = [msgspec.to_builtins(record) for record in picture.trials]
    found["pauses"] = picture.tally.pauses
    for name in ("trials", "facts"):
        # what is not finite is equal then
        found[name] = msgspec.json.decode(msgspec.json.encode(found[name]))
    return found


def check_same(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that a journal that is read twice, first from events alone, shows what one that is read
    once does.
    """
    monkeypatch.setattr(pictures, "LARGE_BYTES", 0)
    twice = seen(directory)
    monkeypatch.setattr(pictures, "LARGE_BYTES", 1 << 60)
    once = seen(directory)
    head = once["head"]
    assert head.pop("remaining") is not None and twice["head"].pop("remaining") is not None
    under_way = head["started"] if head["running"] is None else head["running"]
    ladders = [parts["ladder"].pop("figure")["series"] for parts in (twice, once)]
    flows = [
        promoted
        for series in ladders
        for each in series
        if each["kind"] == "flows"
        for promoted in each["x"]
    ]
    for one, other in zip(flows[: len(flows) // 2], flows[len(flows) // 2 :], strict=True):
        # known as soon as it is ordered, without orders once something came of it
        assert 0 <= other - one <= under_way
    words = [
        [text for each in series if each["kind"] == "texts" for text in each["words"]]
        for series in ladders
    ]
    # what is expected follows from what was promoted
    assert [re.sub(r", .* expected", "", text) for text in words[0]] == [
        re.sub(r", .* expected", "", text) for text in words[1]
    ]
    running = STATUSES[0]
    for one, other in zip(twice["facts"], once["facts"], strict=True):
        if other["status"] == running:  # promoted, as the orders say
            one["status"] = running
    twice["trials"].pop("statuses")
    once["trials"].pop("statuses")
    assert twice == once


@pytest.mark.parametrize("seed", range(4))
def test_a_journal_with_lost_workers_can_be_read_in_two_parts(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves, ladder = invent_curves(seed=seed), Ladder(1, 27, 3)
    engine = SimulatedEngine(
        curves.training(stretch=half_normal(0.5), drop=0.002, has_curves=True),
        workers=7,
        seed=seed,
        deaths=Mortality(200.0, 5.0),
    )
    with new_journal(
        tmp_path / "s", "s", curves.goal, Ash(), ladder, trials=400, seed=seed
    ) as journal:
        simulate(
            Ash().build(ladder, 0, seed), engine, [], trials=400, goal=curves.goal, ledger=journal
        )
    check_same(tmp_path / "s", monkeypatch)
    whole = (tmp_path / "s" / NAME).read_bytes().splitlines(keepends=True)
    for part in (2, 3, 40, len(whole) // 2, len(whole) - 1):
        cut = tmp_path / f"cut-{part}"
        cut.mkdir()
        (cut / NAME).write_bytes(b"".join(whole[:part]))
        check_same(cut, monkeypatch)


def troubled(trial: Any) -> None:
    if trial.number % 9 == 4:
        raise ValueError("no good")
    if trial.number % 9 == 7:
        raise ashtune.InvalidConfiguration("no")
    for epoch in trial.epochs():
        trial.report(score=trial["x"] * epoch, size=trial["x"])
    if trial.number % 5 == 0:
        trial.stop()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"confirm": 3},
        {"metric": ["score", "size"], "mode": ["max", "min"]},
        {"constraints": {"size": "<= 0.7"}},
        {"scheduler": "hyperband"},
    ],
)
def test_a_journal_of_several_sessions_can_be_read_in_two_parts(
    tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned(tmp_path, troubled, trials=24, **options)
    ashtune.Study.load(tmp_path / "study").resume(trials=50, quiet=True)
    check_same(tmp_path / "study", monkeypatch)


def test_reading_continues_when_a_large_journal_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tuned(tmp_path, trials=16)
    lines = (study.directory / NAME).read_bytes().splitlines(keepends=True)
    monkeypatch.setattr(pictures, "LARGE_BYTES", 0)
    live = tmp_path / "live"
    live.mkdir()
    (live / NAME).write_bytes(b"".join(lines[:9]) + lines[9][:20])
    picture = picture_of(live)
    started = picture.tally.started
    ends = [
        end
        for end, line in enumerate(lines, start=1)
        if line.endswith(b'"}\n') and b'"crc":' in line[-20:]
    ]
    for end in (*[end for end in ends if end > 20][:2], len(lines)):
        (live / NAME).write_bytes(b"".join(lines[:end]))
        assert picture.advance(60)
        assert picture.position == (live / NAME).stat().st_size
    assert picture.tally.started == 16 > started
    assert picture.is_complete
