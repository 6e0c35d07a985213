"""A proposer in its own process: it is told all, is started anew when it dies, and goes with
the driver.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import ashtune
from ashtune._src.core.errors import StudyError
from ashtune._src.core.events import Event, TrialStarted
from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.observer import Observer
from ashtune._src.driver.proposer_process import MODULE, ProposerProcess
from ashtune._src.space.space import Space
from ashtune._src.study.journal import NAME, read_events
from tests import ROOT
from tests.driver.proposers_for_tests import Counting

pytestmark = pytest.mark.slow

SECONDS = 60.0


@pytest.fixture
def proposer() -> Iterator[ProposerProcess]:
    made = ProposerProcess(Counting(), Space.parse({"x": (0.0, 1.0)}), 0, 27)
    yield made
    made.close()


def tell(proposer: ProposerProcess, results: int) -> None:
    for trial in range(results):
        proposer.started(Job(TrialId(trial), 0), {"x": 0.5})
        proposer.observe(Result(TrialId(trial), 0, 9, (float("inf"),), 1.0), {"x": 0.5})


def origin(proposer: ProposerProcess, trial: int = 0) -> list[str]:
    proposal = proposer.propose(trial)
    assert proposal is not None
    return proposal.origin.split(", ")


def test_a_proposer_process_reads_all_messages_before_a_proposal(proposer: ProposerProcess) -> None:
    tell(proposer, 3)
    messages, process, top = origin(proposer)
    assert (messages, top) == ("messages 6", "top 27")
    assert int(process) != os.getpid()
    tell(proposer, 1)
    assert origin(proposer) == ["messages 8", process, "top 27"]
    assert proposer.propose(1) is None


def test_the_proposer_process_starts_at_the_first_result(
    proposer: ProposerProcess,
) -> None:
    proposer.started(Job(TrialId(0), 0), {"x": 0.5})
    assert proposer._process._child is None
    tell(proposer, 2)
    assert proposer._process._child is not None
    assert origin(proposer)[:2] == ["messages 5", str(proposer._process._child.pid)]


def test_a_killed_proposer_process_restarts_with_all_messages(proposer: ProposerProcess) -> None:
    tell(proposer, 3)
    first = origin(proposer)[1]
    os.kill(int(first), signal.SIGKILL)
    messages, second, _ = origin(proposer)
    assert messages == "messages 6"
    assert second != first


def test_a_restarted_proposer_process_receives_known_results_again(
    proposer: ProposerProcess,
) -> None:
    for number in range(4):
        proposer.know(Result(TrialId(-1 - number), 0, 9, (1.0,), 0.0), {"x": 0.1 * number})
    tell(proposer, 1)
    first = origin(proposer)
    assert first[0] == "messages 6"
    os.kill(int(first[1]), signal.SIGKILL)
    assert origin(proposer)[0] == "messages 6"


def test_an_error_of_the_proposer_is_raised_as_study_error(proposer: ProposerProcess) -> None:
    with pytest.raises(StudyError):
        proposer.propose(2)


def test_a_result_of_an_unknown_trial_is_sent_with_its_configuration(
    proposer: ProposerProcess,
) -> None:
    for trial in range(2):
        proposer.observe(Result(TrialId(trial), 0, 9, (1.0,), 1.0), {"x": 0.5})
    assert origin(proposer)[0] == "messages 2"


def test_the_reason_is_raised_if_a_search_cannot_make_its_proposer() -> None:
    made = ProposerProcess(Counting(), Space.parse({"x": (0.0, 1.0)}), 0, -1)
    with pytest.raises(StudyError):
        made.propose(0)
    made.close()


def test_a_study_stops_using_a_proposer_process_that_dies_repeatedly(
    proposer: ProposerProcess,
) -> None:
    with pytest.raises(StudyError):
        proposer.propose(3)


def test_a_hanging_proposer_process_ends_when_closed(proposer: ProposerProcess) -> None:
    origin(proposer)
    asked = threading.Thread(target=proposer.propose, args=(4,), daemon=True)
    asked.start()
    end = time.monotonic() + SECONDS
    while not proposer._process._asking.locked():
        assert time.monotonic() < end, "it was not asked"
        time.sleep(0.01)
    proposer.close()
    asked.join(SECONDS)
    assert not asked.is_alive()


FORKS = pytest.mark.parametrize("trial", [6, 7], ids=["in its session", "in its own session"])


def helper_of(proposer: ProposerProcess, trial: int) -> int:
    """Have the model fork a process that does nothing, and return its number."""
    return int(origin(proposer, trial)[0].removeprefix("helper "))


def is_held_up(call: Callable[[], object], helper: int) -> bool:
    """Say whether a call waits for the end of a process that the model has started; that process is
    ended then.
    """
    calling = threading.Thread(target=call, daemon=True)
    calling.start()
    calling.join(SECONDS)
    is_waiting = calling.is_alive()
    with suppress(ProcessLookupError):
        os.kill(helper, signal.SIGKILL)
    calling.join(SECONDS)
    return is_waiting


@FORKS
def test_closing_a_proposer_does_not_wait_for_processes_of_its_model(
    proposer: ProposerProcess, trial: int
) -> None:
    helper = helper_of(proposer, trial)
    assert not is_held_up(proposer.close, helper)


def test_a_proposer_process_ends_when_its_driver_is_killed() -> None:
    code = """
from tests import ROOT
from tests.driver.proposers_for_tests import Counting
from ashtune._src.driver.proposer_process import ProposerProcess
from ashtune._src.space.space import Space
made = ProposerProcess(Counting(), Space.parse({"x": (0.0, 1.0)}), 0, 27)
print(made.propose(0).origin.split(", ")[1], flush=True)
made.propose(4)
"""
    driver = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert driver.stdout is not None
    process = int(driver.stdout.readline())
    driver.kill()
    driver.communicate()
    for _ in range(int(SECONDS * 10)):
        if is_gone(process):
            return
        time.sleep(0.1)
    raise AssertionError("the proposer outlives its driver")


def is_gone(process: int) -> bool:
    """Say whether a process has ended; one that nobody has waited for is still listed."""
    listed = subprocess.run(
        ["ps", "-o", "state=", "-p", str(process)], capture_output=True, text=True, check=False
    )
    return listed.stdout.strip() in ("", "Z")


def helpers() -> list[int]:
    """Return the processes of proposers that this one has started and that run."""
    # -ww: COLUMNS in the environment cuts no line
    command = ["ps", "-ww", "-A", "-o", "pid=,ppid=,state=,args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split(None, 3) for line in listed.stdout.splitlines()]
    return [
        int(row[0])
        for row in rows
        if row[1] == str(os.getpid()) and row[2][0] != "Z" and MODULE in row[3]
    ]


def origins(directory: Path) -> list[str]:
    return [
        event.origin for event in read_events(directory / NAME) if isinstance(event, TrialStarted)
    ]


def train(trial: ashtune.Trial) -> None:
    for _ in trial.epochs():
        time.sleep(0.05)
        trial.report(loss=(trial["x"] - 0.3) ** 2)


class Killer(Observer):
    """Kills the process of the proposer when the first of its proposals has started, and makes a
    file then.
    """

    def __init__(self, done: Path) -> None:
        self.killed: list[int] = []
        self._done = done

    def event(self, event: Event) -> None:
        if isinstance(event, TrialStarted) and event.origin.startswith("gp") and not self.killed:
            self.killed = helpers()
            try:
                os.kill(self.killed[0], signal.SIGKILL)
            finally:
                self._done.touch()


def test_a_killed_model_process_restarts_with_all_results(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = tmp_path / "done"
    killer = Killer(done)

    def train_on(trial: ashtune.Trial) -> None:
        # or the study might be over before its model is killed
        while trial.number >= 4 and not done.exists():
            time.sleep(0.01)
        train(trial)

    study = ashtune.tune(
        train_on, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=40, max_resource=2,
        workers=1, quiet=True,
        search=ashtune.GP(first=4, random_share=0.0, ahead=0), observers=[killer],
        directory=tmp_path / "s",
    )  # fmt: skip
    assert study.is_complete
    assert len(killer.killed) == 1
    assert is_gone(killer.killed[0])
    assert origins(study.directory) == ["random"] * 4 + [
        f"gp, {trial} results" for trial in range(4, 40)
    ]
    assert capfd.readouterr().err == ""
    assert not helpers()


def test_a_study_with_one_worker_and_option_ahead_0_is_reproducible(tmp_path: Path) -> None:
    journals = []
    for place in ("first", "second"):
        ashtune.tune(
            train, {"x": (0.0, 1.0), "y": (1, 9)}, metric="loss", mode="min", trials=16,
            max_resource=2, workers=1,
            search=ashtune.GP(first=4, ahead=0, price=0), directory=tmp_path / place, quiet=True,
        )  # fmt: skip
        events = list(read_events(tmp_path / place / NAME))
        journals.append(
            [(one.configuration, one.origin) for one in events if isinstance(one, TrialStarted)]
        )
    assert journals[0] == journals[1]
    assert {origin.split(",")[0] for _, origin in journals[0]} == {"random", "gp"}


def test_the_proposer_of_a_resumed_study_knows_all_results(tmp_path: Path) -> None:
    study = ashtune.tune(
        train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=8, max_resource=2, workers=1,
        search=ashtune.GP(first=4, random_share=0.0, ahead=0), directory=tmp_path, quiet=True,
    )  # fmt: skip
    study.resume(trials=12, workers=1, quiet=True)
    assert origins(tmp_path) == ["random"] * 4 + [f"gp, {trial} results" for trial in range(4, 12)]
