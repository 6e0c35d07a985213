"""Studies with several objectives and with constraints: what they promote, find, and do when they
continue.
"""

from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.analysis.audit import Audit
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.errors import SettingsError, StudyError
from ashtune._src.core.events import JobFinished
from ashtune._src.core.jobs import Job
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS
from ashtune.testing.oracles import RecordedResult
from tests.helpers import oracles
from tests.helpers.saved_page import answer, texts

SPACE = {"x": (0.0, 1.0), "y": (0.0, 1.0)}
TWO: dict[str, Any] = {"metric": ["accuracy", "latency"], "mode": ["max", "min"]}


def train(trial: ashtune.Trial) -> None:
    for epoch in trial.epochs():
        trial.report(
            accuracy=trial["x"] - 1 / epoch,
            latency=trial["x"] ** 2 + (trial["y"] - 0.5) ** 2,
            size=trial["y"],
        )


def tuned(directory: Path, **given: Any) -> ashtune.Study:
    return ashtune.tune(
        train,
        SPACE,
        **{
            "trials": 30,
            "max_resource": 9,
            "workers": 2,
            "engine": "threads",
            "directory": directory,
            "quiet": True,
            **given,
        },
    )


def results(study: ashtune.Study) -> list[RecordedResult]:
    """Return the results of the journal as an oracle takes them."""
    reader = StudyReader(study.directory)
    goal, facts = reader.settings.goal, []
    for event in reader.events():
        if isinstance(event, JobFinished):
            losses, violation = goal.judged(event.metrics)
            facts.append(
                RecordedResult(
                    Job(event.trial, event.rung), losses[0], more=losses[1:], violation=violation
                )
            )
    return facts


def unexplained(study: ashtune.Study) -> list[int]:
    reader = StudyReader(study.directory)
    audit = Audit(reader.ladder, reader.settings.goal, reader.scheduler)
    reader.tell([audit])
    return [trial for record in audit.records() for trial in record.unexplained]


@pytest.mark.parametrize("scheduler", ["ash", "stopping", "sh", "hyperband", "async_hyperband"])
@pytest.mark.parametrize("constraints", [None, {"size": "<= 0.5"}])
@pytest.mark.parametrize("objectives", [{"metric": "latency", "mode": "min"}, TWO])
def test_every_scheduler_takes_several_objectives_and_constraints(
    scheduler: str, constraints: Any, objectives: dict[str, Any], tmp_path: Path
) -> None:
    study = tuned(tmp_path / "s", scheduler=scheduler, constraints=constraints, **objectives)
    assert study.is_complete
    assert unexplained(study) == []
    top = [fact for fact in results(study) if fact.job.rung == len(study.rungs) - 1]
    assert study.best.trial in [fact.job.trial for fact in oracles.front(top)]
    assert study.top(1) == [study.best]
    if constraints:
        is_feasible = [best.metrics["size"] <= 0.5 for best in study.top(30)]  # type: ignore[operator]
        assert is_feasible == sorted(is_feasible, reverse=True)
        assert is_feasible[0]


@pytest.mark.parametrize("search", ["gp", "mutation", "sobol"])
@pytest.mark.parametrize("objectives", [{"metric": "latency", "mode": "min"}, TWO])
def test_every_search_takes_several_objectives(
    search: str, objectives: dict[str, Any], tmp_path: Path
) -> None:
    study = tuned(
        tmp_path / "s", search=search, trials=40, constraints={"size": "<= 0.5"}, **objectives
    )
    assert study.is_complete
    assert study.best.metrics["size"] <= 0.5  # type: ignore[operator]
    origins = {trial.origin.partition(",")[0].partition(" of")[0] for trial in study.trials}
    assert search == "sobol" or {"gp", "mutation"} & origins


def test_a_scheduler_for_one_loss_refuses_several_objectives(tmp_path: Path) -> None:
    kinds = [kind for kind in SCHEDULERS.names if SCHEDULERS.part(kind).ranks_one_loss]
    assert "adaptive" in kinds
    for kind in kinds:
        with pytest.raises(SettingsError):
            tuned(tmp_path / "s", scheduler=kind, **TWO)


def test_a_study_stops_when_one_result_reaches_all_targets(tmp_path: Path) -> None:
    study = tuned(tmp_path / "s", target={"accuracy": 0.0, "latency": 0.3}, trials=200, **TWO)
    assert study.stopped == "target accuracy=0, latency=0.3 reached"
    hits = [fact for fact in results(study) if fact.loss <= 0 and fact.more[0] <= 0.3]
    assert hits
    assert study.resume(quiet=True).stopped == study.stopped
    with pytest.raises(SettingsError):
        study.resume(target=0.5)
    further = study.resume(target={"accuracy": 5.0}, trials=40, quiet=True)
    assert further.is_complete
    assert unexplained(further) == []


def test_whatif_refuses_a_study_of_several_objectives(tmp_path: Path) -> None:
    study = tuned(tmp_path / "s", trials=9, **TWO)
    with pytest.raises(StudyError):
        study.whatif()


def test_the_report_and_its_figures_show_a_study_of_several_objectives(tmp_path: Path) -> None:
    study = tuned(tmp_path / "s", constraints={"size": "<= 0.5"}, **TWO)
    data = study.report_data()
    assert (data["metric"], data["mode"], data["constraints"]) == (
        TWO["metric"],
        TWO["mode"],
        ["size <= 0.5"],
    )
    assert data["left_out"] == {}
    assert data["best"]["trial"] == study.best.trial
    study.report_html(tmp_path / "page.html")
    assert "Left out" not in texts(tmp_path / "page.html")
    assert answer(tmp_path / "page.html", "front")["figure"]["series"]


def test_the_pareto_front_contains_the_results_that_no_other_result_dominates(
    tmp_path: Path,
) -> None:
    study = tuned(tmp_path / "s", constraints={"size": "<= 0.5"}, **TWO)
    top = [fact for fact in results(study) if fact.job.rung == len(study.rungs) - 1]
    expected = sorted((fact.loss, fact.job.trial) for fact in oracles.front(top))
    assert [best.trial for best in study.front] == [trial for _, trial in expected]
    assert all(best.metrics["size"] <= 0.5 for best in study.front)  # type: ignore[operator]
    assert study.front.best() == study.best
    assert study.front.best({"accuracy": 1}) == study.front[0]
    assert study.front.best({"latency": 1}) == study.front[-1]
    with pytest.raises(SettingsError):
        study.front.best({"size": 1})
    assert study.front._repr_html_().count("<tr>") == 1 + len(study.front)
    assert [one["trial"] for one in study.report_data()["sections"]["front"]["front"]] == [
        one.trial for one in study.front
    ]
    figure = study.plot_front()
    assert [trace.name for trace in figure.data][-2:] == ["front", "knee of the front"]
    assert list(figure.data[-2].x) == pytest.approx(
        [best.metrics["accuracy"] for best in study.front]
    )


def test_a_fused_study_takes_several_objectives_and_constraints(tmp_path: Path) -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    x = jax.numpy.linspace(-1.0, 1.0, 64)

    def init(key: Any, config: Any) -> Any:
        return jax.numpy.zeros(())

    def step(w: Any, batch: Any, config: Any) -> Any:
        return w - config["rate"] * ((w - 2) * batch[0] ** 2).mean(), {}

    def evaluate(w: Any, data: Any) -> Any:
        return {"loss": ((w - 2) ** 2 * data[0] ** 2).mean(), "size": w}

    study = ashtune.tune(
        ashtune.fused(init, step, evaluate, train=(x,), validation=(x,), batch_size=16),
        {"rate": (0.01, 1.0)},
        metric=["loss", "size"],
        mode=["min", "min"],
        constraints={"size": "<= 1.5"},
        trials=12,
        max_resource=4,
        workers=1,
        directory=tmp_path / "s",
        quiet=True,
    )
    assert unexplained(study) == []
    assert len(study.front) > 1, "the smaller the weight, the larger the loss"
    assert all(best.metrics["size"] <= 1.5 for best in study.front)  # type: ignore[operator]
