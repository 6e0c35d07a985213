"""XGBoost, LightGBM, CatBoost in a study: a booster that continues is the one that never stopped; its
best is kept.
"""

import functools
import importlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

import ashtune
from ashtune._src.core.events import JobFailed, JobFinished, JobPaused
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.orders import Pause, Release
from ashtune._src.integrations import boosting
from ashtune._src.study.checkpoints import Checkpoints, CheckpointWriter
from ashtune._src.study.journal import NAME, read_events
from ashtune._src.training.runner import TrialRunner
from ashtune._src.training.worker_messages import (
    Assignment,
    Broken,
    FromWorker,
    Mailbox,
    Setup,
    ToWorker,
)
from tests import ROOT

WORKER, TRIAL = WorkerId(0), TrialId(0)
LIBRARIES = ("xgboost", "lightgbm", "catboost")
Rows = Callable[[str], dict[str, Any]]
"""What returns the rows of a part, "train" or "valid", as arguments of a
library's class of data.
"""


class Library(NamedTuple):
    """What tests need to know of a library.

    Args:
        name: Its module.
        metric: Of a regression.
        fixed: Parameters of a regression.
        drawn: Parameters by which rows and columns are drawn.
        overfit: Parameters by which a training soon gets worse.
        predict: (model, rows, number of rounds or None for all) -> predictions.
    """

    name: str
    metric: str
    fixed: dict[str, Any]
    drawn: dict[str, Any]
    overfit: dict[str, Any]
    predict: Callable[[Any, Any, int | None], Any]

    @property
    def module(self) -> Any:
        return importlib.import_module(f"ashtune.integrations.{self.name}")

    @property
    def library(self) -> Any:
        return importlib.import_module(self.name)


def by_xgboost(model: Any, rows: Any, rounds: int | None) -> Any:
    import xgboost

    return model.predict(xgboost.DMatrix(rows), iteration_range=(0, rounds or 0))


def by_lightgbm(model: Any, rows: Any, rounds: int | None) -> Any:
    return model.predict(rows, num_iteration=-1 if rounds is None else rounds)


def by_catboost(model: Any, rows: Any, rounds: int | None) -> Any:
    return model.predict(rows, ntree_end=rounds or 0)


ALL = {
    "xgboost": Library(
        "xgboost", "rmse", {"eta": 0.3, "max_depth": 3},
        {"subsample": 0.6, "colsample_bytree": 0.6, "colsample_bynode": 0.7},
        {"eta": 1.0, "max_depth": 8}, by_xgboost,
    ),
    "lightgbm": Library(
        "lightgbm", "l2", {"learning_rate": 0.3, "num_leaves": 7},
        {"bagging_fraction": 0.6, "bagging_freq": 3, "feature_fraction": 0.6,
        "feature_fraction_bynode": 0.7},
        {"learning_rate": 1.0, "num_leaves": 63, "min_data_in_leaf": 2}, by_lightgbm,
    ),
    "catboost": Library(
        "catboost", "RMSE", {"learning_rate": 0.3, "depth": 3, "bootstrap_type": "No",
        "random_strength": 0},
        {"bootstrap_type": "Bernoulli", "subsample": 0.6, "rsm": 0.6, "random_strength": 1},
        {"learning_rate": 1.0, "depth": 8}, by_catboost,
    ),
}  # fmt: skip


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> Library:
    pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    return ALL[request.param]


@functools.cache
def rows() -> tuple[Any, Any]:
    chance = np.random.default_rng(0)
    x = chance.normal(size=(600, 8))
    y = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) + chance.normal(scale=0.5, size=600)
    return x, y


def train_rows() -> tuple[Any, Any]:
    x, y = rows()
    return x[:400], y[:400]


def valid_rows() -> tuple[Any, Any]:
    x, y = rows()
    return x[400:], y[400:]


def arguments(part: str) -> dict[str, Any]:
    x, y = train_rows() if part == "train" else valid_rows()
    return {"data": x, "label": y}


def signs(part: str) -> dict[str, Any]:
    found = arguments(part)
    return {**found, "label": (found["label"] > 0).astype(int)}


class Driver:
    """A driver: answers each result by the next of its words, lets go of all others, and pauses at
    one of its polls.
    """

    def __init__(self, answers: list[ToWorker], pause_at: int) -> None:
        self.sent: list[FromWorker] = []
        self._answers = deque(answers)
        self._inbox: deque[ToWorker] = deque()
        self._polls_left = pause_at

    def send(self, message: FromWorker) -> None:
        self.sent.append(message)
        if isinstance(message, JobFinished) and message.held:
            self._inbox.append(self._answers.popleft() if self._answers else Release(WORKER, TRIAL))

    def wait(self) -> None:
        assert self._inbox, "nobody would ever answer"

    def poll(self) -> ToWorker | None:
        self._polls_left -= 1
        if self._polls_left == 0:
            return Pause(WORKER, TRIAL)
        return self._inbox.popleft() if self._inbox else None


class Training:
    """One trial in a folder, trained from stretch to stretch."""

    def __init__(
        self,
        objective: Any,
        folder: Path,
        metric: str,
        mode: Any = "min",
        config: dict[str, Any] | None = None,
    ) -> None:
        self._objective, self._folder, self._goal = objective, folder, Goal(metric, mode)
        self._config = msgspec.Raw(msgspec.msgpack.encode(config or {}))
        folder.mkdir(exist_ok=True)
        self.reached = 0
        self.results: list[JobFinished] = []
        self.failures: list[JobFailed] = []

    def to(self, target: int, *, in_place: tuple[int, ...] = (), pause_at: int = 0) -> "Training":
        """Train to a rung, in place to others, and be paused when the driver is asked for the
        so-many-th time.
        """
        promotions: list[ToWorker] = []
        last = target
        for rung, further in enumerate(in_place, 1):
            promotions.append(self._assignment(rung, last, further, in_place=True))
            last = further
        driver = Driver(promotions, pause_at)
        setup = Setup(WORKER, "", self._goal, str(self._folder), 0, [])
        TrialRunner(self._objective, setup, Mailbox(driver)).run(
            self._assignment(0, self.reached, target)
        )
        for event in driver.sent:
            if isinstance(event, JobFinished):
                self.results.append(event)
            if isinstance(event, JobFinished | JobPaused):
                self.reached = event.resource
            if isinstance(event, Broken) and event.failure is not None:
                self.failures.append(event.failure)
            if isinstance(event, JobFailed):
                self.failures.append(event)
        return self

    def _assignment(
        self, rung: int, start: int, target: int, *, in_place: bool = False
    ) -> Assignment:
        return Assignment(WORKER, TRIAL, rung, start, target, in_place, self._config)

    @property
    def model(self) -> Any:
        return CheckpointWriter(Checkpoints(self._folder), TRIAL, self.reached).restore()

    @property
    def values(self) -> list[float]:
        return [event.metrics[self._goal.metric] for event in self.results]

    @property
    def reports(self) -> list[tuple[int, float, int]]:
        """All reports: rounds, value, best round."""
        found = []
        for event in self.results:
            for resource, metrics in [*event.curve, (event.resource, event.metrics)]:
                found.append(
                    (resource, metrics[self._goal.metric], int(metrics[boosting.BEST_ROUND]))
                )
        return found


def own_xgboost(
    trial: Any, rows: Rows = arguments, params: Any = (), which: Any = (), **more: Any
) -> None:
    import xgboost

    from ashtune.integrations.xgboost import callback

    settings: dict[str, Any] = {
        "num_boost_round": 1000, "evals": [(xgboost.DMatrix(**rows("valid")), "valid")],
        "verbose_eval": False,
        "xgb_model": trial.restore(), "callbacks": [callback(trial, **dict(which))],
    }  # fmt: skip
    xgboost.train(
        {**dict(params), **trial.config}, xgboost.DMatrix(**rows("train")), **{**settings, **more}
    )


def own_lightgbm(
    trial: Any, rows: Rows = arguments, params: Any = (), which: Any = (), **more: Any
) -> None:
    import lightgbm

    from ashtune.integrations.lightgbm import callback, seeds

    settings: dict[str, Any] = {
        "num_boost_round": 1000, "valid_sets": [lightgbm.Dataset(**rows("valid"))],
        "init_model": trial.restore(),
        "callbacks": [callback(trial, **dict(which)), seeds(trial)],
    }  # fmt: skip
    parameters = {"verbosity": -1, **dict(params), **trial.config}
    lightgbm.train(parameters, lightgbm.Dataset(**rows("train")), **{**settings, **more})


def own_catboost(
    trial: Any, rows: Rows = arguments, params: Any = (), which: Any = (), **more: Any
) -> None:
    import catboost

    from ashtune.integrations.catboost import callback, snapshot

    settings: dict[str, Any] = {
        "eval_set": catboost.Pool(**rows("valid")), "verbose": False, "callbacks": [callback(trial,
        **dict(which))],
    }  # fmt: skip
    model = catboost.CatBoost(
        {"iterations": 1000, **snapshot(trial), **dict(params), **trial.config}
    )
    model.fit(catboost.Pool(**rows("train")), **{**settings, **more})
    trial.save(model)


OWN = {"xgboost": own_xgboost, "lightgbm": own_lightgbm, "catboost": own_catboost}


def objective_of(
    library: Library, *, rows: Rows = arguments, **params: Any
) -> Callable[[Any], None]:
    """Return a user's training function."""
    return functools.partial(OWN[library.name], rows=rows, params={**library.fixed, **params})


@pytest.mark.parametrize("is_drawn", [False, True], ids=["plain", "drawn"])
def test_a_resumed_booster_equals_an_uninterrupted_booster(
    library: Library, tmp_path: Path, is_drawn: bool
) -> None:
    objective = objective_of(library, **(library.drawn if is_drawn else {}))
    through = Training(objective, tmp_path / "through", library.metric).to(40)
    broken = Training(objective, tmp_path / "broken", library.metric)
    broken.to(7).to(40, pause_at=12)
    assert broken.reached == 7 + 11
    broken.to(40, pause_at=1)
    assert broken.reached == 7 + 11, "no round was trained"
    broken.to(29, in_place=(40,))
    assert broken.reached == through.reached == 40
    assert broken.values[-1] == pytest.approx(through.values[-1], rel=1e-6)
    x = valid_rows()[0]
    np.testing.assert_allclose(
        library.predict(broken.model, x, None),
        library.predict(through.model, x, None),
        rtol=1e-5,
        atol=1e-6,
    )
    assert np.std(library.predict(broken.model, x, None)) > 0.3, "it has learnt something"


OF_RANKINGS = {
    "xgboost": {"max_depth": 3, "eval_metric": "ndcg@3"},
    "lightgbm": {"num_leaves": 7, "eval_at": [3]},
}


def queries(name: str, part: str) -> dict[str, Any]:
    """Return queries of 20 rows."""
    found = arguments(part)
    number = len(found["label"])
    each = (
        {"qid": np.arange(number) // 20} if name == "xgboost" else {"group": [20] * (number // 20)}
    )
    return {**found, "label": np.digitize(found["label"], [-1, 0, 1]), **each}


@pytest.mark.parametrize(
    ("name", "params", "is_the_same"),
    [
        ("lightgbm", {"objective": "lambdarank"}, True),
        ("lightgbm", {"objective": "rank_xendcg"}, False),
        ("xgboost", {"objective": "rank:ndcg"}, True),
        ("xgboost", {"objective": "rank:ndcg", "lambdarank_pair_method": "mean"}, False),
    ],
)
def test_a_resumed_ranking_model_equals_an_uninterrupted_ranking_model(
    tmp_path: Path, name: str, params: dict[str, Any], is_the_same: bool
) -> None:
    """What the guide says: ``rank_xendcg`` and the pair method "mean" draw the same again after a
    rung.
    """
    pytest.importorskip(name)
    train = functools.partial(
        OWN[name], rows=functools.partial(queries, name), params={**OF_RANKINGS[name], **params}
    )
    through = Training(train, tmp_path / "through", "ndcg@3", "max").to(20)
    broken = Training(train, tmp_path / "broken", "ndcg@3", "max").to(7).to(20)
    assert not broken.failures
    one, other = (
        ALL[name].predict(each.model, valid_rows()[0], None) for each in (through, broken)
    )
    assert np.allclose(one, other, rtol=1e-3, atol=1e-3) == is_the_same


def test_a_booster_reports_the_best_value_so_far_and_keeps_its_rounds(
    library: Library, tmp_path: Path
) -> None:
    training = (
        Training(objective_of(library, **library.overfit), tmp_path, library.metric).to(60).to(200)
    )
    values = [value for _, value, _ in training.reports]
    assert values == sorted(values, reverse=True)
    best_round = training.reports[-1][2]
    assert best_round < 150, "it has got worse for long"
    x, y = valid_rows()
    errors = (library.predict(training.model, x, best_round) - y) ** 2
    error = np.mean(errors) ** (1.0 if library.name == "lightgbm" else 0.5)
    assert values[-1] == pytest.approx(error, rel=1e-5)
    resources = [resource for resource, _, _ in training.reports]
    assert {60, 200} <= set(resources)
    assert len([each for each in resources if each > 60]) <= boosting.REPORTS


def test_a_booster_keeps_the_round_where_a_maximized_metric_is_highest(
    library: Library, tmp_path: Path
) -> None:
    metric = "AUC" if library.name == "catboost" else "auc"
    logistic = {
        "xgboost": {"objective": "binary:logistic", "eval_metric": "auc"},
        "lightgbm": {"objective": "binary", "metric": "auc"},
        "catboost": {"loss_function": "Logloss", "eval_metric": "AUC", "custom_metric": ["AUC"]},
    }[library.name]

    objective = objective_of(library, rows=signs, **{**library.overfit, **logistic})
    training = Training(objective, tmp_path, metric, "max").to(20).to(60)
    values = [value for _, value, _ in training.reports]
    assert values == sorted(values)
    assert 0.6 < values[-1] < 1
    assert training.reports[-1][2] < 60


@pytest.mark.parametrize(
    ("name", "params", "metric", "mode", "words"),
    [
        (
            "lightgbm",
            {"objective": "binary", "metric": "auc"},
            "auc",
            "min",
            "in LightGBM a higher auc is better",
        ),
        (
            "lightgbm",
            {"objective": "regression"},
            "l2",
            "max",
            "in LightGBM a lower l2 is better",
        ),
        (
            "xgboost",
            {"objective": "binary:logistic", "eval_metric": "auc"},
            "auc",
            "min",
            "a higher auc is better",
        ),
        (
            "xgboost",
            {},
            "rmse",
            "max",
            "in XGBoost a lower rmse is better; give tune() mode='min'",
        ),
        (
            "xgboost",
            {"objective": "binary:logistic", "eval_metric": "error@0.3"},
            "error@0.3",
            "max",
            "a lower error@0.3 is better",
        ),
        (
            "xgboost",
            {"objective": "binary:logistic", "eval_metric": "ndcg@3-"},
            "ndcg@3-",
            "min",
            "a higher ndcg@3- is better",
        ),
        (
            "catboost",
            {"loss_function": "Logloss", "eval_metric": "F:beta=2"},
            "F:beta=2",
            "min",
            "a higher F:beta=2 is better",
        ),
        (
            "catboost",
            {},
            "RMSE",
            "max",
            "in CatBoost a lower RMSE is better; give tune() mode='min'",
        ),
    ],
)
def test_a_mode_that_contradicts_the_direction_of_the_metric_is_refused(
    tmp_path: Path, *, name: str, params: dict[str, Any], metric: str, mode: str, words: str
) -> None:
    pytest.importorskip(name)
    training = Training(
        functools.partial(OWN[name], rows=signs, params=params), tmp_path, metric, mode
    ).to(9)
    assert not training.results
    reason = training.failures[0].reason
    assert f"mode={mode!r}, but in " in reason
    assert words in reason


def test_a_metric_that_the_booster_does_not_evaluate_is_refused(
    library: Library, tmp_path: Path
) -> None:
    asked = {"xgboost": "mae", "lightgbm": "rmse", "catboost": "MAE"}[library.name]
    training = Training(objective_of(library), tmp_path, asked).to(3)
    assert not training.results
    assert f"'{asked}' of" in training.failures[0].reason
    assert f"is not evaluated, only '{library.metric} of" in training.failures[0].reason


def test_the_mode_of_the_study_decides_the_direction_of_a_custom_metric(tmp_path: Path) -> None:
    """Even where it has the name of one of the library's."""
    pytest.importorskip("xgboost")

    def auc(predicted: Any, data: Any) -> tuple[str, float]:
        return "auc", float(np.mean((predicted - data.get_label()) ** 2))

    train = functools.partial(
        own_xgboost, params={"disable_default_eval_metric": True}, custom_metric=auc
    )
    assert Training(train, tmp_path, "auc", "min").to(9).results


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_a_round_whose_metric_is_not_a_number_fails_the_trial(
    library: Library, tmp_path: Path
) -> None:
    def infinite(part: str) -> dict[str, Any]:
        found = arguments(part)
        return found if part == "train" else {**found, "label": np.full(len(found["label"]), 1e300)}

    training = Training(objective_of(library, rows=infinite), tmp_path, library.metric).to(9)
    if library.name == "lightgbm":  # it clips labels to 1e38
        assert training.values == pytest.approx([1e76], rel=1e-6)
        return
    assert not training.results
    words = (
        "Label contains NaN, infinity"
        if library.name == "xgboost"
        else f"{library.metric} is not finite at 9"
    )
    assert words in training.failures[0].reason


def test_dart_boosters_report_the_current_value_and_not_the_best_value(tmp_path: Path) -> None:
    pytest.importorskip("xgboost")
    pytest.importorskip("lightgbm")
    for name, params in (
        ("xgboost", {"booster": "dart", "rate_drop": 0.3}),
        ("lightgbm", {"boosting": "dart", "drop_rate": 0.3}),
    ):
        library = ALL[name]
        training = (
            Training(objective_of(library, **params), tmp_path / name, library.metric).to(20).to(40)
        )
        assert [best_round for _, _, best_round in training.reports] == [
            each for each, _, _ in training.reports
        ]
        x, y = valid_rows()
        errors = (library.predict(training.model, x, None) - y) ** 2
        error = np.mean(errors) ** (1.0 if name == "lightgbm" else 0.5)
        assert training.values[-1] == pytest.approx(error, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("xgboost", {"num_boost_round": 5}, "ended after 5 of 9 rounds; give num_boost_round"),
        ("lightgbm", {"num_boost_round": 5}, "ended after 5 of 9 rounds; give num_boost_round"),
        ("catboost", {"params": {"iterations": 5}}, "the loop over trial.epochs() ended at 6 of 9"),
        ("xgboost", {"early_stopping_rounds": 1, "params": {"eta": 3.0}}, "remove the library's early stopping"),
        ("lightgbm", {"params": {"early_stopping_rounds": 1}},
        "the loop over trial.epochs() ended at"),
        ("lightgbm", {"params": {"learning_rate": 3.0}, "callbacks": "early"},
        "the loop over trial.epochs() ended at"),
        ("catboost", {"early_stopping_rounds": 1, "params": {"learning_rate": 3.0}},
        "the loop over trial.epochs() en"),
        ("catboost", {"params": {"metric_period": 5}}, "RMSE has 1 values after 2 rounds"),
        ("xgboost", {"evals": []},
        "no evaluation data were given, so nothing is reported; give evals="),
        ("lightgbm", {"valid_sets": None},
        "no evaluation data were given, so nothing is reported; give valid_sets="),
        ("catboost", {"eval_set": None},
        "no evaluation data were given, so nothing is reported; give eval_set="),
        ("xgboost", {"which": {"metric": "mae"}},
        "'mae' of 'valid' is not evaluated, only 'rmse of valid'"),
        ("xgboost", {"which": {"data": "test"}},
        "'rmse' of 'test' is not evaluated, only 'rmse of valid'"),
        ("xgboost", {"params": {"eval_metric": ["mae", "logloss"]}},
        "only 'mae of valid', 'logloss of valid'"),
        ("lightgbm", {"params": {"bagging_fraction": 0.5, "bagging_freq": 1}, "callbacks": "alone"},
        "seeds(trial)"),
        ("lightgbm", {"params": {"extra_trees": True}, "callbacks": "alone"},
        "extra_trees=1 would make a promoted trial repeat earlier random draws"),
    ],
)  # fmt: skip
def test_a_booster_that_cannot_be_trained_raises_an_error_with_the_reason(
    name: str, wrong: Any, words: str, tmp_path: Path
) -> None:
    pytest.importorskip(name)

    def train(trial: Any) -> None:
        given = dict(wrong)
        if given.get("callbacks") == "alone":
            given["callbacks"] = [ALL[name].module.callback(trial)]
        if given.get("callbacks") == "early":
            given["callbacks"] = [
                ALL[name].library.early_stopping(1),
                ALL[name].module.callback(trial),
            ]
        OWN[name](trial, **{**given, "params": {**ALL[name].fixed, **given.get("params", {})}})

    training = Training(train, tmp_path, ALL[name].metric).to(9)
    assert not training.results
    assert words in training.failures[0].reason


def test_early_stopping_in_the_last_round_of_a_rung_keeps_the_model(tmp_path: Path) -> None:
    lightgbm = pytest.importorskip("lightgbm")

    def train(trial: Any) -> None:
        early = lightgbm.early_stopping(1, verbose=False)
        params = {**ALL["lightgbm"].fixed, "learning_rate": 3.0}
        own_lightgbm(
            trial, params=params, callbacks=[early, ALL["lightgbm"].module.callback(trial)]
        )

    training = Training(train, tmp_path, "l2").to(2)  # the second round is worse than the first
    assert training.model.num_trees() == 2
    assert training.reports[-1][2] == 1


def test_a_booster_uses_the_number_of_threads_assigned_to_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3,1")
    assert boosting.threads() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert boosting.threads() == boosting.available_cores()


def test_the_error_for_a_missing_booster_library_says_what_to_install(library: Library) -> None:
    code = (
        f"import sys; sys.modules[{library.name!r}] = None; import "
        f"ashtune.integrations.{library.name}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"{library.name} is not installed; pip install 'ashtune[{library.name}]'" in done.stderr


SCRIPT = """
    import functools, os, time
    import numpy as np
    import ashtune
    from tests.integrations.test_boosters import OWN

    @functools.cache  # once in each worker
    def rows(part):
        with open("reads", "a") as file:
            file.write(f"{{os.getpid()}} {{part}}\\n")
        chance = np.random.default_rng(0)
        x = chance.normal(size=(900, 8))
        y = x[:, 0] * x[:, 1] + np.sin(3 * x[:, 2]) + chance.normal(scale=0.5, size=900)
        where = slice(600) if part == "train" else slice(600, None)
        return {{"data": x[where], "label": y[where]}}

    def objective(trial):
        while trial.number >= int(os.environ.get("HOLD", "6")):  # it cannot end before it is killed
            time.sleep(0.02)
        OWN["{name}"](trial, rows=rows, params={fixed})

    space = {{"{rate}": (0.02, 0.5, "log"), "{share}": (0.5, 0.9)}}
    study = ashtune.tune(
        objective, space, metric="{metric}", mode="min", trials=6, max_resource=45, min_resource=5, search="random",
        workers=2, directory="study", quiet=True,
    )
"""
OF_SCRIPT = {
    "xgboost": ({"max_depth": 5, "colsample_bytree": 0.8}, "eta", "subsample"),
    "lightgbm": ({"num_leaves": 31, "bagging_freq": 1}, "learning_rate", "bagging_fraction"),
    "catboost": ({"depth": 6, "bootstrap_type": "Bernoulli"}, "learning_rate", "subsample"),
}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_booster_trials_of_killed_studies_have_the_results_of_uninterrupted_trials(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fixed, rate, share = OF_SCRIPT[library.name]
    names = {
        "name": library.name,
        "fixed": fixed,
        "rate": rate,
        "share": share,
        "metric": library.metric,
    }
    (tmp_path / "tune.py").write_text(textwrap.dedent(SCRIPT).format(**names))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(
        [sys.executable, "tune.py"], cwd=tmp_path, env={**environment, "HOLD": "4"}
    )
    try:
        wait_until(lambda: running.poll() is not None or len(finished(tmp_path / "study")) >= 3)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert running.returncode == -signal.SIGKILL, "it ended before it could be killed"
    before = [(event.trial, event.rung) for event in finished(tmp_path / "study")]
    subprocess.run([sys.executable, "tune.py"], cwd=tmp_path, env=environment, check=True)
    study = ashtune.Study.load(tmp_path / "study")
    assert study.is_complete
    results = finished(tmp_path / "study")
    assert [(event.trial, event.rung) for event in results][: len(before)] == before
    assert len({(event.trial, event.rung) for event in results}) == len(results), (
        "nothing is trained twice"
    )
    reads = (tmp_path / "reads").read_text().splitlines()
    assert len(reads) == len(set(reads)) <= 2 * 2 * 2, "each worker of both sessions reads once"
    went_on = [event for event in results if event.start]
    assert went_on, "no trial continued from a rung"
    for event in went_on:
        through = study.train(event.trial, event.resource)
        assert event.metrics[library.metric] == pytest.approx(
            through.metrics[library.metric], rel=1e-6
        )


def finished(study: Path) -> list[JobFinished]:
    journal = study / NAME
    return (
        [event for event in read_events(journal) if isinstance(event, JobFinished)]
        if journal.exists()
        else []
    )


def wait_until(condition: Callable[[], bool], seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
