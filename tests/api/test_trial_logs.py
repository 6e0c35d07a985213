"""What a trial printed can be read, and silent trials leave nothing."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.core.jobs import TrialId
from ashtune._src.dashboard.followed_study import FollowedStudy
from ashtune._src.dashboard.trial_page import LOG_CHARACTERS, trial_pages
from ashtune._src.engines.local.worker_process import LAST_WORDS_CHARACTERS, WorkerProcess
from ashtune._src.training.printed import mark_of, read_printed
from tests.helpers import commands, studies


def talks(trial: Any) -> None:
    print(f"trial {trial.number} from {trial.start}")
    for epoch in trial.epochs():
        if trial.number % 2:
            # as a library does, without an end of line
            os.write(2, f"{trial.number} at {epoch}".encode())
        trial.report(score=trial["x"] * epoch)
    trial.save(epoch)


def dies(trial: Any) -> None:
    print("trial", trial.number, "begins", flush=True)
    if trial.number == 2:
        os._exit(3)
    for epoch in trial.epochs():
        trial.report(score=trial["x"] * epoch)


def tuned(directory: Path, objective: Any, **options: Any) -> ashtune.Study:
    return studies.tuned(directory, objective, **({"trials": 8, "max_resource": 4} | options))


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> ashtune.Study:
    return tuned(tmp_path_factory.mktemp("talking"), talks)


def logs(study: ashtune.Study) -> str:
    return "".join(path.read_text() for path in (study.directory / "logs").iterdir())


def test_the_log_of_a_trial_has_only_its_own_output(talking: ashtune.Study) -> None:
    study = talking
    for trial in range(8):
        log = study.log(trial)
        assert log.startswith(f"trial {trial} from 0\n")
        for other in range(8):
            assert (f"trial {other} from" in log) == (other == trial)
    reached = study.best.trial
    stretches = [line for line in study.log(reached).splitlines() if "from" in line]
    assert len(stretches) == logs(study).count(f"printed by trial {reached},")


def test_the_log_keeps_the_output_of_a_dead_worker(tmp_path: Path) -> None:
    study = tuned(tmp_path, dies, workers=1)
    assert study.log(2) == "trial 2 begins\n" * 2  # it was given to another worker once
    assert set(study.log(1).splitlines()) == {"trial 1 begins"}


def test_ashtune_report_prints_the_log_of_one_trial(talking: ashtune.Study, tmp_path: Path) -> None:
    study = talking
    command = ["report", str(study.directory), "--trial", "3"]
    done = commands.ashtune(tmp_path, *command)
    assert done.stdout.startswith("trial 3, ")
    assert study.log(3) in done.stdout
    assert f"x  {study.trials[3].configuration['x']:.4g}" in done.stdout
    done = commands.ashtune(tmp_path, *command, "--json")
    answer = json.loads(done.stdout)
    assert (answer["number"], answer["printed"]) == (3, study.log(3))


@pytest.mark.parametrize("kind", ["log", "folder"])
def test_a_link_in_place_of_a_log_is_not_followed(
    talking: ashtune.Study, tmp_path: Path, kind: str
) -> None:
    copy, elsewhere = tmp_path / "copy", tmp_path / "elsewhere"
    shutil.copytree(talking.directory, copy)
    (copy / "logs").rename(elsewhere)
    if kind == "folder":
        (copy / "logs").symlink_to(elsewhere)
    else:
        (copy / "logs").mkdir()
        for log in elsewhere.iterdir():
            (copy / "logs" / log.name).symlink_to(log)
    assert talking.log(3) != ""
    assert ashtune.Study.load(copy).log(3) == ""


def test_read_printed_can_return_only_the_end_of_each_log(talking: ashtune.Study) -> None:
    whole = read_printed(talking.directory, TrialId(3))
    assert [part[-5:] for part in whole] == read_printed(talking.directory, TrialId(3), most=5)
    assert read_printed(talking.directory, TrialId(3), workers={99}) == []


ADDRESS = "s3://me:PASSWORD@host/b"


def test_a_shortened_log_shows_no_password(talking: ashtune.Study, tmp_path: Path) -> None:
    """The page and the journal have the end of a log."""
    copy = tmp_path / "copy"
    shutil.copytree(talking.directory, copy)
    study = FollowedStudy(copy)
    study.read()
    for log in (copy / "logs").iterdir():
        log.write_text(f"{ADDRESS:.<{LOG_CHARACTERS + 4}}{mark_of(TrialId(3), 0)}")
    (page,) = trial_pages([study.question_of_trial(3)])
    assert "host/b..." in page["log"]
    assert "PASSWORD" not in page["log"]

    process = object.__new__(WorkerProcess)
    process.log = tmp_path / "worker-0.log"
    process.log.write_text(f"{ADDRESS:.<{LAST_WORDS_CHARACTERS + 3}}")
    assert "host/b..." in process.last_words()
    assert "PASSWORD" not in process.last_words()
