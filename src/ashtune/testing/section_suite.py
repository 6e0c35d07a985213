"""A suite of checks for report sections. A section must show any study, and must not show a study's
texts as markup.

    def test_my_section():
        check_section(MySection)

The suite shows studies with all kinds of events, without events, or with failures only. Some
studies of the suite are simulated, stopped early, or have only one rung. Some studies have an
unknown scheduler, or texts that look like markup.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from ashtune._src.analysis.study_reader import Outcome, StudyReader
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.confirm import Confirm
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    SessionStarted,
    TrialStarted,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import Constraint, Goal, Objective, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import ObservedStudy, Observer
from ashtune._src.core.orders import Train
from ashtune._src.reports.terminal.text import as_text
from ashtune._src.reports.view import ANALYSES, Section
from ashtune._src.schedulers.scheduler_registry import SchedulerView
from ashtune._src.space.space import Space
from ashtune._src.study.controller import Controller
from ashtune._src.study.replay import Replay
from ashtune._src.study.settings import Settings
from ashtune.testing.observer_suite import GOAL, LADDER, History, new_controller

__all__ = ["check_section"]

# Each study is a case that the author of a section easily forgets: no results (so there is no
# minimum), only failures, one rung (no promotions), an unknown scheduler (no orders), several
# objectives (no single best trial), and names with markup. The unit is never "epoch", so that the
# suite finds a section which always writes "epochs".
UNIT = "tree"
WIDE = 10_000
# A study may come from somebody else (decision 10, docs/decisions/0010-reports-are-observers.md).
# The text has rich's markup, a script in HTML, an attribute, quotes, and characters that change the
# direction of text, change a terminal's colour or ring its bell.
HOSTILE = (
    "[b]pwned[/b]</script><script>document.pwned=1</script><img src=x "
    "onerror=document.pwned=2>\"'&<b>\u202e\x1b[31m\x07\u2028"
)
ONE_RUNG = Ladder(4, 4, 2)
SEVERAL = Goal(
    GOAL.metric,
    GOAL.mode,
    others=(Objective(HOSTILE, "max"),),
    constraints=(Constraint("size", "<=", 1.0),),
)
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_MARKUP = re.compile(r"(?<!\[b\])(?<!document\.)pwned")


class MadeUpStudy(msgspec.Struct, frozen=True, kw_only=True):
    """A made-up study for a report. If the study's scheduler is installed, ``is_known`` is True,
    and orders exist.
    """

    name: str
    events: list[Event]
    ladder: Ladder = LADDER
    goal: Goal = GOAL
    is_known: bool = True
    is_simulated: bool = False
    outcome: Outcome = Outcome()


def studies() -> list[MadeUpStudy]:
    """Return the made-up studies that each section must show."""
    whole = _events(History(0, confirm=Confirm(2, 1)))
    stopped = Outcome(is_complete=False, stopped="Ctrl-C received")
    return [
        MadeUpStudy(name="nothing", events=[], outcome=Outcome(is_complete=False)),
        MadeUpStudy(name="whole", events=whole),
        MadeUpStudy(name="cut-off", events=whole[: len(whole) // 2], outcome=stopped),
        MadeUpStudy(name="failures", events=_events(_Failures(1, trials=12))),
        MadeUpStudy(name="confirmed", events=_events(History(4, confirm=Confirm(3, 2)))),
        MadeUpStudy(name="simulated", events=_events(History(2)), is_simulated=True),
        MadeUpStudy(name="unknown-scheduler", events=whole, is_known=False, outcome=stopped),
        MadeUpStudy(
            name="proposals", events=[_proposed(event) for event in _events(History(4, trials=60))]
        ),
        MadeUpStudy(
            name="several-objectives",
            events=list(map(_of_several, whole)),
            goal=SEVERAL,
            is_known=False,
        ),
        MadeUpStudy(name="one-rung", events=_events(History(3, ladder=ONE_RUNG)), ladder=ONE_RUNG),
        MadeUpStudy(
            name=HOSTILE,
            events=[hostile(event) for event in whole],
            goal=Goal(HOSTILE, GOAL.mode),
            outcome=Outcome(is_complete=False, stopped=HOSTILE, notes=HOSTILE),
        ),
    ]


def check_section(kind: type[Section]) -> None:
    """Give each made-up study to a section, and check the section's output.

    Args:
        kind: The section's class.

    Raises:
        AssertionError: If the output is wrong. The message names the study. An exception of the
            section is not caught.
    """
    assert re.fullmatch("[a-z][a-z0-9-]*", kind.name), (
        "a name may have only small letters, digits and hyphens"
    )
    assert kind.title, "a section has a title"
    shown = False
    for case in studies():
        with TemporaryDirectory() as directory:
            section = _replayed(kind, case, Path(directory))
            shown |= _check(section, case)
            # A report may be made by another user, on a disk that cannot be written.
            assert not list(Path(directory).iterdir()), (
                f"{case.name}: a section must not write a file into the study"
            )
            if kind.shows_live:
                live = _ReadStudy(case, Path(directory), section.study.tally)
                _check_lines(kind(live), case)
    assert shown, "the section shows nothing of any study"


class _ReadStudy(StudyReader):
    """A reader of a made-up study, which has no journal."""

    def __init__(self, case: MadeUpStudy, directory: Path, tally: Tally | None = None) -> None:
        rungs, kept = case.ladder.to_record()
        space = Space.parse({"x": (0.0, 1.0), "kind": ["plain", "odd", HOSTILE]})
        settings = Settings(
            ashtune="1", created=0.0, name=case.name, goal=case.goal, scheduler={"kind": "ash"},
            rungs=rungs, kept=kept, space=dict(space.to_record()), search={"kind": "random"},
            seed=0, resource=UNIT, simulated=case.is_simulated,
        )  # fmt: skip
        super().__init__(
            directory, settings=settings, ladder=case.ladder, tally=tally, outcome=case.outcome
        )
        self._case = case
        if not case.is_known:
            missing = f"the scheduler {HOSTILE!r} is not installed here"
            self.scheduler = SchedulerView(HOSTILE, missing=missing)

    def configuration(self, trial: TrialId) -> Mapping[str, Any]:
        started = (event for event in self._case.events if isinstance(event, TrialStarted))
        return next(event.configuration for event in started if event.trial == trial)

    def tell(self, observers: Sequence[Observer]) -> Outcome:
        case = self._case
        controller = new_controller(case.ladder, case.goal) if case.is_known else None
        Replay(controller).tell(case.events, observers)
        return case.outcome

    def read(self, observers: Sequence[Observer], controller: Controller | None = None) -> Replay:
        replay = Replay(controller)
        replay.tell(self._case.events, observers)
        return replay


def _replayed(kind: type[Section], case: MadeUpStudy, directory: Path) -> Section:
    """Return a section that received all events of a study, as the only section of a report."""
    study = _ReadStudy(case, directory)
    section = kind(study)
    observed = ObservedStudy(
        name=case.name,
        directory=str(directory),
        created=0.0,
        goal=case.goal,
        ladder=case.ladder,
        hyperparameters=("x", "kind"),
    )
    for observer in section.observers:
        observer.begin(observed, 0)
    study.read_for([Tally, *(ANALYSES[name] for name in kind.uses)], section.observers)
    for observer in section.observers:
        observer.end()
    return section


def _check(section: Section, case: MadeUpStudy) -> bool:
    """Check the output of a section for a study. Return whether the section has any output."""
    blocks = msgspec.to_builtins(list(section.blocks()))
    # The section is asked twice, because a saved page and the terminal ask the same section. A
    # section that uses up an iterator, or changes its data in place, has no output or another
    # output the second time.
    again = msgspec.to_builtins(list(section.blocks()))
    assert blocks == again, f"{case.name}: a second call returns different blocks"
    _check_blocks(blocks, case.name)
    text = _check_lines(section, case)
    value = dict(section.value())
    assert all(isinstance(name, str) for name in value), f"{case.name}: a value has names"
    msgspec.json.encode(value)
    return bool(blocks or text or value)


def _check_blocks(blocks: list[dict[str, Any]], name: str) -> None:
    """Check the texts of blocks. The page escapes the texts of figures, since they are drawn in
    several ways.
    """
    texts = list(strings_of(blocks))
    for text in strings_of([{**block, "figures": {}} for block in blocks]):
        assert not _UNSEEN.search(text), f"{name}: an invisible character is in {text!r}"
    for text in texts:
        assert not _MARKUP.search(text), f"{name}: the markup in a user's text was not escaped"
    _check_unit(" ".join(texts), name)


def _check_lines(section: Section, case: MadeUpStudy) -> str:
    from rich.console import Group
    from rich.text import Text

    def drawn(width: int) -> str:
        lines = [Text(line) if isinstance(line, str) else line for line in section.lines()]
        return as_text(Group(*lines), width) if lines else ""

    text = drawn(WIDE)
    assert text == drawn(WIDE), f"{case.name}: a second call returns different lines"
    assert not _MARKUP.search(text), f"{case.name}: the markup in a user's text was not escaped"
    assert max(map(len, drawn(80).splitlines()), default=0) <= 80, (
        f"{case.name}: a line does not wrap"
    )
    _check_unit(text, case.name)
    return text


def _check_unit(text: str, name: str) -> None:
    place = re.search(r".{,40}\bepochs?\b.{,20}", text)
    assert place is None, f"{name}: the study counts {UNIT}s, not epochs: {place and place[0]!r}"


def _events(history: History) -> list[Event]:
    """Return the events of a study in which each trial has a categorical hyperparameter."""
    return [_with_a_choice(event, "odd") for event, _ in history]


def _with_a_choice(event: Event, odd: str) -> Event:
    if not isinstance(event, TrialStarted):
        return event
    configuration = {"x": event.trial / 100, "kind": ["plain", odd][event.trial % 2]}
    return msgspec.structs.replace(event, configuration=configuration)


def _of_several(event: Event) -> Event:
    """Return an event. If the event is a result, add two metrics."""
    if not isinstance(event, JobFinished):
        return event
    more = {HOSTILE: float(event.trial % 7), "size": float(event.trial % 3)}
    return msgspec.structs.replace(event, metrics={**event.metrics, **more})


def _proposed(event: Event) -> Event:
    """Return an event. If the event starts a trial, add an origin like the origins of a search that
    learns.
    """
    if not isinstance(event, TrialStarted):
        return event
    origins = (
        "gp, 9 results",
        "random",
        "mutation of 0",
        "random, no proposal was ready",
        "enqueued",
    )
    return msgspec.structs.replace(event, origin=origins[event.trial % len(origins)])


class _Failures(History):
    def _result(self, job: Train, seconds: float) -> JobFinished | JobFailed:
        return JobFailed(
            self._now,
            worker=job.worker,
            trial=job.trial,
            rung=job.rung,
            seconds=seconds,
            reason="no",
        )


def hostile(event: Event) -> Event:  # noqa: PLR0911 - one for each kind of event
    """Return an event in which all texts are replaced by a text that looks like markup."""
    replace = msgspec.structs.replace

    def renamed(metrics: dict[str, Any]) -> dict[str, Any]:
        return {HOSTILE: metrics["loss"], f"{HOSTILE}2": 0.5}

    match event:
        case SessionStarted():
            return replace(event, host=HOSTILE, version=HOSTILE, facts={HOSTILE: HOSTILE})
        case WorkerJoined():
            return replace(event, host=HOSTILE)
        case TrialStarted():
            return replace(_with_a_choice(event, HOSTILE), origin=HOSTILE)
        case JobFinished(metrics=metrics, curve=curve):
            return replace(
                event, metrics=renamed(metrics), curve=[(at, renamed(each)) for at, each in curve]
            )
        case JobFailed():
            return replace(event, reason=HOSTILE, traceback=HOSTILE)
        case TrialWithdrawn():
            return replace(event, reason=HOSTILE)
        case WorkerLost():
            return replace(event, reason=HOSTILE, last_words=HOSTILE)
        case _:
            return event


def strings_of(value: Any) -> Iterator[str]:
    """Yield all strings in a JSON value, including the names of fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from strings_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings_of(inner)
