"""Words of other tools are answered with ours, and end a study at its first trial."""

import inspect
import pickle
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.core.errors import AshtuneError, NoResultError, ObjectiveError, SettingsError
from ashtune._src.core.events import TrialStarted
from ashtune._src.study.journal import NAME, read_events
from ashtune._src.training.trial import Trial

SPACE = {"lr": (0.0, 1.0), "width": [16, 32]}


def tuned(train: Any, directory: Path, **options: Any) -> ashtune.Study:
    given = {"metric": "loss", "mode": "min", "trials": 30, "max_resource": 9, "workers": 1, "quiet": True}
    given |= {"engine": "threads", "search": "random", "min_resource": 1}
    return ashtune.tune(train, SPACE, directory=directory, **(given | options))


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("n_trials", "trials="), ("num_samples", "trials="), ("n_iter", "trials="), ("timeout", "time_limit="),
        ("direction", "mode="), ("n_jobs", "workers="), ("sampler", "search="), ("pruner", "scheduler="),
        ("storage", "directory="), ("study_name", "directory="), ("trails", "'trials'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("function", [ashtune.tune, ashtune.open_study])
def test_an_argument_of_another_tool_is_answered_with_ours(function: Any, word: str, ours: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        function(metric="loss", mode="min", **{word: 3})
    assert str(refusal.value) == f"{function.__name__}() has no argument {word}=; did you mean {ours}?"


def test_of_several_wrong_arguments_the_first_is_named() -> None:
    for words in (["n_trials", "n_jobs", "sampler", "pruner"], ["pruner", "sampler", "n_jobs", "n_trials"]):
        with pytest.raises(SettingsError, match=f"no argument {words[0]}="):
            ashtune.tune(metric="loss", mode="min", **dict.fromkeys(words, 3))  # type: ignore[call-arg]


def test_arguments_of_tune_stay_visible_and_others_are_pythons() -> None:
    assert "n_trials" not in inspect.signature(ashtune.tune).parameters
    assert "trials" in inspect.signature(ashtune.tune).parameters
    with pytest.raises(TypeError, match="missing"):
        ashtune.tune(metric="loss")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("n_trials", "n_candidates="), ("n_iter", "n_candidates="), ("num_samples", "n_candidates="),
        ("timeout", "time_limit="), ("direction", "scoring="), ("sampler", "search="), ("pruner", "scheduler="),
        ("storage", "directory="), ("study_name", "directory="), ("random_seed", "'random_state'"),
    ],
)  # fmt: skip
def test_ash_search_answers_arguments_of_other_tools(word: str, ours: str) -> None:
    pytest.importorskip("sklearn")
    from sklearn.linear_model import SGDClassifier

    from ashtune.integrations.scikit_learn import AshSearchCV

    with pytest.raises(SettingsError) as refusal:
        AshSearchCV(SGDClassifier(), {"alpha": [1, 2]}, **{word: 3})
    assert str(refusal.value) == f"AshSearchCV() has no argument {word}=; did you mean {ours}?"
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


@pytest.mark.parametrize(
    ("train", "why"),
    [
        (suggests, "a trial has no attribute suggest_float; give the space to tune, and read trial['lr']"),
        (prunes, "a trial has no attribute should_prune; leave it out: the loop over trial.epochs() ends when"),
        (reads_params, "a trial has no attribute params; did you mean trial.config?"),
        (reads_an_attribute, "a trial has no attribute lr; did you mean trial['lr']?"),
        (misspells, "a trial has no attribute reprot; did you mean 'report'?"),
    ],
)
def test_an_attribute_that_no_trial_has_ends_the_study_at_once(train: Any, why: str, tmp_path: Path) -> None:
    with pytest.raises(ObjectiveError) as refusal:
        tuned(train, tmp_path)
    assert why in str(refusal.value)
    assert sum(isinstance(event, TrialStarted) for event in read_events(tmp_path / NAME)) <= 2


def test_an_attribute_that_no_trial_has_fails_later_trials_alone(tmp_path: Path) -> None:
    def sometimes(trial: Any) -> float:
        return float(trial.params["lr"] if trial.number else trial["lr"])

    study = tuned(sometimes, tmp_path, trials=4, max_resource=1)
    assert [trial.status for trial in study.trials].count("failed") == 3
    assert "did you mean trial.config?" in study.trials[1].reason


def test_a_hyperparameter_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
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
def test_a_missing_hyperparameter_stays_a_key_error(name: str, advice: str, tmp_path: Path) -> None:
    with ashtune.open_study(
        SPACE, metric="loss", mode="min", trials=1, max_resource=1, directory=tmp_path, quiet=True
    ) as study:
        trial = study.ask()
        assert isinstance(trial, Trial)
        with pytest.raises(KeyError) as refusal:
            trial[name]
        assert str(refusal.value) == (
            f"the configuration of this trial has no {name!r}; {advice}; a conditional hyperparameter is missing where "
            f"it is inactive: trial.config.get({name!r})"
        )
        assert isinstance(refusal.value, AshtuneError)
        assert str(pickle.loads(pickle.dumps(refusal.value))) == str(refusal.value)
        assert not hasattr(trial, "params")
        assert getattr(trial, "suggest_int", None) is None
        assert not hasattr(trial, "__array__")
        study.tell(trial, loss=1.0)
