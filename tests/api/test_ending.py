"""``patience`` and ``stop_when``: a search ends when nothing better comes, says so, and continues
when asked.
"""

import json
import time
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune import Stop
from ashtune._src.cli.main import main
from ashtune._src.core.errors import SettingsError
from ashtune._src.engines import stop
from ashtune._src.engines.threads import ThreadEngine
from ashtune._src.study.journal import NAME
from tests.helpers.studies import sessions, tuned

OPTIONS: dict[str, Any] = {
    "max_resource": 2,
    "min_resource": 2,
    "trials": 30,
    "workers": 1,
    "search": "random",
}


def same(trial: Any) -> None:
    """Report the same, whatever the configuration; fail where it is small."""
    for _ in trial.epochs():
        trial.report(score=float("nan") if trial["x"] < 0.2 else 1.0)


def full(tmp_path: Path, **more: Any) -> ashtune.Study:
    return tuned(
        tmp_path, same, **{**OPTIONS, "reduction_factor": None, "engine": "threads", **more}
    )


def test_patience_ends_the_search_after_results_without_improvement(tmp_path: Path) -> None:
    study = full(tmp_path, stop=Stop(patience=5))
    assert study.stopped == "patience=5: 5 results at the top rung without an improvement"
    assert not study.is_complete
    first = next(trial.number for trial in study.trials if trial.status == "trained to the top")
    assert len(study.trials) == first + 6


def test_a_study_that_patience_ended_continues_only_with_a_larger_patience(tmp_path: Path) -> None:
    study = full(tmp_path, stop=Stop(patience=5))
    again = study.resume(workers=1, quiet=True)
    assert len(again.trials) == len(study.trials)
    assert again.stopped == study.stopped
    more = again.resume(stop=Stop(patience=9), workers=1, quiet=True)
    assert more.stopped.startswith("patience=9: 9 results")
    assert len(more.trials) == len(study.trials) + 4
    assert more.resume(stop=Stop(patience=100), workers=1, quiet=True).is_complete


def test_the_best_trials_are_confirmed_after_the_stopping_rule_ended_the_search(
    tmp_path: Path,
) -> None:
    enough = ashtune.NotWorthIt(gain=0.1, per=1e-6)
    study = full(
        tmp_path, stop=Stop(stop_when=enough, total_resource=10**6), confirm=1, trials=None
    )
    assert study.stopped.startswith("not worth it: ")
    assert study.confirmed.mean == 1.0
    journal = (study.directory / NAME).read_text()
    assert json.loads(journal.splitlines()[1])["stop_when"] == {"gain": 0.1, "per": 1e-6}
    assert '"ends_search":true' in journal
    more = len(study.trials) + 5
    patient = ashtune.NotWorthIt(gain=0.1, per="10d")
    assert study.resume(
        stop=Stop(stop_when=patient), trials=more, workers=1, quiet=True
    ).is_complete
    assert sessions(study) == 2


@pytest.mark.parametrize(
    "given", [{"patience": 0}, {"patience": 1.5}, {"stop_when": "soon"}, {"stop_when": 5}]
)
def test_an_invalid_value_for_patience_or_stop_when_is_refused(
    given: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as refused:
        full(tmp_path, stop=Stop(**given))
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith(next(iter(given)))


def test_ashtune_run_accepts_the_options_patience_and_stop_when(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "space = {'x': (0.0, 1.0)}\ndef train(trial):\n    for _ in trial.epochs():\n        "
        "trial.report(score=1)\n"
    )
    command = [
        "run", f"{script}:train", "--metric", "score", "--mode", "max", "--rungs", "2", "--workers",
        "1", "--json",
        "--quiet", "--directory", str(tmp_path / "study"), "--stop-when",
        "not_worth_it:gain=0.1:per=1h",
    ]  # fmt: skip
    assert main([*command, "--patience", "4"]) == 0
    assert json.loads(capsys.readouterr().out)["stopped"].startswith("patience=4")
    assert main([*command, "--stop-when", "soon"]) == 2
    assert "'soon' is unknown; give not_worth_it" in capsys.readouterr().err


def test_a_complete_study_prints_how_its_trials_were_proposed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = full(tmp_path, search="mutation", quiet=False)
    last = capsys.readouterr().err.splitlines()[-1]
    mutations = sum(trial.origin.startswith("mutation") for trial in study.trials)
    assert f"30 trials: {round(100 * mutations / 30)} % mutations, " in last


def test_a_complete_study_prints_the_path_of_its_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = (
        f"saved in {tmp_path / 'study'}; `ashtune report {tmp_path / 'study'}` shows the results\n"
    )
    failed = "8 of 30 trials failed: score is not finite at 2"
    full(tmp_path, quiet=False)
    said = capsys.readouterr().err
    assert said.endswith(f"complete; {failed}; {kept}"), (
        "a slow machine has lines of progress before"
    )
    assert "left no room" not in said
    study = full(tmp_path, quiet=False)
    assert capsys.readouterr().err == f"complete; {failed}; nothing was trained; {kept}"
    full(tmp_path)
    study.resume(workers=1, quiet=True)
    assert capsys.readouterr().err == 2 * f"complete; {failed}\n"


class Leaving(ThreadEngine):
    """Threads, and with which exit status the program ended."""

    def __init__(self) -> None:
        super().__init__()
        self.statuses: list[int] = []

    def leave(self, status: int) -> None:
        self.statuses.append(status)


def test_a_script_exits_with_status_75_when_its_slurm_job_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(stop.SLURM_END_TIME, str(time.time() + 600.0))
    for name in ("LEAST_PAUSE_SECONDS", "MOST_PAUSE_SECONDS"):
        monkeypatch.setattr(stop, name, 600.0)
    engine = Leaving()
    with pytest.raises(SystemExit) as ended:
        full(
            tmp_path,
            scheduler=ashtune.Ash(rungs=[10**5]),
            max_resource=None,
            trials=1,
            engine=engine,
        )
    assert engine.statuses == [ended.value.code] == [stop.TRY_AGAIN]
