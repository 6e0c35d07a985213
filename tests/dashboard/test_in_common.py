"""What trials that failed for one reason have in common."""

import io
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ashtune._src.analysis.hyperparameters import FEWEST, FEWEST_OTHERS, Columns, Texts, in_common
from ashtune._src.dashboard.liveness import Standing
from tests.dashboard.study_picture import picture_of, shown
from tests.helpers.saved_page import texts
from tests.helpers.studies import tuned

TRIALS = 40
NUMBER = np.arange(TRIALS)
NONE = np.full(TRIALS, np.nan)


def said(ended: Any, column: Any, others: Any = None) -> str:
    """Return what is named, without the counts around it."""
    columns = Columns(())
    if column.dtype == np.int32:
        columns.texts["kind"] = Texts(["a", "b"])
        columns.texts["kind"].codes.extend(column.tolist())
    else:
        columns.numbers["rate"] = array("d", column.tolist())
    return named(in_common(ended, ~ended if others is None else others, columns))


def columns_of(rows: list[dict[str, Any]]) -> Columns:
    """Return configurations in columns."""
    columns = Columns(())
    columns.make_room(len(rows))
    for number, row in enumerate(rows):
        columns.add(number, row)
    return columns


def named(words: str) -> str:
    return words.partition(" with ")[2].partition(", 0 of ")[0]


def test_a_choice_is_named_if_exactly_the_failed_trials_have_it() -> None:
    ended = NUMBER % 4 == 1
    assert said(ended, np.where(ended, 1, 0).astype(np.int32)) == "kind = b"
    assert said(ended, np.where(NUMBER % 2 == 1, 1, 0).astype(np.int32)) == "", "others have it too"
    assert said(ended, np.where(NUMBER % 8 == 1, 1, 0).astype(np.int32)) == "", "not all have it"
    assert said(ended, np.where(ended, -1, 0).astype(np.int32)) == "", "they have none"


def test_a_range_that_separates_failed_from_other_trials_is_named() -> None:
    assert said(NUMBER > 30, NUMBER / 100.0) == "rate from 0.31 on"
    assert said(NUMBER < 8, NUMBER / 100.0) == "rate up to 0.07"
    assert said(NUMBER % 4 == 1, NUMBER / 100.0) == ""
    assert said(NUMBER > 30, np.where(NUMBER == 33, np.nan, NUMBER)) == "", "one has none"
    assert said(NUMBER > 30, NONE) == said(NUMBER > 30, np.where(NUMBER > 30, NUMBER, np.nan)) == ""


def test_no_common_range_is_named_if_there_are_too_few_trials() -> None:
    assert said(NUMBER < FEWEST, NUMBER / 1.0) == "rate up to 2"
    assert said(NUMBER < FEWEST - 1, NUMBER / 1.0) == ""
    assert (
        said(NUMBER < 8, NUMBER / 1.0, (NUMBER >= 8) & (NUMBER < 8 + FEWEST_OTHERS))
        == "rate up to 7"
    )
    assert said(NUMBER < 8, NUMBER / 1.0, (NUMBER >= 8) & (NUMBER < 7 + FEWEST_OTHERS)) == ""


def test_two_hyperparameters_are_named_if_only_both_together_explain_the_failures() -> None:
    space = [
        {"width": width, "layers": layers, "kind": kind}
        for width in (16, 64, 256)
        for layers in (1, 2, 3)
        for kind in "ab"
    ]
    columns = columns_of(space * 8)
    ended = np.array([row["width"] == 256 and row["kind"] == "b" for row in space * 8])
    assert (
        in_common(ended, ~ended, columns)
        == "24 of 24 with kind = b and width = 256, 0 of 120 others"
    )
    few = np.arange(len(ended)) < 18
    assert in_common(ended & few, ~ended & few, columns) == "", (
        "of 3 and 15 trials two are named by chance"
    )


def test_a_range_with_mostly_failed_trials_is_named_with_its_trial_counts() -> None:
    number = np.arange(400)
    columns = Columns(())
    columns.numbers["rate"] = array("d", number.tolist())

    def words(ended: Any) -> str:
        return in_common(ended, ~ended, columns)

    assert (
        words((number >= 380) & (number % 5 > 0))
        == "16 of 16 with rate from 381 on, 3 of 384 others"
    )
    assert words((number >= 380) & (number % 3 == 1)) == "", "most of the range did well"
    assert words(np.isin(number, (395, 397, 399))) == "", "three trials are there by chance"


def test_random_failures_rarely_have_a_common_range() -> None:
    draw = np.random.default_rng(0)
    studies = 1_000
    said = 0
    for _ in range(studies):
        rows = [
            {f"x{place}": x for place, x in enumerate(draw.random(6).tolist())}
            | {"kind": "abc"[draw.integers(3)]}
            for _ in range(40)
        ]
        ended = draw.permutation(40) < 6
        said += bool(in_common(ended, ~ended, columns_of(rows)))
    assert said <= 2


def fails_with_b(trial: Any) -> None:
    """Fail with one choice, with a number in the reason."""
    if trial["kind"] == "b":
        raise ValueError(f"no good: {trial['x']}")
    for epoch in trial.epochs():
        trial.report(score=trial["x"] * epoch)


@pytest.mark.timeout(180)
def test_the_page_shows_the_common_choice_of_failures_beside_the_reason(tmp_path: Path) -> None:
    study = tuned(tmp_path, fails_with_b, {"x": (0.0, 1.0), "kind": ["a", "b", "c"]}, trials=40)
    [group] = shown(picture_of(tmp_path / "study"), Standing("complete", "complete"))["failures"][
        "groups"
    ]
    assert group["count"] > FEWEST
    assert (
        group["in_common"]
        == f"{group['count']} of {group['count']} with kind = b, 0 of {40 - group['count']} others"
    )
    page = tmp_path / "page.html"
    study.report_html(page)
    printed = io.StringIO()
    study.report(printed)
    for text in (texts(page), printed.getvalue()):
        assert group["in_common"] in text
    reasons = [trial.reason for trial in study.trials if trial.reason]
    assert all(reason in texts(page) for reason in reasons), "of each failed trial"
