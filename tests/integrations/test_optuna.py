"""A study as Optuna's journal file, read back by Optuna and shown by its dashboard; studies of
Optuna as a start.
"""

import contextlib
import json
import math
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ConfigSpace import (
    Categorical,
    ConfigurationSpace,
    EqualsCondition,
    Float,
    Integer,
    OrdinalHyperparameter,
)

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.errors import StudyError
from ashtune._src.study.journal import NAME, read_settings
from ashtune.integrations import optuna as ours
from tests.helpers.chromium import CHROMIUM, QUIET
from tests.helpers.commands import ashtune as command
from tests.helpers.ports import free_port

optuna = pytest.importorskip("optuna")
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

SPACE = {
    "optimizer.rate": (1e-4, 1.0, "log"),
    "momentum": (0.0, 0.99),
    "layers": (1, 8),
    "units": Integer("units", (8, 512), log=True),
    "size": OrdinalHyperparameter("size", [1, 2, 4]),
    "act": Categorical("act", ["relu", "tanh"], weights=[1, 3]),
    "mixed": [None, True, 2, 2.5, "auto"],
    "widths": [(64, 64), (128,), "[128]"],
    "name": "net",
}
WIDTHS = ["[64, 64]", "[128]'", "[128]"]
"""Choices that Optuna does not keep are texts, other ones than those of the other choices."""


def train(trial: Any) -> None:
    if trial["mixed"] == 2.5 and trial["momentum"] > 0.5:
        raise ValueError("this one fails")
    if trial["layers"] == 8:
        raise ashtune.InvalidConfiguration("too deep")
    for epoch in trial.epochs():
        loss = abs(math.log10(trial["optimizer.rate"]) + 2) + trial["momentum"] + 1 / epoch
        trial.report(loss=loss, seconds=0.5 * epoch, other=math.nan)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> ashtune.Study:
    return ashtune.tune(
        train, SPACE, metric="loss", mode="min", trials=60, min_resource=1, max_resource=9,
        reduction_factor=3,
        search="random", workers=2, engine="threads", quiet=True,
        directory=tmp_path_factory.mktemp("studies") / "s",
    )  # fmt: skip


def exported(study: ashtune.Study, folder: Path) -> Any:
    """Return a study as Optuna reads it."""
    file = folder / "study.log"
    study.export("optuna", file)
    return loaded(file)


def loaded(file: Path) -> Any:
    backend = optuna.storages.journal.JournalFileBackend(str(file))
    return optuna.load_study(study_name=None, storage=optuna.storages.JournalStorage(backend))


def as_optuna_has_it(configuration: dict[str, Any]) -> dict[str, Any]:
    choices = [[64, 64], [128], "[128]"]
    return {**configuration, "widths": WIDTHS[choices.index(configuration["widths"])]}


def test_an_optuna_export_contains_parameters_state_and_value_of_each_trial(
    tuned: ashtune.Study, tmp_path: Path
) -> None:
    study = exported(tuned, tmp_path)
    assert study.study_name == "train"
    assert study.metric_names == ["loss"]
    assert study.direction.name == "MINIMIZE"
    assert len(study.trials) == len(tuned.trials)
    states = {
        "trained to the top": "COMPLETE",
        "paused": "PRUNED",
        "failed": "FAIL",
        "withdrawn": "FAIL",
    }
    for ours_, theirs in zip(tuned.trials, study.trials, strict=True):
        assert theirs.number == ours_.number == theirs.user_attrs["trial"]
        assert theirs.params == as_optuna_has_it(ours_.configuration)
        assert repr(list(theirs.params.values())) == repr(
            list(as_optuna_has_it(ours_.configuration).values())
        )
        assert theirs.state.name == states[ours_.status]
        assert theirs.value == ours_.metrics.get("loss")
        assert theirs.user_attrs["origin"] == "random"
        assert theirs.user_attrs["status"] == ours_.status
        assert theirs.user_attrs.get("rung") == ours_.rung
        assert theirs.user_attrs.get("reason", "") == ours_.reason
        assert all(theirs.distributions[name]._contains(theirs.distributions[name].to_internal_repr(value))
                   for name, value in theirs.params.items())  # fmt: skip
        if ours_.rung is not None:
            assert theirs.user_attrs["metric.seconds"] == ours_.metrics["seconds"], (
                "ours has that name"
            )
            assert theirs.user_attrs["other"] is None
            assert theirs.user_attrs["resource"] == ours_.resource == tuned.rungs[ours_.rung]
        assert theirs.datetime_complete >= theirs.datetime_start
    assert min(Counter(states[each.status] for each in tuned.trials).values()) >= 3, (
        "the test is about all of them"
    )
    kinds = {name: type(each).__name__ for name, each in study.trials[0].distributions.items()}
    assert [name for name, kind in kinds.items() if kind == "FloatDistribution"] == [
        "optimizer.rate",
        "momentum",
    ]
    assert [name for name, kind in kinds.items() if kind == "IntDistribution"] == [
        "layers",
        "units",
    ]
    logs = [
        name for name, each in study.trials[0].distributions.items() if getattr(each, "log", False)
    ]
    assert logs == ["optimizer.rate", "units"]


def test_an_optuna_export_has_the_best_trial_and_parameters_of_the_study(
    tuned: ashtune.Study, tmp_path: Path
) -> None:
    study = exported(tuned, tmp_path)
    assert study.study_name == StudyReader(tuned.directory).settings.name
    assert study.best_trial.number == tuned.best.trial == study.user_attrs["best trial"]
    assert study.best_params == as_optuna_has_it(tuned.best.config)
    assert study.best_value == tuned.best.metrics["loss"]
    assert study.user_attrs["rungs"] == list(tuned.rungs)
    assert study.user_attrs["search"] == "random"


def test_intermediate_values_of_an_optuna_export_are_the_learning_curves(
    tuned: ashtune.Study, tmp_path: Path
) -> None:
    curves = tuned.curves_dataframe()
    for trial in exported(tuned, tmp_path).trials:
        own = curves[curves.trial == trial.number]
        assert trial.intermediate_values == dict(
            zip(own.resource.tolist(), own.loss.tolist(), strict=True)
        )


def test_all_three_ways_of_exporting_write_the_same_optuna_file(
    tuned: ashtune.Study, tmp_path: Path
) -> None:
    file, other = tmp_path / "study.log", tmp_path / "other.log"
    done = command(tmp_path, "export", str(tuned.directory), "--to", "optuna", "--out", "study.log")
    assert (done.returncode, done.stdout) == (0, "study.log\n"), done.stderr
    assert tuned.export("optuna", other) == str(other)
    assert file.read_bytes() == other.read_bytes()
    parts = {
        "trials": 4, "max_resource": 9, "workers": 1, "engine": "threads", "search": "random",
        "observers": ["optuna"], "quiet": True,
    }  # fmt: skip
    study = begun(None, tmp_path / "s", **parts)
    assert len(loaded(tmp_path / "s" / "optuna.log").trials) == 4
    begun(None, tmp_path / "s", **{**parts, "trials": 7})
    before = (tmp_path / "s" / "optuna.log").read_bytes()
    assert len(loaded(tmp_path / "s" / "optuna.log").trials) == 7
    assert study.export("optuna") == str(tmp_path / "s" / "optuna.log")
    assert (tmp_path / "s" / "optuna.log").read_bytes() == before


def test_samplers_of_optuna_can_continue_an_exported_study(
    tuned: ashtune.Study, tmp_path: Path
) -> None:
    study = exported(tuned, tmp_path)
    study.sampler = optuna.samplers.TPESampler(seed=0, n_startup_trials=2, multivariate=True)
    trial = study.ask(fixed_distributions=study.best_trial.distributions)
    study.tell(trial, 3.0)
    assert loaded(tmp_path / "study.log").trials[-1].value == 3.0
    assert trial.number == len(tuned.trials)


def test_an_export_does_not_replace_a_file_changed_by_another_program(
    tuned: ashtune.Study, tmp_path: Path
) -> None:
    file = tmp_path / "study.log"
    tuned.export("optuna", file)
    tuned.export("optuna", file)
    assert len(loaded(file).trials) == len(tuned.trials)
    before = file.read_bytes()
    study = loaded(file)
    study.set_user_attr("note", "mine")
    with pytest.raises(StudyError):
        tuned.export("optuna", file)
    assert file.read_bytes().startswith(before)
    with pytest.raises(StudyError):
        tuned.export("optuna", tmp_path / "nowhere" / "study.log")
    assert [path.name for path in tmp_path.iterdir()] == ["study.log"]


def test_a_large_study_exports_only_its_best_trials(
    tuned: ashtune.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ours, "MOST", 10)
    study = exported(tuned, tmp_path)
    numbers = [trial.user_attrs["trial"] for trial in study.trials]
    assert numbers == sorted(best.trial for best in tuned.top(10))
    assert study.best_trial.user_attrs["trial"] == tuned.best.trial
    assert study.best_params == as_optuna_has_it(tuned.best.config)
    assert (study.user_attrs["trials"], study.user_attrs["trials written"]) == (
        len(tuned.trials),
        10,
    )


def test_an_optuna_export_omits_inactive_hyperparameters(tmp_path: Path) -> None:
    space = ConfigurationSpace(
        {"opt": ["sgd", "adam"], "momentum": (0.0, 1.0), "x": Float("x", (0.0, 1.0))}
    )
    space.add(EqualsCondition(space["momentum"], space["opt"], "sgd"))

    def train(trial: Any) -> None:
        for _ in trial.epochs():
            trial.report(score=trial["x"] + trial.config.get("momentum", 0.0))

    study = ashtune.tune(
        train, space, metric="score", mode="max", trials=20, max_resource=3, search="random",
        workers=1,
        engine="threads", quiet=True, directory=tmp_path / "s",
    )  # fmt: skip
    theirs = exported(study, tmp_path)
    assert [trial.params for trial in theirs.trials] == [
        trial.configuration for trial in study.trials
    ]
    assert {len(trial.params) for trial in theirs.trials} == {2, 3}
    assert theirs.best_trial.number == study.best.trial


def two_metrics(trial: Any) -> None:
    for epoch in trial.epochs():
        trial.report(
            accuracy=trial["x"] * epoch, latency=trial["x"] ** 2 + trial["y"], size=trial["y"]
        )


def test_an_optuna_export_of_several_objectives_has_the_same_pareto_front(tmp_path: Path) -> None:
    study = ashtune.tune(
        two_metrics, {"x": (0.0, 1.0), "y": (0.0, 1.0)}, metric=["accuracy", "latency"],
        mode=["max", "min"], trials=30,
        min_resource=1, max_resource=4, search="random", workers=1, engine="threads", quiet=True,
        directory=tmp_path / "s",
    )  # fmt: skip
    theirs = exported(study, tmp_path)
    assert theirs.metric_names == ["accuracy", "latency"]
    assert [direction.name for direction in theirs.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert {trial.number for trial in theirs.best_trials} == {best.trial for best in study.front}
    for trial in theirs.trials:
        metrics = study.trials[trial.number].metrics
        assert trial.values == (
            [metrics["accuracy"], metrics["latency"]] if trial.state.name == "COMPLETE" else None
        )
        assert trial.user_attrs["size"] == metrics["size"]


@contextlib.contextmanager
def dashboard(file: Path) -> Iterator[str]:
    """Run the real server on a file; give its address."""
    port = free_port()
    command = [sys.executable, "-c", "from optuna_dashboard._cli import main; main()"]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port), str(file)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        address, until = f"http://127.0.0.1:{port}", time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(f"{address}/api/studies", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None
                assert time.monotonic() < until
                time.sleep(0.1)
        yield address
    finally:
        server.kill()
        server.wait()


def asked(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=100) as answer:
        return json.loads(answer.read())


def shown(address: str, folder: Path) -> str:
    """Return a page as headless Chromium draws it, which sees nothing but this machine."""
    quiet = [each for each in QUIET if not each.startswith("--host-resolver-rules")]
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM, *quiet, "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"--user-data-dir={folder / 'profile'}", "--window-size=1400,2000",
            "--virtual-time-budget=20000",
            "--dump-dom", address,
        ],
        capture_output=True, text=True, timeout=110, check=True, env={**os.environ,
        "HOME": str(folder)},
    )  # fmt: skip
    return re.sub(
        r"\s+", " ", re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", done.stdout, flags=re.DOTALL)
    )


@pytest.mark.timeout(420)  # a server and two pages in a browser, beside other tests
def test_optuna_dashboard_opens_an_exported_study(tuned: ashtune.Study, tmp_path: Path) -> None:
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
    file = tmp_path / "study.log"
    tuned.export("optuna", file)
    with dashboard(file) as address:
        [summary] = asked(f"{address}/api/studies")["study_summaries"]
        assert summary["study_name"] == "train"
        study = asked(f"{address}/api/studies/{summary['study_id']}")
        assert len(study["trials"]) == len(tuned.trials)
        assert [best["number"] for best in study["best_trials"]] == [tuned.best.trial]
        assert study["objective_names"] == ["loss"]
        assert study["has_intermediate_values"]
        if CHROMIUM is None:
            pytest.skip("no Chromium here: apt-get install chromium")
        text = shown(f"{address}/dashboard/studies/{summary['study_id']}", tmp_path)
        assert f"Best Trial (number={tuned.best.trial})" in text
        assert f"{tuned.best.metrics['loss']}" in text
        assert f"optimizer.rate: {tuned.best.config['optimizer.rate']}" in text
        listed = shown(f"{address}/dashboard/studies/{summary['study_id']}/trials", tmp_path)
        assert (
            f"{len(tuned.trials)} Trials Trial 0 {study['trials'][0]['state']} Trial 1 " in listed
        )
        assert f"Trial {tuned.best.trial} Complete Best Trial" in listed


def bowl(trial: Any) -> None:
    for epoch in trial.epochs():
        trial.report(loss=(trial["x"] - 0.3) ** 2 + (trial["kind"] == "b") + 1 / epoch)


BOWL = {"x": (0.0, 1.0), "kind": ["a", "b"]}


def begun(source: Any, directory: Path, **options: Any) -> ashtune.Study:
    return ashtune.tune(
        bowl, BOWL, warm_start=source, directory=directory,
        **{"metric": "loss", "mode": "min", "trials": 4, "max_resource": 9, "workers": 1,
        "engine": "threads",
           "search": ashtune.GP(ahead=0, price=0, random_share=0), **options},
    )  # fmt: skip


def test_trials_of_an_optuna_study_can_serve_as_known_results(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Complete trials, pruned ones at their last step, which here counts epochs from 0, and failed
    ones.
    """
    theirs = optuna.create_study(
        sampler=optuna.samplers.RandomSampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
    )
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: Any) -> float:
        x, kind = trial.suggest_float("x", 0, 1), trial.suggest_categorical("kind", ["a", "b"])
        if trial.number == 7:
            raise ValueError("failed")
        for epoch in range(9):
            loss = (x - 0.3) ** 2 + (kind == "b") + 1 / (epoch + 1)
            trial.report(loss, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(loss)

    theirs.optimize(objective, n_trials=30, catch=ValueError)
    pruned = [trial for trial in theirs.trials if trial.state.name == "PRUNED"]
    assert pruned
    study = begun(theirs, tmp_path / "s", trials=1)
    assert (
        "warm start: 29 results of 29 configurations; 1 of 30 left out: 1 that failed\n"
        in capfd.readouterr().err
    )
    assert study.trials[0].origin == "gp, 29 results, 29 from before"
    known = read_settings(tmp_path / "s" / NAME).known
    assert sorted(each.resource for each in known if each.resource < 9) == sorted(
        max(trial.intermediate_values) + 1 for trial in pruned if max(trial.intermediate_values) < 8
    )
    frame = pytest.importorskip("pandas") and theirs.trials_dataframe()
    begun(frame, tmp_path / "frame", search="mutation")
    complete = {trial.params["x"] for trial in theirs.trials if trial.state.name == "COMPLETE"}
    assert {
        each.configuration["x"] for each in read_settings(tmp_path / "frame" / NAME).known
    } == complete
    with pytest.raises(ashtune.AshtuneError):
        begun(theirs, tmp_path / "other", mode="max")


def test_known_results_survive_an_export_to_optuna(tmp_path: Path) -> None:
    first = begun(
        None, tmp_path / "first", trials=20, search="random", min_resource=1, reduction_factor=3
    )
    theirs = exported(first, tmp_path)
    begun(theirs, tmp_path / "s", search="mutation")
    known = read_settings(tmp_path / "s" / NAME).known
    assert [(each.configuration, each.resource, each.metrics) for each in known] == [
        (trial.configuration, trial.resource, trial.metrics) for trial in first.trials
    ]
