"""Values and arguments that are refused, and with which words."""

import math
import pickle
from typing import Any

import pytest

from ashtune._src.core.checks import MOST_NAME, check_name, check_number
from ashtune._src.core.errors import NoResultError, SettingsError
from ashtune._src.core.option import suggesting


@pytest.mark.parametrize(
    ("value", "limits", "says"),
    [
        (-1, {}, "x=-1 is not a number above 0"),
        (True, {}, "x=True is not a number above 0"),
        (10**5000, {}, "x=<int> is not a number above 0"),
        (math.nan, {"above": -math.inf}, "x=nan is not a finite number"),
        (9, {"at_most": 8.5}, "x=9 is not a number above 0, and at most 8.5"),
        (9, {"above": -math.inf, "at_most": 8}, "x=9 is not a finite number, and at most 8"),
    ],
    ids=["negative", "a bool", "a huge integer", "nan", "above the most", "any sign"],
)
def test_the_error_for_a_number_outside_the_limits_names_the_limits(
    value: Any, limits: dict[str, float], says: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        check_number("x", value, **limits)
    assert str(refusal.value) == says


def test_a_number_within_the_limits_is_returned_as_a_float() -> None:
    assert check_number("x", 8, at_most=8) == 8.0
    assert type(check_number("x", 8)) is float
    assert check_number("x", -1e300, above=-math.inf) == -1e300


def test_a_name_with_too_many_characters_is_refused() -> None:
    longest = MOST_NAME * "a"
    assert check_name("metric", longest) == longest
    with pytest.raises(SettingsError, match=f"give up to {MOST_NAME} plain characters$"):
        check_name("metric", longest + "a")


def test_an_unknown_argument_is_refused_with_a_suggestion() -> None:
    class Tuner:
        @suggesting({"n_trials": "trials="})
        def __init__(self, trials: int) -> None:
            self.trials = trials

    construct: Any = Tuner
    assert construct(trials=3).trials == 3
    with pytest.raises(SettingsError, match=r"Tuner\(\) has no argument .*trials="):
        construct(n_trials=3)
    with pytest.raises(SettingsError, match=r"no argument self_=; give one of trials$"):
        construct(self_=3)


def test_a_pickled_error_about_missing_results_still_names_the_directory() -> None:
    error = NoResultError("no trial has a result", "runs/digits")
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert type(one) is NoResultError
        assert (str(one), one.directory) == ("no trial has a result", "runs/digits")
