"""The options of a study: each is defined once, and ``tune``, ``resume`` and the commands say the
same of it.
"""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.api.tuning import run_study
from ashtune._src.cli.baseline_command import BaselineOptions
from ashtune._src.cli.demo_command import DemoOptions
from ashtune._src.cli.flags import help_texts
from ashtune._src.cli.plan_command import PlanOptions
from ashtune._src.cli.simulate_command import SimulateOptions
from ashtune._src.cli.worker_command import HostOptions
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.events import SessionStarted
from ashtune._src.core.option import checked, options_of
from ashtune._src.driver.study_options import (
    MAX_FAILURES,
    SESSION_GROUPS,
    TUNE_GROUPS,
    ResumeOptions,
    TopRung,
    TuneOptions,
    WhatIfOptions,
)
from ashtune._src.engines.engine_protocol import Brief
from ashtune._src.engines.local.local_workers import LocalEngine
from ashtune._src.engines.session_options import RunOptions
from ashtune._src.engines.threads import ThreadEngine, ThreadWorkers
from ashtune._src.schedulers.scheduler_protocol import Scheduler
from ashtune._src.study.journal import NAME, read_events
from tests.helpers.commands import ashtune as command

TAKERS: list[tuple[Callable[..., Any], Any]] = [
    (ashtune.tune, TuneOptions),
    (ashtune.open_study, TuneOptions),
    (ashtune.Study.resume, ResumeOptions),
    (ashtune.Study.whatif, WhatIfOptions),
    (ashtune.Stop, TuneOptions),
    (Scheduler, TuneOptions),
    (ashtune.Local, RunOptions),
    (ashtune.MPI, RunOptions),
    (ashtune.Auto, RunOptions),
]
"""What takes options by their names, and the table that defines them."""
NO_OPTIONS = {"objective", "space", "metric", "mode", "stop", "self"}
SCRIPT = """
space = {"x": (0.0, 1.0)}


def train(trial):
    trial.report(loss=trial["x"])
"""


def train(trial: ashtune.Trial) -> float:
    return float(trial["x"])


def tuned(directory: Path, **options: Any) -> ashtune.Study:
    return ashtune.tune(
        train,
        {"x": (0.0, 1.0)},
        metric="loss",
        mode="min",
        max_resource=1,
        quiet=True,
        directory=directory,
        **options,
    )


@pytest.mark.parametrize(("taker", "kind"), TAKERS)
def test_every_function_has_the_same_default_values_as_the_options_table(
    taker: Callable[..., Any], kind: Any
) -> None:
    parameters = inspect.signature(taker).parameters
    known = options_of(kind)
    assert parameters.keys() - known.keys() <= NO_OPTIONS
    for name in parameters.keys() & known.keys():
        assert parameters[name].default == known[name][1].default


@pytest.mark.parametrize(
    "kind",
    [
        *TUNE_GROUPS,
        TopRung,
        WhatIfOptions,
        PlanOptions,
        SimulateOptions,
        BaselineOptions,
        DemoOptions,
        HostOptions,
    ],
)
def test_every_option_has_a_help_text(kind: Any) -> None:
    said = help_texts(kind)
    assert options_of(kind).keys() - said.keys() == set()
    assert not any(text.startswith("As of") for text in said.values())


@pytest.mark.parametrize(
    ("groups", "kind"),
    [(TUNE_GROUPS, TuneOptions), ((TopRung, *SESSION_GROUPS), ResumeOptions)],
)
def test_the_help_lists_each_option_in_exactly_one_group(groups: Any, kind: Any) -> None:
    names = [name for group in groups for name in options_of(group)]
    assert sorted(names) == sorted(options_of(kind))


def test_tune_documents_all_parameters_and_accepts_every_option() -> None:
    parameters = inspect.signature(ashtune.tune).parameters
    documented = " ".join((ashtune.tune.__doc__ or "").split())
    assert [name for name in parameters if f" {name}: " not in documented] == []
    held = {
        *Scheduler.__struct_fields__,
        *ashtune.Stop.__struct_fields__,
        *ashtune.Auto.__struct_fields__,
    }
    assert options_of(TuneOptions).keys() - parameters.keys() - held == {"weights", "control"}


def test_help_describes_flags_and_the_forms_of_values(tmp_path: Path) -> None:
    for name in ("run", "resume"):
        text = " ".join(command(tmp_path, name, "--help").stdout.split())
        assert "--no-isolate under MPI, train in the rank's own process" in text
        assert (
            '--time-limit TIME seconds, or a time as "10m", after which running trials are paused'
            in text
        )
    assert (
        "--rungs LIST the rungs themselves, instead of the three arguments above, as 1,5,20"
        in " ".join(command(tmp_path, "run", "--help").stdout.split())
    )


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (
            {"mode": "min", "scheduler": "asha"},
            "scheduler='asha' is unknown; did you mean 'pasha' or 'ash'",
        ),
        (
            {"mode": "min", "scheduler": "stoping"},
            "scheduler='stoping' is unknown; did you mean 'stopping'",
        ),
        ({"mode": "min", "engine": "treads"}, "engine 'treads' is unknown; did you mean 'threads'"),
    ],
)
def test_the_error_for_an_unknown_name_suggests_a_known_name(
    given: dict[str, Any], meant: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as refused:
        ashtune.tune(
            train,
            {"x": (0.0, 1.0)},
            metric="loss",
            max_resource=1,
            directory=tmp_path / "study",
            **given,
        )
    assert str(refused.value) == f"{meant}?"


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(SettingsError):
        checked(ResumeOptions, {"seed": 4})


def test_an_empty_directory_name_is_refused_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    given = (
        "run",
        "train.py:train",
        "--metric",
        "loss",
        "--mode",
        "min",
        "--max-resource",
        "1",
        "--trials",
        "2",
    )
    done = command(tmp_path, *given, "--directory", "")
    assert (done.returncode, done.stdout) == (2, "")
    assert "directory='' is not a path" in done.stderr
    assert {file.name for file in tmp_path.iterdir()} <= {"train.py", "__pycache__"}


def test_a_resumed_study_has_no_more_workers_than_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    study = tuned(tmp_path / "study", trials=2)
    monkeypatch.setattr(LocalEngine, "worker_count", lambda self, wanted: wanted or 8)
    monkeypatch.setattr(LocalEngine, "check", lambda self, options, workers: asked.append(workers))
    study.resume(quiet=True)
    study.resume(trials=5, workers=1, quiet=True)
    assert asked == [2, 1]


def test_a_resumed_study_keeps_max_failures_unless_given_a_new_value(tmp_path: Path) -> None:
    tuned(tmp_path / "study", trials=1)
    tuned(tmp_path / "study", trials=2, stop=ashtune.Stop(max_failures=7))
    tuned(tmp_path / "study", trials=3)
    sessions = [
        event
        for event in read_events(tmp_path / "study" / NAME)
        if isinstance(event, SessionStarted)
    ]
    assert [session.max_failures for session in sessions] == [MAX_FAILURES, 7, 7]


def test_an_engine_receives_every_checked_option(tmp_path: Path) -> None:
    given: list[dict[str, Any]] = []

    class Asking(LocalEngine):
        def check(self, options: RunOptions, workers: int) -> None:
            given.append(dict(options))
            raise SettingsError("asked")

    with pytest.raises(SettingsError):
        run_study(
            train, {"x": (0.0, 1.0)}, metric="loss", mode="min", max_resource=1, quiet=True,
            directory=tmp_path / "study", trials=2, engine=Asking(), threads=2, profile=True,
        )  # fmt: skip
    assert {name: given[0][name] for name in options_of(RunOptions)} == {
        **checked(RunOptions, {}), "quiet": True, "threads": 2, "profile": True
    }  # fmt: skip


def test_workers_search_for_modules_in_the_same_folders_as_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[str] = []

    class Asking(ThreadEngine):
        def open(self, brief: Brief) -> ThreadWorkers:
            folders.extend(brief.setup.path)
            raise SettingsError("asked")

    before = list(sys.path)
    no_texts = [tmp_path, "no text \udcff"]  # Python ignores a Path; no message holds the other
    monkeypatch.setattr(sys, "path", [*before, str(tmp_path), *no_texts])
    with pytest.raises(SettingsError, match="asked"):
        tuned(tmp_path / "study", trials=2, engine=Asking())
    assert folders == [*before, str(tmp_path)]


def test_trial_timeout_without_isolated_processes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        tuned(tmp_path / "study", trials=2, engine=ashtune.Auto(trial_timeout=600, isolate=False))
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("kind", "name"),
    [(TuneOptions, "time_limit"), (TuneOptions, "trial_timeout"), (WhatIfOptions, "deadline")],
)
def test_a_time_option_in_python_accepts_the_text_of_the_command_line(kind: Any, name: str) -> None:
    assert checked(kind, {name: "10m"})[name] == checked(kind, {name: 600})[name] == 600
    with pytest.raises(SettingsError):
        checked(kind, {name: "soon"})
    with pytest.raises(SettingsError):
        checked(kind, {name: "0s"})
