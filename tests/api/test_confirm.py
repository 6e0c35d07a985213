"""``confirm=``: the best are trained once more with other seeds, and the winner is named by its
mean.
"""

import io
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

import ashtune
from ashtune._src.cli.main import main
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.events import TrialStarted
from tests.helpers.studies import events, tuned

OPTIONS: dict[str, Any] = {"max_resource": 2, "trials": 12, "search": "random"}


def noisy(trial: Any) -> None:
    """Report ``x`` and noise that only the seed decides; save it."""
    for _ in trial.epochs():
        trial.report(score=trial["x"] + Random(trial.seed).gauss(0, 0.3))
    trial.save(trial.seed)


def summary(study: ashtune.Study) -> str:
    text = io.StringIO()
    study.report(text)
    return text.getvalue()


def test_confirm_trains_the_best_configurations_again_with_other_seeds(tmp_path: Path) -> None:
    study = tuned(tmp_path, noisy, confirm=3, **OPTIONS)
    assert study.is_complete
    extra = study.trials[12:]
    assert len(extra) == 6
    best = sorted(
        (t for t in study.trials[:12] if t.rung == 1), key=lambda t: -(t.metrics["score"] or 0)
    )[:3]
    assert sorted(t.confirms for t in extra if t.confirms is not None) == sorted(
        2 * [t.number for t in best]
    )
    for trial in extra:
        assert trial.confirms is not None
        assert trial.configuration == study.trials[trial.confirms].configuration
        assert (trial.status, trial.resource) == ("trained to the top", 2)
        assert trial.metrics != study.trials[trial.confirms].metrics
    origins = [
        event.origin
        for event in events(study)
        if isinstance(event, TrialStarted) and event.confirms is not None
    ]
    assert origins == [f"confirms {trial.confirms}" for trial in extra]


def test_the_report_names_the_confirmed_winner_and_its_search_result(tmp_path: Path) -> None:
    study = tuned(tmp_path, noisy, confirm=ashtune.Confirm(best=3, seeds=2), **OPTIONS)
    confirmed = study.confirmed
    assert study.best.trial == confirmed.trial
    assert study.best.metrics == {"score": confirmed.first}
    assert study.best.load() is not None
    assert confirmed.low is not None
    assert confirmed.high is not None
    assert confirmed.low < confirmed.mean < confirmed.high
    shown = " ".join(summary(study).split())
    assert f"The named winner is trial {confirmed.trial}" in shown
    assert f"(trial {confirmed.trial}, the named winner)" in shown
    assert study.report_data()["sections"]["confirmed"]["trial"] == confirmed.trial
    assert study.report_data()["best"]["trial"] == confirmed.trial
    assert study.report_data()["trials"]["tried"] == 12
    assert all(best.trial < 12 for best in study.top(20)), "what confirms does not stand among them"


def test_the_report_says_that_the_function_does_not_use_its_seed(tmp_path: Path) -> None:
    study = tuned(tmp_path, confirm=2, **OPTIONS)
    assert study.confirmed.is_noiseless
    assert "does not use trial.seed" in " ".join(summary(study).split())


def test_confirm_refuses_a_fused_function_whose_lanes_share_one_seed(tmp_path: Path) -> None:
    class Fused:
        grouped_by = ()

        def make_runner(self) -> None: ...

        def __call__(self, trial: Any) -> None: ...

    with pytest.raises(SettingsError):
        tuned(tmp_path, Fused(), confirm=2, **OPTIONS)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    "confirm", [0, -1, 2.5, True, "5x", [5], 101, ashtune.Confirm(0), ashtune.Confirm(5, 0)]
)
def test_confirm_refuses_an_invalid_number_of_configurations_in_one_line(
    confirm: Any, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as refused:
        tuned(tmp_path, confirm=confirm)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "study").exists()


def test_ashtune_run_accepts_the_number_of_configurations_and_seeds_to_confirm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "from random import Random\nspace = {'x': (0.0, 1.0)}\ndef train(trial):\n    for epoch "
        "in trial.epochs():\n"
        "        trial.report(score=trial['x'] + Random(trial.seed).gauss(0, 0.3))\n"
    )
    command = [
        "run", f"{script}:train", "--metric", "score", "--mode", "max", "--trials", "9",
        "--max-resource", "2",
        "--workers", "1", "--directory", str(tmp_path / "study"), "--json", "--quiet",
    ]  # fmt: skip
    assert main([*command, "--confirm", "2x3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [len(one["values"]) for one in found["sections"]["confirmed"]["all"]] == [3, 3]
    assert main([*command, "--confirm", "two"]) == 2
    assert "invalid literal for int() with base 10: 'two'" in capsys.readouterr().err
