"""Words of other tools are answered with ours, and end a study at its first trial."""

import inspect
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.core.errors import (
    AshtuneError,
    NoResultError,
    ObjectiveError,
    SettingsError,
    StudyError,
)
from ashtune._src.core.events import TrialStarted
from ashtune._src.core.words import ARGUMENTS, NAMES, RESULTS
from ashtune._src.study.journal import NAME, read_events
from ashtune._src.training.trial import Trial

SPACE = {"lr": (0.0, 1.0), "width": [16, 32]}


def tuned(train: Any, directory: Path, **options: Any) -> ashtune.Study:
    given = {
        "metric": "loss",
        "mode": "min",
        "trials": 30,
        "max_resource": 9,
        "workers": 1,
        "quiet": True,
    }
    given |= {"engine": "threads", "search": "random", "min_resource": 1}
    return ashtune.tune(train, SPACE, directory=directory, **(given | options))


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("n_trials", "trials="), ("num_samples", "trials="), ("n_iter", "trials="), ("timeout",
        "time_limit="),
        ("direction", "mode="), ("n_jobs", "workers="), ("sampler", "search="), ("pruner",
        "scheduler="),
        ("storage", "directory="), ("study_name", "directory="), ("trails", "'trials'"), ("config",
        "space="),
        ("param_grid", "space="), ("random_state", "seed="), ("max_t", "max_resource="),
        ("time_budget_s", "time_limit="),
    ],
)  # fmt: skip
@pytest.mark.parametrize("function", [ashtune.tune, ashtune.open_study])
def test_an_error_names_the_ashtune_argument_for_an_argument_of_another_tool(
    function: Any, word: str, ours: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        function(metric="loss", mode="min", **{word: 3})
    assert (
        str(refusal.value) == f"{function.__name__}() has no argument {word}=; did you mean {ours}?"
    )


def test_one_error_names_the_ashtune_arguments_for_several_arguments_of_other_tools() -> None:
    with pytest.raises(SettingsError) as refusal:
        ashtune.tune(metric="loss", mode="min", n_trials=3, colour=1, load_if_exists=True)  # type: ignore[call-arg]
    assert str(refusal.value) == (
        "tune() has no argument n_trials= (did you mean trials=?), load_if_exists= (leave it out)"
    )


def test_tune_keeps_its_signature_and_raises_type_error_without_arguments() -> None:
    assert "n_trials" not in inspect.signature(ashtune.tune).parameters
    assert "trials" in inspect.signature(ashtune.tune).parameters
    with pytest.raises(TypeError, match="missing"):
        ashtune.tune(metric="loss")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("n_trials", "n_candidates="), ("n_iter", "n_candidates="), ("num_samples",
        "n_candidates="),
        ("timeout", "time_limit="), ("direction", "scoring="), ("sampler", "search="), ("pruner",
        "scheduler="),
        ("storage", "directory="), ("study_name", "directory="), ("random_seed", "'random_state'"),
        ("param_grid", "param_distributions="), ("seed", "random_state="), ("max_t",
        "max_resources="),
    ],
)  # fmt: skip
def test_ash_search_cv_names_its_argument_for_an_argument_of_another_tool(
    word: str, ours: str
) -> None:
    pytest.importorskip("sklearn")
    from sklearn.linear_model import SGDClassifier

    from ashtune.integrations.scikit_learn import AshSearchCV

    with pytest.raises(SettingsError) as refusal:
        AshSearchCV(SGDClassifier(), {"alpha": [1, 2]}, **{word: 3})
    assert str(refusal.value) == f"AshSearchCV() has no argument {word}=; did you mean {ours}?"
    with pytest.raises(
        SettingsError, match="no argument colour=; give one of estimator, param_distributions,"
    ):
        AshSearchCV(SGDClassifier(), {"alpha": [1, 2]}, colour=3)
    assert AshSearchCV(SGDClassifier(), {"alpha": [1, 2]}, n_jobs=1).get_params()["n_jobs"] == 1


def suggests(trial: Any) -> None:
    trial.suggest_float("lr", 0, 1)


def prunes(trial: Any) -> None:
    for _ in trial.epochs():
        trial.report(loss=trial["lr"])
        if trial.should_prune():
            return


def reads_params(trial: Any) -> float:
    return float(trial.params["lr"])


def reads_an_attribute(trial: Any) -> float:
    return float(trial.lr)


def misspells(trial: Any) -> None:
    trial.reprot(loss=1.0)


def reports_a_step(trial: Any) -> None:
    for epoch in range(9):
        trial.report(1.0, epoch)


def reports_to_ashtune(trial: Any) -> None:
    ashtune.report(loss=trial["lr"])  # type: ignore[attr-defined]


def sets_an_attribute(trial: Any) -> None:
    trial.set_user_attr("size", 3)


@pytest.mark.parametrize(
    ("train", "why"),
    [
        (
            suggests,
            "a trial has no attribute suggest_float; give the space to tune(), and read "
            "trial['lr']",
        ),
        (
            prunes,
            "a trial has no attribute should_prune; remove it, because the loop over "
            "trial.epochs() ends when",
        ),
        (reads_params, "a trial has no attribute params; did you mean trial.config?"),
        (reads_an_attribute, "a trial has no attribute lr; did you mean trial['lr']?"),
        (
            reports_a_step,
            "trial.report() takes no step; write trial.report(value) inside the loop: for _ in "
            "trial.epochs()",
        ),
        (
            reports_to_ashtune,
            "ashtune has no report; write trial.report(loss=...) in: def train(trial)",
        ),
        (
            sets_an_attribute,
            "a trial has no attribute set_user_attr; remove it, or report a number in addition",
        ),
        (misspells, "a trial has no attribute reprot; did you mean 'report'?"),
    ],
)
def test_reading_an_unknown_attribute_of_a_trial_ends_the_study_at_once(
    train: Any, why: str, tmp_path: Path
) -> None:
    with pytest.raises(ObjectiveError) as refusal:
        tuned(train, tmp_path)
    assert why in str(refusal.value)
    assert sum(isinstance(event, TrialStarted) for event in read_events(tmp_path / NAME)) <= 2


def test_reading_an_unknown_attribute_after_a_first_result_fails_only_that_trial(
    tmp_path: Path,
) -> None:
    def sometimes(trial: Any) -> float:
        return float(trial.params["lr"] if trial.number else trial["lr"])

    study = tuned(sometimes, tmp_path, trials=4, max_resource=1)
    assert [trial.status for trial in study.trials].count("failed") == 3
    assert "did you mean trial.config?" in study.trials[1].reason


def test_the_error_for_a_missing_hyperparameter_lists_all_hyperparameters(tmp_path: Path) -> None:
    def train(trial: Any) -> float:
        return float(trial["learning_rate"])

    with pytest.raises(NoResultError, match=r"has no 'learning_rate'; did you mean 'lr'\?"):
        tuned(train, tmp_path, max_resource=1)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("learning_rate", "did you mean 'lr'?"),
        ("widht", "did you mean 'width'?"),
        ("momentum", "give one of lr, width"),
    ],
)
def test_a_missing_hyperparameter_raises_a_key_error(
    name: str, advice: str, tmp_path: Path
) -> None:
    with ashtune.open_study(
        SPACE, metric="loss", mode="min", trials=1, max_resource=1, directory=tmp_path, quiet=True
    ) as study:
        trial = study.ask()
        assert isinstance(trial, Trial)
        with pytest.raises(KeyError) as refusal:
            trial[name]
        assert str(refusal.value) == (
            f"the configuration of this trial has no {name!r}; {advice}; if a condition can make "
            f"{name!r} inactive, use trial.config.get({name!r})"
        )
        assert isinstance(refusal.value, AshtuneError)
        assert str(pickle.loads(pickle.dumps(refusal.value))) == str(refusal.value)
        assert not hasattr(trial, "params")
        assert getattr(trial, "suggest_int", None) is None
        assert not hasattr(trial, "__array__")
        study.tell(trial, loss=1.0)


def test_an_error_names_the_trial_method_for_a_method_of_another_tool() -> None:
    with pytest.raises(ImportError) as refusal:
        from ashtune import Tuner  # type: ignore[attr-defined]  # noqa: F401
    assert str(refusal.value) == f"ashtune has no Tuner; write {NAMES['Tuner']}"
    with pytest.raises(
        AshtuneError, match=r"no AshSearchCV; write from ashtune.integrations.scikit_learn import"
    ):
        ashtune.AshSearchCV  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(ashtune, "spam")


@pytest.mark.parametrize("name", sorted(NAMES))
def test_hasattr_is_false_for_attributes_that_only_other_tools_have(name: str) -> None:
    """As pickle looks in every module for an object that names none, and Sphinx for pages."""
    assert not hasattr(ashtune, name)
    assert getattr(ashtune, name, 3) == 3
    with pytest.raises(ImportError, match=f"^ashtune has no {name}; write "):
        exec(f"from ashtune import {name}")


def test_names_suggested_by_errors_exist_in_ashtune(tmp_path: Path) -> None:
    answers = " ".join([*NAMES.values(), *ARGUMENTS.values()])
    for name in re.findall(r"ashtune\.(\w+)\(", answers):
        assert hasattr(ashtune, name), name
    for name in {*re.findall(r"study\.(\w+)\(", answers)} - {"ask", "tell", "plot_"}:
        assert hasattr(ashtune.Study, name), name
    arguments = inspect.signature(ashtune.tune).parameters
    assert {ours.partition("=")[0] for ours in ARGUMENTS.values()} - {""} <= set(arguments)
    assert not set(NAMES) & set(ashtune.__all__)
    study = tuned(lambda trial: trial["lr"], tmp_path, trials=4, max_resource=1)
    for ours in RESULTS.values():
        if ours not in ("best.load()", "dataframe()"):  # nothing was saved; pandas may be missing
            assert eval(f"study.{ours}", {"study": study}) is not None
    assert callable(study.dataframe)


def test_an_error_names_the_study_attribute_for_an_attribute_of_another_tool(
    tmp_path: Path,
) -> None:
    study = tuned(lambda trial: trial["lr"], tmp_path, trials=4, max_resource=1)
    with pytest.raises(
        StudyError, match=r"^a study has no attribute best_trial; write study.best$"
    ):
        study.best_trial  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match=r"^'Study' object has no attribute 'spam'"):
        study.spam  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(study, "trials_dataframe")


def test_the_error_for_an_unknown_study_attribute_suggests_the_method_read(tmp_path: Path) -> None:
    with ashtune.open_study(
        SPACE, metric="loss", mode="min", trials=1, max_resource=1, directory=tmp_path, quiet=True
    ) as study:
        trial = study.ask()
        assert trial is not None
        study.tell(trial, loss=1.0)
        assert (study.best_params, study.best_value) == (trial.config, 1.0)
        for name, ours in {
            "dataframe": "dataframe",
            "best_trial": "best",
            "trials_dataframe": r"dataframe\(\)",
        }.items():
            with pytest.raises(
                StudyError,
                match=rf"^an open study has no attribute {name}; write study.read\(\).{ours}$",
            ):
                getattr(study, name)
        with pytest.raises(AttributeError, match=r"^'OpenStudy' object has no attribute 'spam'"):
            study.spam  # type: ignore[attr-defined]  # noqa: B018


class Trainable:
    def __init__(self, config: Any) -> None: ...


def test_a_class_given_as_training_function_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ObjectiveError,
        match=r"Trainable'> is not a function; write a function: def train\(trial\)$",
    ):
        tuned(Trainable, tmp_path)
