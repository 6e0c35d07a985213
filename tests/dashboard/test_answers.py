"""What takes long to work out: the answers are those of the report, and nothing that goes wrong
reaches the page.
"""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.analysis.audit import Audit
from ashtune._src.core.events import JobFinished
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.dashboard import reading, saved
from ashtune._src.dashboard.asked_views import ASKED, SlicesView
from ashtune._src.dashboard.page_messages import NAMES, OF_THE_PAGE, PageAnswer, Question
from ashtune._src.dashboard.questions import AnswerProcess, Questions
from ashtune._src.dashboard.trial_page import _History
from ashtune._src.reports.audit_view import audit_findings
from ashtune._src.reports.report import sections
from ashtune._src.study import replay
from ashtune._src.study.journal import Batch, JournalReader
from tests.helpers.live_page import Client, served
from tests.helpers.saved_page import saved as saved_data
from tests.helpers.studies import tuned

pytestmark = pytest.mark.timeout(240)
SPACE = {"x": (0.0, 1.0), "rate": (1e-4, 1.0, "log"), "kind": ["a", "b", "c"]}


def train(trial: Any) -> None:
    """Report and print."""
    print(f"trial {trial.number} trains", flush=True)
    trained = trial.restore() or 0
    if trial.number == 7:
        raise ValueError("seven")
    for epoch in trial.epochs():
        trained += 1
        trial.report(score=trial["x"] + 0.01 * epoch, rate=trial["rate"])
    trial.save(trained)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ashtune.Study:
    return tuned(tmp_path_factory.mktemp("answers"), train, SPACE, trials=80)


@pytest.fixture(scope="module")
def asked(study: ashtune.Study) -> Iterator[Client]:
    with served(study.directory) as client:
        with client.watch() as viewer:
            viewer.until_state("complete")
        yield client


def test_the_server_knows_every_view_that_the_page_can_request() -> None:
    assert tuple(ASKED) == NAMES


def test_each_section_of_the_report_can_be_requested_alone(
    study: ashtune.Study, asked: Client
) -> None:
    names = list(sections())
    data = study.report_data()["sections"]
    for name in names:
        answer = asked.ask(f"api/studies/0/section?name={name}")
        assert answer["title"], name
        assert answer["value"] == data.get(name, {}), name
    trouble = asked.ask("api/studies/0/section?name=trouble")
    assert "1 trial failed" in trouble["text"]
    assert "ValueError: seven" in trouble["text"]


def test_importance_names_the_hyperparameter_that_matters(asked: Client) -> None:
    pytest.importorskip("sklearn")
    answer = asked.ask("api/studies/0/importance")
    assert answer["weights"][0]["name"] == "x"
    assert answer["text"].startswith("79 trials without failure; a random forest explains ")


def test_slices_show_the_points_of_the_requested_hyperparameters(
    study: ashtune.Study, asked: Client
) -> None:
    panels = asked.ask("api/studies/0/slices?name=kind&name=x")["panels"]
    assert set(panels) == {"x", "kind"}
    assert panels["kind"]["x"]["choices"] == ["a", "b", "c"]
    assert panels["x"]["x"]["isLog"] is False
    names = asked.ask("api/studies/0/slices")["colors"]
    for name, panel in panels.items():
        for series in [each for each in panel["series"] if each["name"] in names]:
            for trial, x, y in zip(series["trials"], series["x"], series["y"], strict=True):
                record = study.trials[trial]
                value = record.configuration[name]
                assert (
                    x == pytest.approx(value) if name == "x" else SPACE["kind"][round(x)] == value
                )  # type: ignore[index]
                assert y == pytest.approx(
                    panel["y"]["high"] if y == panel["y"]["high"] else record.metrics["score"]
                )
                assert series["name"] == f"to epoch {study._reader.ladder.rungs[record.rung]}"
                assert trial != 7
    assert set(asked.ask("api/studies/0/slices")["panels"]) == set(SPACE)


def test_parallel_coordinates_have_a_line_for_each_trial(
    study: ashtune.Study, asked: Client
) -> None:
    figure = asked.ask("api/studies/0/parallel")["figure"]
    assert (
        len(figure["lines"])
        == len(figure["trials"])
        == len(figure["colors"])
        == figure["total"]
        == 79
    )
    assert figure["trials"][0] == study.best.trial
    names = [axis["name"] for axis in figure["axes"]]
    assert names == [*SPACE, "epochs", "score"]
    for trial, line in zip(figure["trials"], figure["lines"], strict=True):
        configuration = study.trials[trial].configuration
        for name, axis, value in zip(SPACE, figure["axes"], line, strict=False):
            if axis["choices"]:
                assert axis["choices"][round(value)] == configuration[name]
            else:
                assert value == pytest.approx(configuration[name])
    rates = [
        trial.configuration["rate"] for trial in study.trials if trial.number in figure["trials"]
    ]
    rate = figure["axes"][names.index("rate")]
    assert (rate["isLog"], rate["low"], rate["high"]) == (
        True,
        pytest.approx(min(rates)),
        pytest.approx(max(rates)),
    )


def test_the_contour_on_the_page_rises_where_the_metric_rises(asked: Client) -> None:
    figure = asked.ask("api/studies/0/contour?x=x&y=rate")["figure"]
    rows = figure["cells"]["rows"]
    assert len(rows) == len(figure["cells"]["y"]) == 41
    assert {len(row) for row in rows} == {41}
    known = [
        (column, value) for row in rows for column, value in enumerate(row) if value is not None
    ]
    left = [value for column, value in known if column < 10]
    right = [value for column, value in known if column >= 31]
    assert max(left) < min(right)
    assert sum(len(each["trials"]) for each in figure["series"]) > 20
    assert "smoothed" in figure["notes"][0]


def test_the_contour_on_the_page_has_one_row_for_each_choice(asked: Client) -> None:
    figure = asked.ask("api/studies/0/contour?x=rate&y=kind")["figure"]
    rows, points = figure["cells"]["rows"], [x for each in figure["series"] for x in each["x"]]
    assert [len(row) for row in rows] == [81] * 3
    assert rows[0] != rows[1] != rows[2]
    assert figure["y"]["choices"] == ["a", "b", "c"]
    assert 0 < figure["x"]["low"] < min(points) <= max(points) < figure["x"]["high"]


def test_the_page_can_request_the_pareto_front_of_a_study(tmp_path: Path, asked: Client) -> None:
    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(score=trial["x"] * epoch, size=trial["x"])

    two = tuned(tmp_path, train, metric=["score", "size"], mode=["max", "min"])
    with served(two.directory) as client:
        with client.watch() as viewer:
            viewer.until_state("complete")
        figure = client.ask("api/studies/0/front")["figure"]
        panels = client.ask("api/studies/0/slices?metric=size")["panels"]
        assert {panel["y"]["name"] for panel in panels.values()} == {"size"}
        assert client.get("api/studies/0/slices?metric=loss").status == 400
    (front,) = [each["trials"] for each in figure["series"] if each.get("name") == "front"]
    assert sorted(front) == sorted(best.trial for best in two.front)
    assert "a front needs several" in asked.get("api/studies/0/front").json["error"]


def test_slices_of_a_second_objective_still_apply_the_constraints(tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(score=trial["x"] * epoch, size=trial["x"])

    two = tuned(
        tmp_path,
        train,
        metric=["score", "size"],
        mode=["max", "min"],
        constraints={"size": ">= 0.2"},
    )
    results, *_ = SlicesView(two._reader, {"metric": ["size"]}).valued
    keeps = [(two.trials[trial].metrics["size"] or 0) >= 0.2 for _, _, trial in results.standings()]
    assert sorted(set(keeps)) == [False, True]
    assert keeps == sorted(keeps, reverse=True), "the smallest sizes violate the constraint"


def test_the_audit_of_the_page_matches_the_audit_of_the_report(
    study: ashtune.Study, asked: Client
) -> None:
    answer = asked.ask("api/studies/0/audit")
    reader = study._reader
    audit = Audit(reader.ladder, reader.settings.goal, reader.scheduler)
    reader.tell([audit])
    assert answer["text"] == audit_findings(audit, unit="epoch")
    for row, record in zip(answer["rungs"], audit.records(), strict=True):
        assert (row["resource"], row["arrived"], row["promoted"], row["wrong"]) == (
            record.resource, record.arrived, record.promoted, record.wrong,
        )  # fmt: skip
        assert row["unexplained"] == 0
    assert answer["rungs"][0]["expected"] == "80"


def test_what_if_predicts_fewer_seconds_on_more_workers(asked: Client) -> None:
    answer = asked.ask("api/studies/0/whatif?workers=1,8&reduction_factor=2")
    one, eight = answer["predictions"]
    assert (one["workers"], eight["workers"]) == (1, 8)
    assert eight["wall_seconds"]["likely"] < one["wall_seconds"]["likely"]
    for each in (one, eight):
        (points,) = [series for series in each["figure"]["series"] if series["kind"] == "points"]
        assert (points["x"], points["y"]) == ([each["workers"]], [each["wall_seconds"]["likely"]])
    assert not eight["is_as_recorded"]
    assert answer["text"]
    deadline = asked.ask("api/studies/0/whatif?deadline=1h")
    assert deadline["predictions"][0]["workers"] == 1


def test_the_page_of_a_trial_says_how_much_memory_a_job_used() -> None:
    history = _History()
    job: dict[str, Any] = {
        "worker": WorkerId(1),
        "trial": TrialId(2),
        "rung": 0,
        "seconds": 3.0,
        "metrics": {"score": 0.5},
    }
    for share in (0.0, 0.43):
        history.add(JobFinished(0.0, resource=4, memory_share=share, **job), 0.0)
    before, after = (step["text"] for step in history.steps)
    assert before == "trained to 4 by worker 1 in 3.0 s: score = 0.5"
    assert after == "trained to 4 by worker 1 in 3.0 s with 43 % of its memory_limit: score = 0.5"


def test_the_page_of_a_trial_shows_curve_configuration_and_log(
    study: ashtune.Study, asked: Client
) -> None:
    best = study.best
    page = asked.ask(f"api/studies/0/trials/{best.trial}")
    assert page["status"] == "trained to the top"
    assert page["metrics"] == best.metrics
    assert {each["name"]: each["value"] for each in page["configuration"]} == best.config
    assert all(each["value"] == each["best_value"] for each in page["configuration"])
    line, _ = page["curves"]["score"]["series"]
    assert (line["name"], line["x"]) == (f"trial {best.trial}", [*range(1, 9), None])
    assert page["log"] == study.log(best.trial)
    assert f"trial {best.trial} trains" in page["log"]
    assert page["log_is_cut"] is False
    assert page["history"][0]["text"].startswith("started")
    assert any(step["text"].startswith("trained to 8 by worker") for step in page["history"])
    times = [step["time"] for step in page["history"]]
    assert times == sorted(times)
    resources = {
        int(path.name.partition(".")[2])
        for path in (study.directory / "checkpoints").glob(f"{best.trial}.*")
    }
    assert {each["resource"] for each in page["checkpoints"]} == resources != set()
    failed = asked.ask("api/studies/0/trials/7")
    assert (failed["status"], failed["reason"]) == ("failed", "ValueError: seven")
    assert "ValueError: seven" in failed["traceback"]
    assert failed["curves"] == {}
    other = next(trial.number for trial in study.trials if trial.number not in (7, best.trial))
    compared, *_ = asked.ask(f"api/studies/0/trials/{other}")["curves"]["score"]["series"]
    assert (compared["name"], compared["y"]) == (f"the best: trial {best.trial}", line["y"])


BAD = [
    "slices?name=nothing",
    "slices?x=1",
    "contour",
    "contour?x=x",
    "contour?x=x&y=x",
    "contour?x=x&y=nothing",
    "parallel?count=1",
    "importance?x=1",
    "audit?x=1",
    "whatif?workers=x",
    "whatif?reduction_factor=x",
    "whatif?deadline=soon",
    "section",
    "section?name=cost&x=1",
    "section?name=weather",
    "whatif?scheduler=os:system",
]


@pytest.mark.parametrize("question", BAD)
def test_a_request_with_wrong_parameters_is_refused_in_one_line(
    asked: Client, question: str
) -> None:
    answer = asked.get(f"api/studies/0/{question}")
    assert answer.status == 400, answer.text
    assert answer.text.count("\n") == 1


@pytest.mark.parametrize(
    "name", [name for name in OF_THE_PAGE if name not in ("audit", "whatif", "report")]
)
def test_requests_about_a_study_without_results_are_answered_in_one_line(
    tmp_path: Path, name: str
) -> None:
    def fail(trial: Any) -> None:
        raise ValueError("never")

    with pytest.raises(ashtune.NoResultError):
        tuned(tmp_path, fail, trials=4)
    with served(tmp_path / "study") as client:
        with client.watch() as viewer:
            viewer.until(lambda parts: parts["head"]["failed"] == 4)
        answer = client.get(f"api/studies/0/{name}" + ("?x=x&y=x" if name == "contour" else ""))
    assert (answer.status, answer.json) == (200, {"error": "no trial has a result yet"})


def test_equal_requests_to_the_page_server_are_calculated_once(
    study: ashtune.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions, worked_out = Questions(), []
    work_out = AnswerProcess._work_out

    def counted(process: AnswerProcess, key: bytes, question: Question) -> PageAnswer:
        worked_out.append(question)
        return work_out(process, key, question)

    monkeypatch.setattr(AnswerProcess, "_work_out", counted)
    question = Question(
        str(study.directory), (study.directory / "journal.jsonl").stat().st_size, "audit", {}
    )
    answers: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: answers.append(questions.ask(question).json))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    questions.close()
    assert len(worked_out) == 1
    assert len(set(answers)) == 1
    assert answers[0]


def test_a_slow_prediction_does_not_delay_other_answers(study: ashtune.Study) -> None:
    questions = Questions()
    position = (study.directory / "journal.jsonl").stat().st_size

    def ask(name: str, **given: list[str]) -> bytes:
        return questions.ask(Question(str(study.directory), position, name, given)).json

    assert ask("whatif", workers=["2"])
    process = questions._what_if._child._child
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    answers: list[bytes] = []
    thread = threading.Thread(target=lambda: answers.append(ask("whatif", workers=["3"])))
    thread.start()
    assert ask("audit")
    assert ask("parallel")
    assert not answers
    os.kill(process.pid, signal.SIGCONT)
    thread.join()
    questions.close()
    assert answers[0]


def test_a_request_whose_answer_takes_too_long_is_refused(study: ashtune.Study) -> None:
    answering = AnswerProcess(seconds=0.0)
    refusal = answering.ask(Question(str(study.directory), 1, "importance", {})).refusal
    assert "did not finish within 0 s" in refusal
    answering.close()


def test_a_request_about_an_unreadable_study_is_refused_in_one_line(tmp_path: Path) -> None:
    answering = AnswerProcess()
    answer = answering.ask(Question(str(tmp_path), 1, "audit", {}))
    assert (answer.json, answer.is_bad) == (b"", False)
    assert "No such file or directory" in answer.refusal
    answering.close()


def test_a_saved_page_contains_a_limited_number_of_answers(
    finished_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, most in {"MOST_PREDICTED": 0, "MOST_TRIALS": 2, "MOST_BYTES": 40_000}.items():
        monkeypatch.setattr(saved, name, most)
    (tmp_path / "page.html").write_text(saved.page_of(finished_study))
    paths = [
        path.removeprefix("api/studies/0/")
        for path in saved_data(tmp_path / "page.html")["answers"]
    ]
    asked = [name for name in OF_THE_PAGE if name != "whatif"]
    assert paths[:2] == ["api/studies", "events"]
    assert paths[2 : 3 + len(asked)] == [*asked, "trials"]
    best = ashtune.Study.load(finished_study).best.trial
    assert paths[3 + len(asked)] == f"trials/{best}", (
        "the page of the best trial, wherever its row is"
    )
    assert len(paths[4 + len(asked) :]) <= 3, "those of the first two, and of the first that failed"


def test_an_error_in_the_audit_hides_only_the_audit_section(
    finished_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(audit: Audit, event: object) -> None:
        raise ZeroDivisionError("a fault of the audit")

    monkeypatch.setattr(saved, "MOST_PREDICTED", 0)
    monkeypatch.setattr(Audit, "event", fails)
    (tmp_path / "page.html").write_text(saved.page_of(finished_study))
    refused = {
        path.rpartition("/")[2]: answer["error"]
        for path, answer in saved_data(tmp_path / "page.html")["answers"].items()
        if "error" in answer
    }
    assert "a fault of the audit" in refused.pop("audit")
    assert set(refused) <= {"front", "contour"}, "a study of one objective and one hyperparameter"


def test_a_saved_page_reads_the_journal_once_for_all_answers(
    finished_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []

    class Counting(JournalReader):
        def read(self) -> Iterator[Batch]:
            for batch in super().read():
                decoded.append(len(batch.events))
                yield batch

    for module in (reading, replay):
        monkeypatch.setattr(module, "JournalReader", Counting)
    (tmp_path / "page.html").write_text(saved.page_of(finished_study))
    assert sum(decoded) == (finished_study / "journal.jsonl").read_bytes().count(b"\n") - 1
    answers = saved_data(tmp_path / "page.html")["answers"]
    with served(finished_study) as client, client.watch() as viewer:
        viewer.until_state("complete")
        for name in ("slices", "parallel", "audit", "whatif", "report"):
            assert client.ask(f"api/studies/0/{name}") == answers[f"api/studies/0/{name}"], name
