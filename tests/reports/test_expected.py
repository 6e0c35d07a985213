"""How many trials are expected at each rung, against recorded studies."""

import io
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashtune._src.analysis.counts import RungTally
from ashtune._src.analysis.expected import Expected, expected
from ashtune._src.core.ladder import Ladder
from ashtune._src.reports.terminal.frame import Frame
from ashtune._src.reports.terminal.text import as_text
from ashtune._src.schedulers.scheduler_registry import view_of
from tests.helpers.made_up import ACCURACY
from tests.helpers.saved_page import answer
from tests.helpers.studies import tuned

LADDER = Ladder.from_above(27, 3, 9)
DEFAULT = view_of({"kind": "ash", "ahead": 1, "exponent": 0.8}, LADDER, LADDER, 0)


class Recorded(msgspec.Struct, frozen=True, array_like=True):
    """Trials, what was (trained, promoted) at the two lower rungs after so many percent, and the
    final counts.
    """

    trials: int
    at: dict[int, tuple[tuple[int, int], tuple[int, int]]]
    final: tuple[int, int, int]


# the default search, on LCBench and on made-up functions: benchmarks/expected.py --first-seed 50
LEARNT = [
    Recorded(n, at, final)
    for n, at, final in (
        (60, {20: ((12, 7), (7, 3)), 40: ((24, 14), (14, 9)),
         60: ((36, 19), (19, 11)), 80: ((48, 25), (25, 15))}, (60, 30, 19)),
        (60, {20: ((12, 5), (5, 2)), 40: ((24, 13), (13, 9)),
         60: ((36, 23), (23, 17)), 80: ((48, 30), (30, 21))}, (60, 34, 23)),
        (150, {20: ((30, 15), (15, 9)), 40: ((60, 29), (28, 16)),
         60: ((90, 41), (40, 21)), 80: ((120, 47), (46, 23))}, (150, 49, 24)),
        (150, {20: ((30, 16), (16, 9)), 40: ((60, 28), (27, 16)),
         60: ((90, 36), (36, 23)), 80: ((120, 41), (41, 26))}, (150, 46, 28)),
        (300, {20: ((60, 31), (30, 22)), 40: ((120, 46), (45, 29)),
         60: ((180, 55), (53, 34)), 80: ((240, 70), (69, 40))}, (300, 79, 41)),
        (300, {20: ((60, 31), (29, 22)), 40: ((120, 70), (69, 53)),
         60: ((180, 93), (93, 65)), 80: ((240, 97), (97, 68))}, (300, 100, 69)),
        (30, {20: ((6, 2), (1, 0)), 40: ((12, 4), (3, 1)),
         60: ((18, 9), (9, 4)), 80: ((24, 13), (13, 5))}, (30, 17, 8)),
        (30, {20: ((6, 3), (2, 1)), 40: ((12, 5), (5, 2)),
         60: ((18, 9), (9, 5)), 80: ((24, 13), (13, 9))}, (30, 18, 13)),
        (150, {20: ((30, 15), (14, 7)), 40: ((60, 31), (31, 18)),
         60: ((90, 41), (41, 22)), 80: ((120, 49), (49, 27))}, (150, 52, 28)),
        (150, {20: ((30, 15), (14, 8)), 40: ((60, 31), (31, 17)),
         60: ((90, 35), (35, 20)), 80: ((120, 38), (37, 20))}, (150, 44, 21)),
    )
]  # fmt: skip
DRAWN = [  # the same with random draws
    Recorded(n, at, final)
    for n, at, final in (
        (60, {20: ((12, 7), (7, 3)), 40: ((24, 11), (11, 6)),
         60: ((36, 14), (14, 8)), 80: ((48, 15), (15, 8))}, (60, 18, 9)),
        (60, {20: ((12, 5), (5, 2)), 40: ((24, 9), (9, 4)),
         60: ((36, 11), (11, 5)), 80: ((48, 16), (16, 5))}, (60, 20, 7)),
        (150, {20: ((30, 7), (6, 2)), 40: ((60, 19), (18, 6)),
         60: ((90, 24), (24, 8)), 80: ((120, 34), (33, 10))}, (150, 40, 11)),
        (150, {20: ((30, 8), (8, 4)), 40: ((60, 16), (14, 5)),
         60: ((90, 23), (23, 9)), 80: ((120, 28), (27, 10))}, (150, 36, 15)),
    )
]  # fmt: skip


def ask(trials: int, learns: bool, counts: tuple[tuple[int, int], ...] = ()) -> list[Expected]:
    """Return what is expected after these counts."""
    rungs = [RungTally(resource, ACCURACY) for resource in LADDER.rungs] if counts else []
    for rung, (trained, promoted) in zip(rungs, counts, strict=False):
        rung.arrived, rung.promoted = trained, promoted
    found = expected(DEFAULT, LADDER, trials, learns=learns, rungs=rungs)
    assert found is not None
    return found


@pytest.mark.parametrize("rung", [1, 2])
@pytest.mark.parametrize("percent", [0, 20, 40, 60, 80])
def test_the_expected_range_contains_nine_of_ten_studies_whose_search_learns(
    rung: int, percent: int
) -> None:
    assert sum(in_range(study, rung, percent, learns=True) for study in LEARNT) >= 9


@pytest.mark.parametrize("rung", [1, 2])
def test_the_expected_range_contains_nine_of_ten_studies_of_random_draws(rung: int) -> None:
    held = [
        in_range(study, rung, percent, learns=False)
        for study in DRAWN
        for percent in (0, 20, 40, 60, 80)
    ]
    assert sum(held) >= 0.9 * len(held)


def in_range(study: Recorded, rung: int, percent: int, *, learns: bool) -> bool:
    found = ask(study.trials, learns, study.at[percent] if percent else ())[rung]
    return found.low <= study.final[rung] <= found.high


def test_the_expected_number_of_trials_is_higher_for_a_learning_search() -> None:
    for trials in (30, 100, 1000):
        assert all(
            a.middle < b.middle
            for a, b in zip(ask(trials, False)[1:], ask(trials, True)[1:], strict=True)
        )


@pytest.mark.parametrize("kind", ["sh", "hyperband", "full"])
def test_schedulers_with_fixed_quotas_have_a_single_expected_number(kind: str) -> None:
    view = view_of({"kind": kind}, LADDER, LADDER, 0)
    for learns in (False, True):
        found = expected(view, LADDER, 90, learns=learns)
        assert found is not None
        assert [(each.low, each.middle, each.high) for each in found] == [
            (count, count, count) for count in view.expected(90) or ()
        ]


@given(
    trials=st.integers(1, 10_000), learns=st.booleans(), shares=st.tuples(*[st.floats(0, 1)] * 4),
    exponent=st.sampled_from([0.5, 0.8, 1.0]), factor=st.sampled_from([2, 3, 4]),
)  # fmt: skip
def test_expected_ranges_are_ordered_and_shrink_towards_the_top_rung(
    trials: int, learns: bool, shares: tuple[float, ...], exponent: float, factor: int
) -> None:
    ladder = Ladder(1, factor**2, factor)
    view = view_of({"kind": "ash", "exponent": exponent}, ladder, ladder, 0)
    rungs, trained = [RungTally(resource, ACCURACY) for resource in ladder.rungs], trials
    for rung, arrived, promoted in zip(rungs, shares[::2], shares[1::2], strict=False):
        rung.arrived = round(arrived * trained)
        trained = rung.promoted = round(promoted * rung.arrived)
    found = expected(view, ladder, trials, learns=learns, rungs=rungs)
    assert found is not None
    for rung, below, above in zip(rungs, found, found[1:], strict=False):
        assert rung.promoted <= above.low <= above.middle <= above.high <= below.high


def test_all_texts_about_an_ended_study_show_the_same_expected_numbers(tmp_path: Path) -> None:
    study = tuned(tmp_path, trials=30, engine="threads")
    study.report_html(tmp_path / "page.html")
    reader = study._reader
    audited = [
        (row["resource"], row["expected"])
        for row in answer(tmp_path / "page.html", "audit")["rungs"]
    ]
    (texts,) = [
        series["words"]
        for series in answer(tmp_path / "page.html", "events")["parts"]["ladder"]["figure"][
            "series"
        ]
        if series["kind"] == "texts"
    ]
    assert re.fullmatch(r"\d+ to \d+", audited[1][1])
    assert "expected" not in "\n".join(texts)
    report = io.StringIO()
    study.report(report)
    frame = as_text(Frame(reader, is_over=True), 120, 40)
    for resource, expects in audited:
        assert re.search(rf"^ *{resource} +\d+  +{expects}  ", report.getvalue(), re.MULTILINE)
        assert re.search(rf"^│ +{resource}  \S+ +\d+ +{expects}  ", frame, re.MULTILINE)
