"""What a study is after, from what its user gives; what does not fit is refused in one line."""

import math
from typing import Any

import pytest

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.jobs import Constraint, Goal, Objective
from ashtune._src.core.parse import bounds, names, numbers_by_name, target
from ashtune._src.driver.goal import goal_of, target_of

TWO = {"metric": ["accuracy", "latency"], "mode": ["max", "min"]}


def test_one_metric_alone_or_in_a_list_gives_the_same_goal() -> None:
    assert (
        goal_of("loss", "min")
        == goal_of(["loss"], ["min"])
        == goal_of(("loss",), "min")
        == Goal("loss", "min")
    )


def test_several_metrics_with_weights_and_constraints_form_one_goal() -> None:
    goal = goal_of(
        **TWO, weights={"latency": 1}, constraints={"latency": "<= 5", "memory": " >=-1e3"}
    )
    assert goal == Goal(
        "accuracy",
        "max",
        others=(Objective("latency", "min"),),
        constraints=(Constraint("latency", "<=", 5.0), Constraint("memory", ">=", -1000.0)),
        weights=(0.0, 1.0),
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"metric": [], "mode": "max"}, "metric=[] is empty, or has a name twice; give each"),
        (
            {"metric": ["a", "b"], "mode": "max"},
            "mode='max' does not fit the metric 'a', 'b'; give",
        ),
        (
            {"metric": ["a", "b"], "mode": ["max"] * 3},
            "mode=['max', 'max', 'max'] does not fit the metric",
        ),
        (
            {"metric": "a", "mode": ["max", "min"]},
            "mode=['max', 'min'] does not fit the metric 'a'; give",
        ),
        (
            {"metric": ["a", "b"], "mode": ["max", "up"]},
            "mode='up' is neither 'min' nor 'max'; say which way 'b'",
        ),
        (
            {"metric": ["a", "a"], "mode": ["max", "min"]},
            "metric=['a', 'a'] is empty, or has a name twice; give",
        ),
        ({"metric": ["a", 3], "mode": ["max", "min"]}, "metric=3 is not a name; give"),
        (
            {**TWO, "weights": {"size": 1}},
            "weights={'size': 1} does not name metrics of the study, which are 'accuracy'",
        ),
        (
            {**TWO, "weights": {}},
            "weights={} does not name metrics of the study, which are 'accuracy', 'latency'",
        ),
        (
            {**TWO, "weights": [1, 2]},
            "weights=[1, 2] is not a dict with weights of several metrics, for example {'accuracy': 1}",
        ),
        (
            {**TWO, "weights": {"accuracy": -0.5}},
            "weights={'accuracy': -0.5}: give numbers of at least 0, and at least one above 0",
        ),
        (
            {**TWO, "weights": {"accuracy": -2}},
            "weights={'accuracy': -2}: give numbers of at least 0, and at least one above 0",
        ),
        (
            {**TWO, "weights": {"accuracy": 0}},
            "weights={'accuracy': 0}: give numbers of at least 0, and at least one above 0",
        ),
        (
            {**TWO, "weights": {"accuracy": "much"}},
            "weights['accuracy']='much' is not a finite number",
        ),
        (
            {"metric": "a", "mode": "max", "weights": {"a": 1}},
            "weights={'a': 1} is not a dict with weights of several metrics",
        ),
        (
            {**TWO, "constraints": {}},
            "constraints={} does not give each metric a bound; give for example "
            "constraints={'latency': '<= 5'}",
        ),
        (
            {**TWO, "constraints": ["latency <= 5"]},
            "constraints=['latency <= 5'] does not give each metric a bound; give for example",
        ),
        (
            {**TWO, "constraints": {"latency": "< 5"}},
            "constraints: '< 5' of 'latency' is not a bound; give '<='",
        ),
        (
            {**TWO, "constraints": {"latency": "<= five"}},
            "constraints: '<= five' of 'latency' is not a bound",
        ),
        (
            {**TWO, "constraints": {"latency": "<= nan"}},
            "constraints: '<= nan' of 'latency' is not a bound",
        ),
        ({**TWO, "constraints": {"latency": 5}}, "constraints: 5 of 'latency' is not a bound"),
        ({**TWO, "constraints": {"": "<= 5"}}, "constraints='' is not a name"),
    ],
)
def test_invalid_metrics_modes_and_constraints_are_refused(
    given: dict[str, Any], says: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        goal_of(**given)
    assert str(refusal.value).startswith(says)
    assert "\n" not in str(refusal.value)


def test_targets_of_several_metrics_are_given_by_name() -> None:
    one, two = Goal("loss", "min"), goal_of(**TWO)
    assert (target_of(one, None), target_of(one, 3), target_of(one, {"loss": 3})) == (
        None,
        3.0,
        3.0,
    )
    assert target_of(two, {"latency": 3}) == {"latency": 3.0}


@pytest.mark.parametrize(
    ("metric", "given", "says"),
    [
        (
            ["a", "b"],
            0.5,
            "target=0.5 is one value, but the study has the 2 metrics 'a', 'b'; give a value for "
            "each, as in target={'a': 0.5}",
        ),
        (
            ["a", "b"],
            {"c": 1},
            "target={'c': 1} does not name metrics of the study, which are 'a', 'b'",
        ),
        (["a", "b"], {}, "target={} does not name metrics of the study, which are 'a', 'b'"),
        (["a", "b"], {"a": math.nan}, "target['a']=nan is not a finite number"),
        ("a", {"b": 1}, "target={'b': 1} does not name metrics of the study, which are 'a'"),
        ("a", "high", "target='high' is not a finite number"),
    ],
)
def test_a_target_that_does_not_match_the_metrics_is_refused(
    metric: Any, given: Any, says: str
) -> None:
    goal = goal_of(metric, ["max"] * (1 if metric == "a" else len(metric)))
    with pytest.raises(SettingsError) as refusal:
        target_of(goal, given)
    assert str(refusal.value) == says


def test_lists_on_the_command_line_are_parsed_to_names_and_bounds() -> None:
    assert (names("accuracy"), names("accuracy, latency")) == (
        ["accuracy"],
        ["accuracy", "latency"],
    )
    assert numbers_by_name("accuracy=0.7, a=b=2") == {"accuracy": 0.7, "a=b": 2.0}
    assert (target("0.5"), target("a=1,b=2")) == (0.5, {"a": 1.0, "b": 2.0})
    assert bounds("latency<=5, memory >= 1e3") == {"latency": "<=5", "memory": ">= 1e3"}
    for parse, text in (
        (numbers_by_name, "accuracy"),
        (numbers_by_name, "=1"),
        (bounds, "latency"),
    ):
        with pytest.raises(ValueError, match="give for example"):
            parse(text)
