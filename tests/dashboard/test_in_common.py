"""What trials that failed for one reason have in common."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from studies import tuned
from study_picture import picture_of

from ashtune.dashboard.in_common import FEWEST, FEWEST_OTHERS, in_common
from ashtune.dashboard.liveness import Standing

TRIALS = 40
NUMBER = np.arange(TRIALS)
NONE = np.full(TRIALS, np.nan)


def said(ended: Any, column: Any, others: Any = None) -> list[str]:
    numbers, texts = ({}, {"kind": (column, ["a", "b"])}) if column.dtype == np.int32 else ({"rate": column}, {})
    return in_common(ended, ~ended if others is None else others, numbers, texts)


def test_a_choice_is_named_that_all_have_and_no_other() -> None:
    ended = NUMBER % 4 == 1
    assert said(ended, np.where(ended, 1, 0).astype(np.int32)) == ["kind = b"]
    assert said(ended, np.where(NUMBER % 2 == 1, 1, 0).astype(np.int32)) == [], "others have it too"
    assert said(ended, np.where(NUMBER % 8 == 1, 1, 0).astype(np.int32)) == [], "not all have it"
    assert said(ended, np.where(ended, -1, 0).astype(np.int32)) == [], "they have none"


def test_an_end_of_a_range_is_named_where_all_are_and_no_other() -> None:
    assert said(NUMBER > 30, NUMBER / 100.0) == ["rate from 0.31 on"]
    assert said(NUMBER < 8, NUMBER / 100.0) == ["rate up to 0.07"]
    assert said(NUMBER % 4 == 1, NUMBER / 100.0) == []
    assert said(NUMBER > 30, np.where(NUMBER == 33, np.nan, NUMBER)) == [], "one has none"
    assert said(NUMBER > 30, NONE) == said(NUMBER > 30, np.where(NUMBER > 30, NUMBER, np.nan)) == []


def test_of_few_trials_nothing_is_said() -> None:
    assert said(NUMBER < FEWEST, NUMBER / 1.0) == ["rate up to 2"]
    assert said(NUMBER < FEWEST - 1, NUMBER / 1.0) == []
    assert said(NUMBER < 8, NUMBER / 1.0, (NUMBER >= 8) & (NUMBER < 8 + FEWEST_OTHERS)) == ["rate up to 7"]
    assert said(NUMBER < 8, NUMBER / 1.0, (NUMBER >= 8) & (NUMBER < 7 + FEWEST_OTHERS)) == []


def fails_with_b(trial: Any) -> None:
    """Fail with one choice, with a number in the reason."""
    if trial["kind"] == "b":
        raise ValueError(f"no good: {trial['x']}")
    for epoch in trial.epochs():
        trial.report(score=trial["x"] * epoch)


@pytest.mark.timeout(180)
def test_the_page_of_a_study_names_it_with_the_reason(tmp_path: Path) -> None:
    tuned(tmp_path, fails_with_b, {"x": (0.0, 1.0), "kind": ["a", "b", "c"]}, trials=40)
    picture = picture_of(tmp_path / "study")
    picture.make(Standing("complete", "complete"), picture.ran, 0, 0.0)
    [group] = msgspec.json.decode(picture.shown["failures"].json)["groups"]
    assert group["count"] > FEWEST
    assert group["in_common"] == ["kind = b"]
