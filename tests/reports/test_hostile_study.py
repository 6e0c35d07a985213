"""The pages of a study whose names, values and exceptions are made to break them."""

import html
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ashtune._src.api.study import Study
from ashtune._src.cli.main import main
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    SessionStarted,
    TrialStarted,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import Goal
from ashtune._src.core.ladder import Ladder
from ashtune._src.space.space import Space
from ashtune._src.study.journal import NAME
from ashtune._src.study.journal_writer import Journal, create
from ashtune._src.study.settings import Settings
from ashtune.testing.sections import HOSTILE, Parts, strings_of
from tests.helpers.chromium import CHROMIUM, Visit
from tests.helpers.made_up import MadeUpStudy

GOAL = Goal(HOSTILE, "max")
SPACE = {"x": ["plain", HOSTILE], "y": (0.0, 1.0)}
LADDER = Ladder(1, 4, 2)
EXPECTED_SCRIPTS = 3


def hostile(event: Event) -> Event:  # noqa: PLR0911 - one for each kind of event
    """Return the event with hostile text wherever there is text."""

    def renamed(metrics: dict[str, Any]) -> dict[str, Any]:
        return {HOSTILE: metrics["accuracy"], f"{HOSTILE}2": 0.5}

    match event:
        case SessionStarted():
            return msgspec.structs.replace(event, host=HOSTILE, version=HOSTILE, facts={HOSTILE: HOSTILE})
        case WorkerJoined():
            return msgspec.structs.replace(event, host=HOSTILE)
        case TrialStarted(trial=trial):
            chance = trial * 0.618 % 1
            return msgspec.structs.replace(event, configuration={"x": ["plain", HOSTILE][trial % 2], "y": chance})
        case JobFinished():
            curve = [(at, renamed(metrics)) for at, metrics in event.curve]
            return msgspec.structs.replace(event, metrics=renamed(event.metrics), curve=curve)
        case JobFailed():
            return msgspec.structs.replace(event, reason=HOSTILE, traceback=HOSTILE)
        case WorkerLost():
            return msgspec.structs.replace(event, reason=HOSTILE, last_words=HOSTILE)
        case _:
            return event


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("hostile")
    directory = folder / "study"
    directory.mkdir()
    rungs, kept = LADDER.to_record()
    settings = Settings(
        ashtune=HOSTILE, created=0, name=HOSTILE, goal=GOAL, scheduler={"kind": "ash"}, rungs=rungs, kept=kept,
        space=dict(Space.parse(SPACE).to_record()), search={"kind": "random"}, seed=0,
    )  # fmt: skip
    create(directory / NAME, settings)
    with Journal(directory / NAME) as journal:
        for kind, what in MadeUpStudy(LADDER, 60, 3, seed=3, trouble=0.3):
            if kind == "event":
                journal.add(hostile(what))  # type: ignore[arg-type]  # the kind says that it is an event
    Study.load(directory).report_html(folder / "report.html")
    asked = ("--workers", "1,2", "--draws", "0", "--html", str(folder / "whatif.html"))
    assert main(["whatif", str(directory), *asked]) == 0
    return {"report": folder / "report.html", "whatif": folder / "whatif.html"}


@pytest.mark.parametrize("name", ["report", "whatif"])
def test_nothing_hostile_becomes_markup_or_turns_the_text(pages: dict[str, Path], name: str) -> None:
    page = pages[name].read_text()
    ours = re.sub(r"<script>.*?</script>", "<script></script>", page, flags=re.DOTALL)  # plotly's, and the page's own
    parts = Parts(ours)
    assert parts.tags.count("script") == EXPECTED_SCRIPTS
    assert "img" not in parts.tags
    assert not parts.handlers
    assert "document.pwned" in "".join(parts.texts), "it is there, as text"
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", ours)


@pytest.mark.parametrize("name", ["report", "whatif"])
def test_in_the_figures_nothing_hostile_is_markup_or_invisible(pages: dict[str, Path], name: str) -> None:
    (data,) = re.findall(r'id="figures">(.*?)</script>', pages[name].read_text(), re.DOTALL)
    strings = list(strings_of(json.loads(data)))
    assert strings
    for text in strings:
        assert not re.search("<(script|img|b>\u202e)", text), text
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", text), text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
@pytest.mark.parametrize("name", ["report", "whatif"])
@pytest.mark.thorough
def test_a_browser_runs_nothing_hostile(pages: dict[str, Path], name: str, tmp_path: Path) -> None:
    ask = (
        "document.title = [document.pwned, document.scripts.length, document.querySelectorAll('img').length,"
        "document.querySelectorAll('.figure .main-svg').length > 0].join();"
    )
    visit = Visit(pages[name], tmp_path, script=ask)
    assert visit.complaints == []
    title = html.unescape(re.findall("<title>(.*?)</title>", visit.dom)[0])
    assert title == f",{EXPECTED_SCRIPTS + 1},0,true", "the fourth script is this test's question"
