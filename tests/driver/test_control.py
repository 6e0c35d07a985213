"""Commands to a study that runs: each is an event, resume knows of it, and nobody commands a study
that did not ask.
"""

import json
import os
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ashtune._src.analysis.tally import Tally
from ashtune._src.core.errors import StudyError
from ashtune._src.core.events import (
    ConfigurationEnqueued,
    Event,
    JobFinished,
    JobPaused,
    SessionStarted,
    StopRequested,
    StudyContinued,
    StudyPaused,
    TrialsExtended,
    TrialStarted,
    WorkerJoined,
    WorkerLost,
    WorkersChanged,
)
from ashtune._src.driver import control
from ashtune._src.driver.control import Page, page_of
from ashtune._src.study import commands
from ashtune._src.study.commands import (
    NAME,
    AddTrials,
    ChangeWorkers,
    Command,
    CommandFolder,
    ContinueStudy,
    EnqueueConfiguration,
    PauseStudy,
    StopStudy,
    send,
)
from ashtune._src.study.factory import build_controller
from ashtune._src.study.journal import NAME as JOURNAL
from ashtune._src.study.journal import read_events, read_settings
from ashtune._src.study.replay import Replay
from ashtune._src.study.settings import first_ladder
from tests.helpers.commands import ashtune_process
from tests.helpers.live_page import SlowStudy

SECONDS = 60.0
LOOK_SECONDS = 0.05
X = 0.123456789
LONG = ("--max-resource", "6000")
"""Of a study that ends only once it is told to hurry: the first result would come after 13 s."""


TRAIN = """
    import os, time

    space = {"x": (0.0, 1.0), "kind": ["a", "b"]}

    def train(trial):
        trained = trial.restore() or []
        for epoch in trial.epochs():
            trained.append(epoch)
            assert trained == list(range(1, epoch + 1)), "resumed from the wrong checkpoint"
            time.sleep(0.0 if os.path.exists(HURRY) else 0.02)
            trial.report(score=trial["x"] * epoch)
        trial.save(trained)
"""


class Controlled(SlowStudy):
    """A slow study to which commands can be sent; no trial of it fails, unless it continues from the
    wrong epoch.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._hurry = folder / "hurry"
        (folder / "train.py").write_text(
            textwrap.dedent(TRAIN).replace("HURRY", repr(str(self._hurry)))
        )

    def run(self, *more: str, first: type[Event] = JobFinished) -> None:
        """Begin, and wait until there is an event of a kind: by default until it trains."""
        super().run("--control", *more)
        self.until(lambda events: any(isinstance(event, first) for event in events))

    def send(self, command: Command) -> None:
        """Send a command as the page does, with more patience."""
        send(self.directory, command, seconds=SECONDS)

    def hurry(self) -> None:
        """Have trials train without a rest from now on, so that the study comes to its end."""
        self._hurry.touch()

    def events(self) -> list[Event]:
        """Return what the journal holds."""
        path = self.directory / JOURNAL
        return list(read_events(path)) if path.exists() else []

    def until(self, is_so: Callable[[list[Event]], bool]) -> list[Event]:
        """Wait until something is so of the events, and return them."""
        end = time.monotonic() + SECONDS
        while not is_so(events := self.events()):
            assert time.monotonic() < end, f"it never was; the last events are {events[-5:]}"
            time.sleep(LOOK_SECONDS)
        return events

    def tally(self) -> Tally:
        """Count what the journal holds, read by the study's own controller; it must accept all of
        it.
        """
        path = self.directory / JOURNAL
        settings = read_settings(path)
        tally = Tally(first_ladder(settings), settings.goal)
        replay = Replay(build_controller(settings))
        replay.tell(self.events(), [tally])
        assert replay.difference == ""
        return tally

    def pause(self) -> list[Event]:
        """Pause it, wait until nothing runs, and return the events."""
        self.send(PauseStudy())
        self.until(lambda _: self.tally().running == 0)
        return self.events()


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Controlled]:
    study = Controlled(tmp_path)
    yield study
    study.kill()


def of(kind: type, events: Sequence[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def after(kind: type, events: Sequence[Event]) -> list[Event]:
    """Return what came after the last event of a kind."""
    places = [place for place, event in enumerate(events) if isinstance(event, kind)]
    assert places, f"there is no {kind.__name__}"
    return list(events[places[-1] + 1 :])


def test_a_continued_study_finishes_the_jobs_that_pausing_interrupted(study: Controlled) -> None:
    study.run()
    events = study.pause()
    paused = after(StudyPaused, events)
    broken_off = {event.trial for event in of(JobPaused, paused)}
    assert study.tally().is_paused
    study.send(PauseStudy())  # it is paused already
    assert of(TrialStarted, paused) == []
    study.send(ContinueStudy())

    def is_done(events: list[Event]) -> bool:
        results = of(JobFinished, after(StudyContinued, events))
        return len(results) >= 4 and broken_off <= {event.trial for event in results}

    events = study.until(is_done)
    assert len(of(StudyPaused, events)) == 1
    assert not study.tally().is_paused


def test_a_study_killed_while_paused_resumes_unpaused(study: Controlled) -> None:
    study.run()
    study.pause()
    study.kill()
    study.resume()
    study.until(
        lambda events: (
            len(of(SessionStarted, events)) == 2 and of(JobFinished, after(SessionStarted, events))
        )
    )
    assert not study.tally().is_paused


def test_pausing_and_continuing_quickly_loses_no_worker(study: Controlled) -> None:
    study.run()
    for _ in range(5):
        study.send(PauseStudy())
        study.send(ContinueStudy())
    before = len(study.events())
    events = study.until(lambda events: len(of(JobFinished, events[before:])) >= 10)
    assert of(WorkerLost, events) == []
    assert study.tally().failures.total == 0


def test_a_stop_command_saves_running_trials_and_ends_the_driver(study: Controlled) -> None:
    study.run()
    study.send(StopStudy())
    assert study.wait() == 0
    events = study.events()
    assert [event.reason for event in of(StopRequested, events)] == ["asked for on the live page"]
    assert all(
        event.checkpoint is not None or event.resource == 0 for event in of(JobPaused, events)
    )
    assert study.tally().running == 0
    study.resume()
    study.until(
        lambda events: (
            len(of(SessionStarted, events)) == 2 and of(JobFinished, after(SessionStarted, events))
        )
    )


def test_an_enqueued_configuration_is_the_next_new_trial(study: Controlled) -> None:
    study.run()
    study.send(EnqueueConfiguration({"kind": "b", "x": X}))
    events = study.until(lambda events: of(TrialStarted, after(ConfigurationEnqueued, events)))
    first = of(TrialStarted, after(ConfigurationEnqueued, events))[0]
    assert (first.configuration, first.origin) == ({"x": X, "kind": "b"}, "enqueued")
    study.until(lambda events: any(event.trial == first.trial for event in of(JobFinished, events)))
    assert sum(event.configuration["x"] == X for event in of(TrialStarted, study.events())) == 1


def test_enqueued_configurations_survive_a_kill(study: Controlled) -> None:
    study.run()
    before = study.pause()
    study.send(EnqueueConfiguration({"x": X, "kind": "a"}))
    study.send(EnqueueConfiguration({"x": X / 2, "kind": "a"}))
    study.kill()
    started = {event.trial for event in of(TrialStarted, before)}
    study.resume()
    events = study.until(lambda events: len(of(TrialStarted, events)) >= len(started) + 3)
    new = [event for event in of(TrialStarted, events) if event.trial not in started]
    assert [(event.configuration["x"], event.origin) for event in new[:2]] == [
        (X, "enqueued"),
        (X / 2, "enqueued"),
    ]
    assert new[2].origin != "enqueued"
    study.tally()


@pytest.mark.parametrize(
    ("configuration", "why"),
    [
        ({"x": 2.0, "kind": "a"}, "x"),
        ({"x": 0.5}, "kind"),
        ({"x": 0.5, "kind": "a", "y": 1}, "y"),
        ({"x": None, "kind": "a"}, "x"),
        ({"x": 0.5, "kind": ["a"]}, "kind"),
        ({}, "missing"),
    ],
)
def test_an_enqueued_configuration_outside_the_space_is_refused(
    shared: Controlled, configuration: dict[str, Any], why: str
) -> None:
    with pytest.raises(StudyError, match=why) as refused:
        shared.send(EnqueueConfiguration(configuration))
    assert "\n" not in str(refused.value)
    assert of(ConfigurationEnqueued, shared.events()) == []


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controlled]:
    """A study for commands that change nothing."""
    study = Controlled(tmp_path_factory.mktemp("shared"))
    study.run("--trials", "100000")
    yield study
    study.kill()


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (AddTrials(0), "trials=0"),
        (AddTrials(-5), "trials=-5"),
        (AddTrials(1 << 60), "is not a whole number of at most"),
        (ChangeWorkers(0), "workers=0"),
        (ChangeWorkers(90_000), "too many processes"),
    ],
)
def test_an_impossible_number_of_trials_or_workers_is_refused(
    shared: Controlled, command: Command, why: str
) -> None:
    with pytest.raises(StudyError, match=why):
        shared.send(command)
    assert not of(TrialsExtended, shared.events()) and not of(WorkersChanged, shared.events())
    count = len(shared.events())
    shared.until(lambda events: len(events) > count)


def test_trials_added_by_a_command_are_tried_in_a_later_session(study: Controlled) -> None:
    study.run("--trials", "6", *LONG, first=TrialStarted)
    study.pause()
    study.send(AddTrials(3))
    study.send(AddTrials(1))
    assert [event.trials for event in of(TrialsExtended, study.events())] == [9, 10]
    assert study.tally().most_trials == 10
    study.kill()
    study.resume()
    study.hurry()
    assert study.wait() == 0
    tally = study.tally()
    assert (tally.started, tally.most_trials, tally.sessions) == (10, 10, 2)


def test_trials_added_by_a_command_are_tried_in_the_same_session(study: Controlled) -> None:
    study.run("--trials", "6", *LONG, first=TrialStarted)
    study.pause()
    study.send(AddTrials(2))
    study.send(ContinueStudy())
    study.hurry()
    assert study.wait() == 0
    assert (study.tally().started, study.tally().sessions) == (8, 1)


def test_enqueueing_a_configuration_is_refused_if_no_trial_is_left(study: Controlled) -> None:
    study.run("--trials", "3", "--workers", "3", *LONG, first=TrialStarted)
    study.until(lambda events: len(of(TrialStarted, events)) == 3)
    study.send(PauseStudy())
    wanted = EnqueueConfiguration({"x": X, "kind": "a"})
    with pytest.raises(StudyError):
        study.send(wanted)
    study.send(AddTrials(1))
    study.send(wanted)
    with pytest.raises(StudyError):
        study.send(wanted)
    study.send(ContinueStudy())
    study.hurry()
    assert study.wait() == 0
    assert [
        event.trial for event in of(TrialStarted, study.events()) if event.origin == "enqueued"
    ] == [3]


def test_changing_the_number_of_workers_is_not_counted_as_a_failure(study: Controlled) -> None:
    study.run("--trials", "100000")
    study.send(ChangeWorkers(4))
    study.until(lambda events: len(of(WorkerJoined, events)) == 4)
    study.send(ChangeWorkers(1))
    events = study.until(lambda events: len(of(WorkerLost, events)) == 3)
    assert all(event.is_dismissed and event.trial is None for event in of(WorkerLost, events))
    events = study.until(lambda now: len(of(JobFinished, now[len(events) :])) >= 5)
    lost = max(place for place, event in enumerate(events) if isinstance(event, WorkerLost))
    assert len({event.worker for event in of(JobFinished, events[lost:])}) == 1
    assert of(WorkerJoined, events[lost:]) == []
    study.send(ChangeWorkers(2))
    study.until(lambda events: len(of(WorkerJoined, events)) == 5)
    tally = study.tally()
    assert (tally.lost_workers.total, tally.failures.total) == (0, 0)
    assert [event.workers for event in of(WorkersChanged, study.events())] == [4, 1, 2]


def test_a_command_cannot_change_the_number_of_workers_of_the_thread_engine(
    study: Controlled,
) -> None:
    study.run("--engine", "threads")
    with pytest.raises(StudyError):
        study.send(ChangeWorkers(3))
    assert of(WorkersChanged, study.events()) == []
    study.pause()


# Who may command


def test_a_study_without_the_option_control_ignores_commands(study: Controlled) -> None:
    SlowStudy.run(study)
    study.until(lambda events: of(JobFinished, events))
    with pytest.raises(StudyError):
        study.send(StopStudy())
    (study.directory / NAME).mkdir(0o700)
    with pytest.raises(StudyError):
        send(study.directory, StopStudy(), seconds=1)
    assert list((study.directory / NAME).iterdir()) == []
    assert of(StopRequested, study.events()) == []
    assert not of(SessionStarted, study.events())[0].control


def test_a_command_sent_before_the_option_control_was_enabled_is_ignored(study: Controlled) -> None:
    SlowStudy.run(study)
    study.until(lambda events: of(JobFinished, events))
    study.kill()
    folder = study.directory / NAME
    folder.mkdir(0o700)
    (folder / f"{1:020d}-{'a' * 16}.command").write_text('{"command": "stop"}')
    study.resume("--control")

    def has_gone_on(events: list[Event]) -> bool:
        return (
            len(of(SessionStarted, events)) == 2
            and len(of(JobFinished, after(SessionStarted, events))) >= 20
        )

    events = study.until(has_gone_on)
    assert of(StopRequested, events) == []
    assert [event.control for event in of(SessionStarted, events)] == [False, True]


def test_an_unsafe_command_folder_is_refused(study: Controlled) -> None:
    SlowStudy.run(study)
    study.until(lambda events: of(JobFinished, events))
    study.kill()
    count = len(study.events())
    elsewhere = study.folder / "elsewhere"
    elsewhere.mkdir(0o700)
    (elsewhere / "precious").write_text("mine")
    folder = study.directory / NAME
    folder.symlink_to(elsewhere)
    done = ashtune_process(study.folder, "resume", str(study.directory), "--control", "--quiet")
    assert done.returncode == 2
    assert "a symbolic link, but must be a folder; remove it" in done.stderr
    with pytest.raises(StudyError):
        study.send(StopStudy())
    folder.unlink()
    folder.write_text("a file")
    with pytest.raises(StudyError):
        CommandFolder(study.directory)
    folder.unlink()
    folder.mkdir()
    folder.chmod(0o770)
    with pytest.raises(StudyError):
        CommandFolder(study.directory)
    assert (elsewhere / "precious").read_text() == "mine"
    assert len(study.events()) == count


def test_a_command_that_the_driver_did_not_read_in_time_is_refused(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool, CommandFolder(tmp_path):
        sent = pool.submit(send, tmp_path, StopStudy(), seconds=SECONDS)
        end = time.monotonic() + SECONDS
        while not list((tmp_path / NAME).glob("*.command")):
            assert time.monotonic() < end, "nothing was sent"
            time.sleep(LOOK_SECONDS)
    why = sent.exception()
    assert isinstance(why, StudyError)
    assert str(why).startswith(
        "the session ended before it read the command; resume the study with --control"
    )


def test_after_a_session_the_command_folder_contains_only_answers(tmp_path: Path) -> None:
    folder = tmp_path / NAME
    name = f"{1:020d}-{0:016x}"
    with CommandFolder(tmp_path) as inbox:
        (folder / "x.unfinished").touch()
        inbox.answer(name)
    assert [path.name for path in folder.iterdir()] == [f"{name}.answer"]
    with CommandFolder(tmp_path):
        (folder / "x.unfinished").touch()
    assert not folder.exists()


def test_the_sender_waits_longer_if_the_driver_has_accepted_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = iter([0.0, SECONDS])

    def wait(folder: int, name: str, seconds: float) -> Any:
        answer = wait_for_answer(folder, name, next(waits))
        for taken, _ in inbox.take():
            inbox.answer(taken, "it is too late")
        return answer

    wait_for_answer = commands._wait_for
    monkeypatch.setattr(commands, "_wait_for", wait)
    with CommandFolder(tmp_path) as inbox, pytest.raises(StudyError):
        send(tmp_path, StopStudy())


def test_a_command_sent_before_the_session_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / NAME
    folder.mkdir(0o700)
    (folder / "x.unfinished").touch()
    early = f"{1:020d}-{0:016x}"
    (folder / f"{early}.command").write_bytes(msgspec.json.encode(StopStudy()))
    with CommandFolder(tmp_path) as inbox:
        assert list(inbox.take()) == []
        assert [path.name for path in folder.iterdir()] == [f"{early}.answer"]
        answer = json.loads((folder / f"{early}.answer").read_bytes())
    assert answer == {
        "error": "the command was sent before the session accepted commands; send it again"
    }


def put(study: Controlled, name: str, data: bytes) -> dict[str, Any]:
    """Put a file into the folder as a sender does, and return the answer."""
    folder = study.directory / NAME
    (folder / "x.unfinished").write_bytes(data)
    (folder / "x.unfinished").rename(folder / f"{name}.command")
    answer = folder / f"{name}.answer"
    study.until(lambda _: answer.exists() and answer.stat().st_size > 0)
    told: dict[str, Any] = json.loads(answer.read_bytes())
    answer.unlink()
    return told


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"stop",
        b"[]",
        b"{}",
        b'{"command": "reboot"}',
        b'{"command": "extend"}',
        b'{"command": "extend", "trials": "many"}',
        b'{"command": "stop", "now": true}',
        b'{"command": "enqueue", "configuration": {"x": NaN}}',
        b'{"command": "enqueue", "configuration": ' + b'{"x": [' * 5000,
        b"\xff\xfe",
    ],
)
def test_a_malformed_command_is_refused_and_deleted(shared: Controlled, data: bytes) -> None:
    name = f"{time.time_ns():020d}-{'b' * 16}"
    error = put(shared, name, data)["error"]
    assert error and "\n" not in error and len(error) < 500
    assert not (shared.directory / NAME / f"{name}.command").exists()
    assert of(StopRequested, shared.events()) == []


def test_a_link_in_place_of_a_command_file_is_not_followed(shared: Controlled) -> None:
    target = shared.folder / "target"
    target.write_text('{"command": "stop"}')
    folder, name = shared.directory / NAME, f"{time.time_ns():020d}-{'c' * 16}"
    (folder / f"{name}.command").symlink_to(target)
    shared.until(lambda _: (folder / f"{name}.answer").exists())
    assert target.exists()
    assert not os.path.lexists(folder / f"{name}.command")
    assert of(StopRequested, shared.events()) == []


def test_all_commands_of_several_senders_are_carried_out(shared: Controlled) -> None:
    with ThreadPoolExecutor(12) as pool:
        sent = [pool.submit(shared.send, AddTrials(0)) for _ in range(12)]
    assert [str(each.exception()) for each in sent] == [
        "trials=0 is not a whole number of at least 1"
    ] * 12


class OfThePage:
    """In place of the process of a live page: it prints one line, and lives until it is ended."""

    line = "http://127.0.0.1:8123/?key=1"

    def __init__(self, command: Sequence[object], *_: object, **__: object) -> None:
        self.command = [str(part) for part in command]
        self.is_dead = False
        self.calls: list[str] = []

    def read_line(self, seconds: float) -> str:
        self.calls.append("read_line")
        return self.line

    def hang_up(self) -> None:
        self.calls.append("hang_up")

    def terminate(self) -> None:
        self.calls.append("terminate")

    def end(self, seconds: float) -> None:
        self.calls.append("end")
        self.is_dead = True

    def wait(self) -> None:
        self.calls.append("wait")
        raise KeyboardInterrupt


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[OfThePage]:
    """The processes of live pages, which a test has started."""
    started: list[OfThePage] = []

    def start(*arguments: Any, **more: Any) -> OfThePage:
        started.append(OfThePage(*arguments, **more))
        return started[-1]

    monkeypatch.setattr(control, "ChildProcess", start)
    monkeypatch.setattr(control, "_pages", {})
    return started


def test_a_study_reuses_its_live_page_while_the_page_runs(
    tmp_path: Path, processes: list[OfThePage]
) -> None:
    page = page_of(tmp_path)
    assert page_of(tmp_path) is page
    assert page_of(tmp_path, control=True) is not page
    assert page_of(tmp_path / "other") is not page
    assert ["--control" in process.command for process in processes] == [False, True, False]
    page.end()
    assert processes[0].calls == ["terminate", "end"]
    assert not page.is_there
    later = page_of(tmp_path)
    assert later is not page
    assert later.is_there
    assert page_of(tmp_path) is later


def test_the_address_of_a_live_page_is_read_only_once(
    tmp_path: Path, processes: list[OfThePage], capfd: pytest.CaptureFixture[str]
) -> None:
    page = page_of(tmp_path)
    for _ in range(2):
        page.say_where()
    lines = capfd.readouterr().err.splitlines()
    assert len(set(lines)) == 1
    assert lines[0].startswith(f"live page: {OfThePage.line} (elsewhere: ssh -L 8123:127.0.0.1:812")
    assert processes[0].calls == ["read_line", "hang_up"]


@pytest.mark.parametrize(
    ("line", "why"), [("no room\x1b", "no room\\x1b"), ("", "it did not start within 30 s")]
)
def test_the_reason_is_printed_if_a_live_page_does_not_start(
    processes: list[OfThePage],
    capfd: pytest.CaptureFixture[str],
    line: str,
    why: str,
) -> None:
    page = page_of(Path("study"))
    processes[0].line = line
    page.say_where()
    assert capfd.readouterr().err == f"no live page: {why}; the study continues\n"
    assert processes[0].is_dead


def test_the_reason_is_printed_if_a_live_page_process_cannot_start(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(11, "no more processes")

    monkeypatch.setattr(control, "ChildProcess", refuse)
    page = Page(tmp_path)
    page.say_where()
    assert capfd.readouterr().err == "no live page: no more processes; the study continues\n"
    assert not page.is_there
    page.end()


def test_the_driver_keeps_a_live_page_until_ctrl_c_if_requested(
    tmp_path: Path,
    processes: list[OfThePage],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_exit: list[Callable[[], object]] = []
    monkeypatch.setattr(control.atexit, "register", at_exit.append)
    Page(tmp_path)
    assert at_exit == []
    page = Page(tmp_path, keep=True)
    page.say_where()
    [stay] = at_exit
    capfd.readouterr()
    stay()
    assert capfd.readouterr().err == f"the live page stays until Ctrl-C: {OfThePage.line}\n"
    assert processes[-1].calls[-1] == "wait"
    page.end()
    stay()
    assert capfd.readouterr().err == ""
    assert processes[-1].calls[-1] == "end"
