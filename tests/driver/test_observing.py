"""Observers of users: told everything in their own thread, and never a
burden for the study.
"""

import csv
import importlib.metadata
import math
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.errors import SettingsError, StudyError
from ashtune._src.core.events import (
    Event,
    JobFinished,
    Progress,
    SessionStarted,
    StopRequested,
    TrialStarted,
    WorkerLost,
)
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import ObservedStudy, Observer, Observers, Told
from ashtune._src.core.orders import Order, Train
from ashtune._src.driver import observing, services
from ashtune._src.driver.observing import ObserverThread, history_of
from ashtune._src.reports import csv_log
from ashtune._src.study.disk import DISK
from ashtune._src.study.journal import NAME, JournalReader, read_events
from ashtune.observers import CsvLog

STUDY = ObservedStudy(
    name="s", directory="/nowhere", created=0.0, goal=Goal("loss", "min"), ladder=Ladder(1, 4)
)
SPACE = {"x": (0.0, 1.0), "kind": ["plain", "fan\ncy"]}
SECONDS = 60.0


def train(trial: Any) -> None:
    for epoch in trial.epochs():
        trial.report(loss=trial["x"] / epoch)


def tuned(directory: Path, *observers: Observer, **more: Any) -> ashtune.Study:
    settings: dict[str, Any] = {
        "trials": 8,
        "min_resource": 1,
        "max_resource": 4,
        "reduction_factor": 2,
        "workers": 2,
        "quiet": True,
        "engine": "threads",
    } | more
    return ashtune.tune(
        train,
        SPACE,
        metric="loss",
        mode="min",
        directory=directory,
        observers=observers,
        **settings,
    )


def no_history(begin: int, end: int) -> list[Any]:
    raise AssertionError("nobody asked for it")


class Everything(Observer):
    """Keeps all it is told, and from which position on it wanted to be told."""

    def __init__(self, wanted: int | None = None) -> None:
        self.wanted = wanted
        self.positions: list[int] = []
        self.events: list[Event] = []
        self.steps: list[Event | Order] = []
        self.threads: set[str] = set()
        self.ended = 0

    def begin(self, study: ObservedStudy, position: int) -> int | None:
        self.study = study
        self.positions.append(position)
        return self.wanted

    def event(self, event: Event) -> None:
        self.threads.add(threading.current_thread().name)
        self.events.append(event)
        self.steps.append(event)

    def followed(self, what: Order) -> None:
        self.steps.append(what)

    def end(self) -> None:
        self.ended += 1


class Slow(Everything):
    """Hangs at its first event until it is let go."""

    def __init__(self, wanted: int | None = None) -> None:
        super().__init__(wanted)
        self.go = threading.Event()
        self.is_waiting = threading.Event()

    def event(self, event: Event) -> None:
        self.is_waiting.set()
        self.go.wait()
        super().event(event)


class Raises(Everything):
    """Raises at its third event."""

    def event(self, event: Event) -> None:
        super().event(event)
        if len(self.events) == 3:
            raise OSError(28, "No space\x1b[31m left\non device")


def journal_of(directory: Path) -> list[Event]:
    return list(read_events(directory / NAME))


def test_an_observer_receives_all_events_in_order_in_its_thread(tmp_path: Path) -> None:
    observer = Everything()
    study = tuned(tmp_path / "s", observer)
    assert observer.events == journal_of(tmp_path / "s")
    assert {step.trial for step in observer.steps if isinstance(step, Train)} == set(range(8))
    assert observer.threads == {"ashtune-observer-Everything"}
    assert observer.ended == 1
    assert observer.study == ObservedStudy(
        name="train",
        directory=str((tmp_path / "s").resolve()),
        created=StudyReader(study.directory).settings.created,
        goal=Goal("loss", "min"),
        ladder=Ladder(1, 4),
        hyperparameters=("x", "kind"),
        search="gp",
        seed=StudyReader(study.directory).settings.seed,
    )


def test_an_observer_receives_the_same_events_live_and_from_the_journal(tmp_path: Path) -> None:
    live, read = Everything(), Everything()
    study = tuned(tmp_path / "s", live)
    StudyReader(study.directory).tell([read])
    assert live.steps == read.steps


def test_a_second_session_starts_observers_at_the_positions_that_they_request(
    tmp_path: Path,
) -> None:
    first = Everything()
    tuned(tmp_path / "s", first, stop=ashtune.Stop(total_resource=6))
    size = (tmp_path / "s" / NAME).stat().st_size
    new, whole, late = Everything(), Everything(0), Everything(size)
    tuned(tmp_path / "s", new, whole, late, stop=ashtune.Stop(total_resource=1000))
    assert new.positions == whole.positions == late.positions == [size]
    assert first.positions == [journal_line_end(tmp_path / "s")]
    assert isinstance(new.events[0], SessionStarted)
    assert first.events + new.events == whole.events == journal_of(tmp_path / "s")
    assert late.steps == new.steps


def journal_line_end(directory: Path) -> int:
    return len((directory / NAME).read_bytes().split(b"\n", 1)[0]) + 1


def test_an_observer_receives_the_history_from_the_position_that_it_requests(
    finished_study: Path,
) -> None:
    path = finished_study / NAME
    lines = [
        (event, position)
        for batch in JournalReader(path).read()
        for event, position in zip(*batch, strict=True)
    ]
    assert len(lines) > 6
    told = list(history_of(path, DISK)(lines[3][1], lines[6][1]))
    assert told[:3] == [None] * 3
    assert [each[0] for each in told[3:] if each is not None] == [event for event, _ in lines[3:6]]


def test_an_observer_can_request_a_replay_of_a_complete_study(tmp_path: Path) -> None:
    tuned(tmp_path / "s")
    whole, new = Everything(0), Everything()
    tuned(tmp_path / "s", whole, new)
    assert whole.events == journal_of(tmp_path / "s")
    assert (new.events, new.ended) == ([], 1)


def test_a_slow_observer_does_not_delay_a_study_and_is_dropped(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observing, "FINISH_SECONDS", 0.3)
    slow, quick = Slow(), Everything()

    def when_the_quick_one_has_ended(threads: Sequence[ObserverThread], *arguments: Any) -> None:
        assert slow.is_waiting.wait(SECONDS)
        threads[1].end()
        threads[1].wait()
        observing.finish_all(threads, *arguments)

    monkeypatch.setattr(services, "finish_all", when_the_quick_one_has_ended)
    study = tuned(tmp_path / "s", slow, quick)
    assert study.best.resource == 4
    assert quick.events == journal_of(tmp_path / "s")
    assert slow.events == []
    assert capfd.readouterr().err == (
        "observer Slow gets no more events: it has not ended within 0.3 s; the study continues "
        "without it\n"
    )
    slow.go.set()


def test_an_observer_that_raises_is_dropped(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    raises, other = Raises(), Everything()
    study = tuned(tmp_path / "s", raises, other)
    assert study.best.resource == 4
    assert (len(raises.events), raises.ended) == (3, 0)
    assert other.events == journal_of(tmp_path / "s")
    assert capfd.readouterr().err == (
        "observer Raises gets no more events: OSError: [Errno 28] No space\\x1b[31m left on "
        "device; the study continues without it\n"
    )


def test_an_observer_with_too_many_waiting_events_is_dropped(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observing, "MOST_WAITING", 10)
    slow = Slow()
    thread = ObserverThread(slow, no_history)
    thread.begin(STUDY, 0)
    for number in range(11):
        thread.batch([(StopRequested(float(number), "enough"), ())])
    thread.tick(1.0)
    slow.go.set()
    thread.end()
    thread.finish(observing.AwakeClock(time.monotonic(), SECONDS))
    assert (
        capfd.readouterr().err
        == "observer Slow gets no more events: it is 11 events behind; the study continues without "
        "it\n"
    )
    assert slow.events == []


EVENTS = [StopRequested(float(number), "enough") for number in range(12)]


class Steps:
    """A clock that continues by a second whenever it is looked at: each step of the past takes 40,
    all of it 480.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.goes_on, self.is_told = threading.Semaphore(0), threading.Semaphore(0)

    def monotonic(self) -> float:
        self.now += 1.0
        if self.now % 40 == 0 and self.now <= 40 * len(EVENTS):
            self.goes_on.release()
            assert self.is_told.acquire(timeout=SECONDS)
        return self.now

    def history(self, begin: int, end: int) -> Iterator[Told]:
        for event in EVENTS:
            assert self.goes_on.acquire(timeout=SECONDS)
            yield event, ()
            self.is_told.release()


def test_an_observer_receives_a_long_history_before_the_study_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Steps()
    monkeypatch.setattr(observing, "time", clock)
    monkeypatch.setattr(observing, "FINISH_SECONDS", SECONDS)
    monkeypatch.setattr(observing, "BEGIN_SECONDS", math.inf)
    monkeypatch.setattr(observing, "POLL_SECONDS", 0.0)
    whole = Everything(0)
    observing.finish_all(observing.start_all([whole], STUDY, 1, clock.history), lambda: False)
    assert (whole.events, whole.ended) == (EVENTS, 1)


class Suspended:
    """A clock of a process that was suspended for an hour between any two looks, until it has been
    looked at often.
    """

    def __init__(self, goes_on: threading.Event) -> None:
        self.looks = 0
        self.goes_on = goes_on

    def monotonic(self) -> float:
        self.looks += 1
        if self.looks == 8:
            self.goes_on.set()
        return 3600.0 * min(self.looks, 8)


@pytest.mark.parametrize("where", ["begin", "event", "end"])
def test_no_observer_is_dropped_because_the_process_was_suspended(
    where: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    hangs, goes_on, ended = threading.Event(), threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        hangs.set()
        assert goes_on.wait(SECONDS)

    methods = {"begin": lambda *_: 0, "end": lambda _: ended.set()}
    if where == "end":
        methods["end"] = lambda _: (hang(), ended.set())
    else:
        methods[where] = hang
    [thread] = observing.start_all(
        [type("Hangs", (Observer,), methods)()], STUDY, 1, lambda *_: [(EVENTS[0], ())]
    )
    thread.end()
    assert hangs.wait(SECONDS)
    monkeypatch.setattr(observing, "time", Suspended(goes_on))
    observing.finish_all([thread])
    assert ended.is_set()
    assert capfd.readouterr().err == ""


def test_an_observer_thread_skips_a_long_history_if_asked_to_hurry(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observing, "FINISH_SECONDS", 0.3)
    goes_on = threading.Event()

    def long_history(begin: int, end: int) -> Iterator[Told]:
        for event in EVENTS:
            yield event, ()
            assert goes_on.wait(SECONDS)

    whole = Everything(0)
    [thread] = observing.start_all([whole], STUDY, 1, long_history)
    observing.finish_all([thread], lambda: True)
    goes_on.set()
    thread.wait()
    assert (whole.events != EVENTS, whole.ended) == (True, 0)
    assert capfd.readouterr().err == (
        "observer Everything gets no more events: it has not ended within 0.3 s; the study "
        "continues without it\n"
    )


def test_a_hanging_observer_is_dropped(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observing, "FINISH_SECONDS", 0.3)
    slow = Slow(0)
    [thread] = observing.start_all(
        [slow], STUDY, 1, lambda begin, end: [(event, ()) for event in EVENTS]
    )
    assert slow.is_waiting.wait(SECONDS)
    observing.finish_all([thread], lambda: False)
    assert capfd.readouterr().err == (
        "observer Slow gets no more events: it has read no past event for 0.3 s; the study "
        "continues without it\n"
    )
    slow.go.set()
    thread.wait()
    assert (slow.events, slow.ended) == (EVENTS[:1], 0)


@pytest.mark.parametrize("where", ["begin", "event", "end"])
def test_a_hanging_observer_does_not_block_a_complete_study(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tuned(tmp_path / "s")
    monkeypatch.setattr(services, "FINISH_SECONDS_COMPLETE", 0.3)
    monkeypatch.setattr(observing, "BEGIN_SECONDS", 0.3)
    go, hangs = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        hangs.set()
        go.wait()

    def when_it_hangs(threads: Sequence[ObserverThread], limit: float) -> None:
        threads[0].end()
        assert hangs.wait(SECONDS)
        observing.finish_all(threads, limit=limit)

    monkeypatch.setattr(services, "finish_all", when_it_hangs)
    methods = {"begin": lambda *_: 0} | {where: hang}
    assert tuned(tmp_path / "s", type("Hangs", (Observer,), methods)()).best.resource == 4
    reasons = {
        "begin": "begun within",
        "event": "read no past event for",
        "end": "ended within",
    }
    reason = f"it has {'' if where == 'event' else 'not '}{reasons[where]}"
    assert (
        capfd.readouterr().err
        == f"observer Hangs gets no more events: {reason} 0.3 s; the study continues without it\n"
    )
    go.set()


def test_a_hanging_observer_is_never_called_from_two_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(observing, "FINISH_SECONDS", 0.3)
    slow = Slow()
    [first] = observing.start_all([slow], STUDY, 1, no_history)
    first.batch([(EVENTS[0], ())])
    first.tick(0.0)
    assert slow.is_waiting.wait(SECONDS)
    observing.finish_all([first], lambda: False)
    assert observing.check_observers([slow]) == (slow,)
    [second] = observing.start_all([slow], STUDY, 2, no_history)
    second._thread.join(0.3)
    assert slow.positions == [1]
    second.batch([(EVENTS[1], ())])
    slow.go.set()
    observing.finish_all([second], limit=SECONDS)
    assert (slow.positions, slow.events, slow.ended) == ([1, 2], EVENTS[:2], 1)


def test_an_observer_instance_serves_only_one_open_study(tmp_path: Path) -> None:
    given = Everything()
    with own_loop(tmp_path / "s", given) as first:
        for call in (own_loop, tuned):
            with pytest.raises(SettingsError):
                call(tmp_path / "t", given)
        assert not (tmp_path / "t").exists()
        trial = first.ask()
        assert trial is not None
        first.tell(trial, loss=1.0)
    assert given.events == journal_of(tmp_path / "s")
    with own_loop(tmp_path / "t", given):
        pass
    assert given.ended == 2


def own_loop(directory: Path, *observers: Observer) -> ashtune.OpenStudy:
    return ashtune.open_study(
        SPACE,
        metric="loss",
        mode="min",
        directory=directory,
        observers=observers,
        trials=2,
        max_resource=1,
        quiet=True,
    )


TWICE = CsvLog()


@pytest.mark.parametrize("given", [CsvLog, [CsvLog], ["none"], "csv", 3, [TWICE, TWICE]])
def test_an_invalid_observer_is_refused_before_anything_is_written(
    tmp_path: Path, given: Any
) -> None:
    with pytest.raises(SettingsError):
        ashtune.tune(
            train,
            SPACE,
            metric="loss",
            mode="min",
            trials=2,
            max_resource=2,
            directory=tmp_path / "s",
            observers=given,
        )
    assert not (tmp_path / "s").exists()


def test_only_observers_that_override_a_method_are_called() -> None:
    calls: list[str] = []

    def named(name: str) -> Observer:
        class Named(Observer):
            def tick(self, now: float) -> None:
                calls.append(f"{name} {now}")

        return Named()

    both = Observers([named("a"), Observer(), named("b")])
    both.tick(1.0)
    both.tell([(StopRequested(0.0, "enough"), [])])
    assert calls == ["a 1.0", "b 1.0"]


def test_an_observer_can_opt_out_of_events_about_confirming_trials() -> None:
    class OfTheSearch(Everything):
        sees_confirmations = False

        def progress(self, progress: Progress) -> None:
            self.steps.append(progress)

    class OfAll(OfTheSearch):
        sees_confirmations = True

    def train_trial(trial: int, confirms: int | None = None) -> Train:
        of = None if confirms is None else TrialId(confirms)
        return Train(WorkerId(1), TrialId(trial), 0, 0, 1, confirms=of)

    def finished(trial: int) -> JobFinished:
        return JobFinished(
            3.0, trial=trial, rung=0, worker=1, metrics={"loss": 0.5}, resource=1, start=0,
            seconds=1.0,
        )  # fmt: skip

    lost = WorkerLost(4.0, worker=1, reason="killed", trial=9, rung=2)
    before: Told = (finished(0), [train_trial(1)])
    told: list[Told] = [
        (TrialStarted(1.0, 9, {"x": 0.5}, confirms=0), [train_trial(9, 0), train_trial(2)]),
        (finished(2), [train_trial(9, 0)]),
        (finished(9), [train_trial(3)]),
        (lost, [train_trial(9, 0)]),
        (finished(3), [train_trial(4)]),
    ]
    reports = [Progress(WorkerId(1), TrialId(trial), 1, {"loss": 0.5}) for trial in (9, 3)]
    of_the_search, of_all = OfTheSearch(), OfAll()
    observers = Observers([of_the_search, of_all])
    observers.tell([before])
    observers.tell(told)
    for report in reports:
        observers.progress(report)
    assert of_all.steps == [
        *(step for event, followed in [before, *told] for step in (event, *followed)),
        *reports,
    ]
    assert of_the_search.steps == [
        finished(0), train_trial(1), train_trial(2), finished(2), train_trial(3),
        WorkerLost(4.0, worker=1, reason="killed", trial=None, rung=0),
        finished(3), train_trial(4), reports[1],
    ]  # fmt: skip


class Entry:
    """An entry point of an installed package."""

    name = "everything"
    value = f"{__name__}:Everything"

    def __init__(self, target: object) -> None:
        self.load = lambda: target


def test_an_observer_may_be_named_by_an_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Everything] = []

    def make() -> Everything:
        made.append(Everything())
        return made[-1]

    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda group: [Entry(make)] if group == "ashtune.observers" else [],
    )
    tuned(tmp_path / "s", "everything", "csv")  # type: ignore[arg-type]
    assert made[0].events == journal_of(tmp_path / "s")
    assert_holds_every_result_once(tmp_path / "s")
    with pytest.raises(SettingsError):
        tuned(tmp_path / "t", "other")  # type: ignore[arg-type]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [Entry(lambda: 1 // 0)])
    with pytest.raises(SettingsError):
        tuned(tmp_path / "t", "everything")  # type: ignore[arg-type]


# -- CsvLog --


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def results_of(directory: Path) -> dict[tuple[int, int], JobFinished]:
    events = journal_of(directory)
    return {(event.trial, event.rung): event for event in events if isinstance(event, JobFinished)}


def assert_holds_every_result_once(directory: Path, path: Path | None = None) -> None:
    results, rows = results_of(directory), rows_of(path or directory / "results.csv")
    configurations = {
        e.trial: e.configuration for e in journal_of(directory) if isinstance(e, TrialStarted)
    }
    assert len(rows) == len(results)
    for row in rows:
        event = results.pop((int(row["trial"]), int(row["rung"])))
        assert (int(row["resource"]), float(row["seconds"])) == (event.resource, event.seconds)
        assert float(row["loss"]) == event.metrics["loss"]
        assert float(row["x"]) == configurations[event.trial]["x"]
        assert row["kind"] == configurations[event.trial]["kind"].replace("\n", "\\n")


def test_the_csv_table_has_one_row_for_each_result_after_two_sessions(tmp_path: Path) -> None:
    tuned(tmp_path / "s", CsvLog(), stop=ashtune.Stop(total_resource=6))
    assert_holds_every_result_once(tmp_path / "s")
    first = (tmp_path / "s" / "results.csv").read_bytes()
    tuned(tmp_path / "s", CsvLog(), stop=ashtune.Stop(total_resource=1000))
    assert_holds_every_result_once(tmp_path / "s")
    assert (tmp_path / "s" / "results.csv").read_bytes().startswith(first)


def test_a_csv_table_that_lacks_earlier_results_is_completed(tmp_path: Path) -> None:
    tuned(tmp_path / "s", stop=ashtune.Stop(total_resource=6))
    tuned(tmp_path / "s", CsvLog(tmp_path / "t.csv"), stop=ashtune.Stop(total_resource=12))
    assert_holds_every_result_once(tmp_path / "s", tmp_path / "t.csv")
    whole = (tmp_path / "t.csv").read_bytes()
    for size in range(0, len(whole), 7):
        (tmp_path / "t.csv").write_bytes(whole[:size])
        ashtune.Study.load(tmp_path / "s").resume(
            observers=[CsvLog(tmp_path / "t.csv")], quiet=True, workers=1, engine="threads"
        )
        assert_holds_every_result_once(tmp_path / "s", tmp_path / "t.csv")
        if (tmp_path / "t.csv").read_bytes() != whole:
            whole = (
                tmp_path / "t.csv"
            ).read_bytes()  # the first call continued with the study, too


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"my notes", b"\xff\n"])
def test_a_csv_table_of_other_data_is_refused_and_not_changed(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(StudyError):
        CsvLog(path).begin(STUDY, 0)
    assert path.read_bytes() == content


def test_a_table_of_another_study_is_refused_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "t.csv"
    tuned(tmp_path / "s", CsvLog(table))
    before = table.read_bytes()
    tuned(tmp_path / "t", CsvLog(table))
    assert table.read_bytes() == before
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("observer CsvLog gets no more events: StudyError: ")
    assert line.endswith(
        "t.csv holds the results of another study; give CsvLog another file; the study "
        "continues without it"
    )


def test_a_csv_table_receives_a_long_history_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_log, "MOST_ROWS", 3)
    log = CsvLog(tmp_path / "t.csv")
    log.begin(STUDY, 0)
    counts = []
    for trial in range(7):
        log.event(
            JobFinished(
                1.0, worker=0, trial=trial, rung=0, resource=1, metrics={"loss": 1.0}, seconds=2.0
            )  # type: ignore[arg-type]
        )
        counts.append(len(rows_of(tmp_path / "t.csv")) if (tmp_path / "t.csv").exists() else 0)
    assert counts == [0, 0, 3, 3, 3, 6, 6]


def test_csv_column_names_that_are_already_in_use_get_a_prefix(tmp_path: Path) -> None:
    log = CsvLog(tmp_path / "t.csv")
    study = ObservedStudy(
        name="", directory="", created=5.5, goal=Goal("loss", "min"), ladder=Ladder(1, 2),
        hyperparameters=("rung",),
        search="grid",
    )  # fmt: skip
    log.begin(study, 0)

    def result(trial: int, **metrics: float) -> JobFinished:
        return JobFinished(
            1.0, worker=0, trial=trial, rung=0, resource=1, metrics=metrics, seconds=2.0
        )  # type: ignore[arg-type]

    log.event(TrialStarted(0.0, 0, {"rung": 7}, "enqueued"))  # type: ignore[arg-type]
    log.event(result(0, loss=1.0))
    log.tick(0.0)
    log.event(result(1, loss=2.0, time=3.0))
    log.end()
    assert rows_of(tmp_path / "t.csv") == [
        {"trial": "0", "rung": "0", "resource": "1", "time": "1.0", "seconds": "2.0",
        "study": "5.5",
         "origin": "enqueued", "config.rung": "7", "loss": "1.0", "metric.time": ""},
        {"trial": "1", "rung": "0", "resource": "1", "time": "1.0", "seconds": "2.0",
        "study": "5.5",
         "origin": "grid", "config.rung": "", "loss": "2.0", "metric.time": "3.0"},
    ]  # fmt: skip
