"""Where a real study's time went, with failures: the terminal and the page against a recount of the raw journal."""

import io
import json
import os
import re
from collections import defaultdict
from pathlib import Path

import pytest

import ashtune
from ashtune.analysis.loading import StudyReader
from ashtune.analysis.timeline_times import time_shares
from ashtune.core.numbers import share_text
from ashtune.study.journal import NAME

WORKERS = 2


def train(trial: ashtune.Trial) -> None:
    for epoch in trial.epochs():
        sum(range(200_000))
        if epoch > 1 and 0.6 < trial["x"] < 0.8:
            raise ValueError("x is in between")
        if epoch > 2 and trial["x"] > 0.95:
            os._exit(3)
        trial.report(loss=1 - trial["x"] + 1 / epoch)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ashtune.Study:
    return ashtune.tune(
        train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=60, max_resource=8, workers=WORKERS, seed=1,
        search="random", directory=tmp_path_factory.mktemp("times") / "study", quiet=True,
    )  # fmt: skip


def test_every_second_of_every_worker_is_counted_once(study: ashtune.Study) -> None:
    events = [json.loads(line) for line in (study.directory / NAME).read_bytes().splitlines()[1:]]
    seconds: dict[str, float] = defaultdict(float)
    joined: dict[int, float] = {}
    presence, last = 0.0, 0.0
    for event in events:
        last = max(last, event["time"])
        seconds[event["event"]] += event.get("seconds", 0.0)
        if event["event"] == "worker_joined":
            joined[event["worker"]] = event["time"]
        if event["event"] == "worker_lost":
            presence += event["time"] - joined.pop(event["worker"])
    presence += sum(last - since for since in joined.values())
    timeline = StudyReader(study.directory).timeline
    shares = time_shares(timeline)
    assert seconds["job_failed"] > 0
    assert any(event["event"] == "worker_lost" for event in events)
    assert shares.presence == pytest.approx(presence, abs=1e-6)
    parts = (shares.training, shares.failed, shares.saving, shares.driver, shares.barrier, shares.tail)
    assert sum(parts) + shares.absence == pytest.approx(WORKERS * (last - events[0]["time"]), abs=1e-6)
    assert shares.training == pytest.approx(seconds["job_finished"], abs=1e-3)
    assert shares.failed > seconds["job_failed"], "what was lost with a worker is in no event"
    rungs = study.report_data()["rungs"]
    assert sum(rung["seconds"] for rung in rungs) == pytest.approx(shares.training + shares.failed, abs=1e-6)


def test_terminal_page_and_data_tell_the_same_share_of_training(study: ashtune.Study, tmp_path: Path) -> None:
    data, text = study.report_data(), io.StringIO()
    study.report(text)
    study.report_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    share = share_text(data["utilisation"])
    assert f"workers trained {share} of the time they were there" in " ".join(text.getvalue().split())
    assert f"workers trained {share} of the time they were there" in page
    assert f"<b>{share}</b><span>workers&#x27; time spent training</span>" in page
    assert re.search(r"<td>training that failed</td><td>[^<]+</td><td>[^<]+</td>", page)
    assert "barrier" not in page.split("plotly.js v")[0]
