"""Studies over hosts that share no directory: checkpoints, logs and the training function travel in
messages.
"""

import os
import re
import signal
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    SessionStarted,
    StopRequested,
    TrialReleased,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import Job
from ashtune._src.core.ladder import Ladder
from ashtune.testing.oracles import RecordedResult, unexplained_results
from tests.helpers.launching import FAMILY, LIMIT, PYTHON, Ended
from tests.helpers.together import TOGETHER, together
from tests.mpi.cluster.namespace_hosts import Hosts

pytestmark = pytest.mark.skipif(
    FAMILY != "mpich", reason="hosts are tried with MPICH's mpiexec: install its wheel"
)

ASHTUNE = str(Path(sys.prefix) / "bin" / "ashtune")
STUDY = "study"
# Of trials, even ones save 2.5 MB as one object, odd ones leave two files in a folder, odd
# multiples of three both.
TRAIN = (
    TOGETHER
    + """
    import random
    import socket

    space = {"x": (0.0, 1.0)}

    def bytes_of(trial, epoch):
        return random.Random(f"{trial.number}/{epoch}").randbytes(2_500_000)

    def train(trial):
        print(f"trial {trial.number} from {trial.start} on {socket.gethostname()}")
        wait_for_all()
        saves, keeps_files = trial.number % 2 == 0 or trial.number % 3 == 0, trial.number % 2 == 1
        state = trial.restore()
        assert (state is None) == (trial.start == 0 or not saves), "not what was saved"
        assert state is None or state == (trial.start, bytes_of(trial, trial.start)), "saved by another job"
        if keeps_files:
            large, small = trial.checkpoint_dir / "weights.bin", trial.checkpoint_dir / "inner" / "epoch.txt"
            names = sorted(file.name for file in trial.checkpoint_dir.rglob("*") if file.is_file())
            assert names == (["epoch.txt", "weights.bin"] if trial.start else []), names
            assert not trial.start or small.read_text() == str(trial.start), "left by another job"
            assert not trial.start or large.read_bytes() == bytes_of(trial, trial.start), "left by another job"
        epoch = trial.start
        for epoch in trial.epochs():
            time.sleep(SECONDS)
            # The older the better: a trial is promoted when others have come, whose worker continues
            # with it.
            trial.report(score=trial["x"] / 100 - trial.number)
        if saves:
            trial.save((epoch, bytes_of(trial, epoch)))
        if keeps_files:
            small.parent.mkdir(exist_ok=True)
            small.write_text(str(epoch))
            large.write_bytes(bytes_of(trial, epoch))
"""
)
LARGE = """
    import time

    space = {"x": (0.0, 1.0)}

    def train(trial):
        for epoch in trial.epochs():
            time.sleep(0.1 if trial.number == 0 else 60)
            trial.report(score=0)
        with open(trial.checkpoint_dir / "weights.bin", "wb") as file:
            file.truncate(8_000_000_000)  # zeros that take no room
"""
TRIALS, MAX_RESOURCE = 40, 8
RUN = (
    "run",
    "train.py:train",
    "--metric",
    "score",
    "--mode",
    "max",
    "--search",
    "random",
    "--directory",
    STUDY,
)
SIZE = ("--trials", str(TRIALS), "--max-resource", str(MAX_RESOURCE))
MESSAGES = ("--checkpoints", "messages")


@pytest.fixture
def home(hosts: Hosts) -> Hosts:
    """Hosts of which only the first has the training function, as only the driver needs it."""
    write_function(hosts, TRAIN, SECONDS=0.02)
    return hosts


def write_function(hosts: Hosts, text: str, **constants: float) -> None:
    for constant, value in constants.items():
        text = text.replace(constant, str(value))
    code = f"open('train.py', 'w').write({textwrap.dedent(text)!r})"
    ended = hosts.run("h0", PYTHON, "-c", code, cwd=hosts.private)
    assert ended.status == 0, ended


def how(hosts: Hosts) -> dict[str, Any]:
    """All runs in the hosts' private folders, and what is temporary goes there, too."""
    return {
        "cwd": hosts.private,
        "variables": {"TMPDIR": str(hosts.private), "PYTHONDONTWRITEBYTECODE": "1"},
    }


def ashtune(hosts: Hosts, ranks: int, *words: str, per_host: int = 1) -> Ended:
    """Run a command on so many ranks, of which all but the driver wait for each other as they begin
    to train.
    """
    settings = how(hosts)
    settings["variables"] |= together(ranks - 1, hosts.folder)
    return hosts.mpiexec(ranks, ASHTUNE, *words, per_host=per_host, **settings)


def is_rank_0(pid: int) -> bool:
    return b"PMI_RANK=0" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def listed(hosts: Hosts, host: str, *places: str) -> list[str]:
    return sorted(hosts.run(host, "ls", "-A", *places, cwd=hosts.private).stdout.split())


def events(hosts: Hosts) -> list[Event]:
    """The journal, which is on the driver's host only."""
    text = hosts.run("h0", "tail", "-n", "+2", f"{STUDY}/journal.jsonl", cwd=hosts.private).stdout
    whole = text[: text.rfind("\n") + 1]  # the driver may be writing the last line
    return [msgspec.json.decode(line, type=Event) for line in whole.splitlines()]


def places_of(events: Sequence[Event]) -> dict[int, str]:
    return {event.worker: event.host for event in events if isinstance(event, WorkerJoined)}


def moves(events: Sequence[Event]) -> list[tuple[str, str]]:
    """For every result that was trained on from a checkpoint: the host that saved it, and the one
    that resumed it.
    """
    place = places_of(events)
    saved: dict[tuple[int, int], str] = {}
    moved = []
    for event in events:
        if isinstance(event, JobFinished) and (event.trial, event.start) in saved:
            moved.append((saved[event.trial, event.start], place[event.worker]))
        if (
            isinstance(event, JobFinished | TrialReleased | JobPaused)
            and event.checkpoint is not None
        ):
            saved[event.trial, event.resource] = place[event.worker]
    return moved


def check_whole(events: Sequence[Event], trials: int = TRIALS) -> None:
    """Every trial is there, every result once, every promotion by the rule, and nothing has failed
    or died.
    """
    assert [event for event in events if isinstance(event, JobFailed | WorkerLost)] == []
    finished = [event for event in events if isinstance(event, JobFinished)]
    counted = Counter((event.trial, event.rung) for event in finished)
    assert set(counted.values()) == {1}, "a finished result was trained again"
    assert {trial for trial, rung in counted if rung == 0} == set(range(trials)), (
        "a configuration is lost"
    )
    recorded = [
        RecordedResult(Job(event.trial, event.rung), -(event.metrics["score"] or 0.0))
        for event in finished
    ]
    assert unexplained_results(Ladder(1, MAX_RESOURCE, 2), recorded) == []
    problems = [
        event.problem
        for event in events
        if isinstance(event, JobFinished | TrialReleased | JobPaused)
    ]
    assert set(problems) == {""}


def check_nothing_is_left(hosts: Hosts) -> None:
    """Of a study, the ranks' hosts have kept nothing."""
    assert [listed(hosts, host) for host in hosts.names] == [[STUDY, "train.py"], [], []]


def calls(events: Sequence[Event]) -> Counter[str]:
    """What the training function has printed, by the journal: a trial that continues in place is no
    new call.
    """
    place = places_of(events)
    held: dict[int, tuple[int, int]] = {}
    counts: Counter[str] = Counter()
    for event in events:
        if isinstance(event, TrialReleased):
            held.pop(event.worker, None)
        elif isinstance(event, JobFinished | JobPaused):
            if held.pop(event.worker, None) != (event.trial, event.start):
                counts[f"trial {event.trial} from {event.start} on {place[event.worker]}"] += 1
            if isinstance(event, JobFinished) and event.held:
                held[event.worker] = event.trial, event.resource
    return counts


def check_logs(hosts: Hosts, events: Sequence[Event]) -> None:
    """What every worker printed, wherever it was, lies with the study, each line once."""
    workers = places_of(events)
    assert listed(hosts, "h0", f"{STUDY}/logs") == sorted(
        f"worker-{worker}.log" for worker in workers
    )
    lines: Counter[str] = Counter()
    for worker, host in workers.items():
        text = hosts.run("h0", "cat", f"{STUDY}/logs/worker-{worker}.log", cwd=hosts.private).stdout
        log = [
            line
            for line in text.splitlines()
            if line and not line.startswith("--- above: printed by trial ")
        ]
        assert all(line.endswith(f" on {host}") for line in log), (
            f"worker {worker} on {host}: {log}"
        )
        lines.update(log)
    assert lines == calls(events)


@pytest.mark.parametrize("more", [(), ("--no-isolate",)])
def test_a_study_over_hosts_without_shared_files_completes(
    home: Hosts, more: tuple[str, ...]
) -> None:
    # some 35 continue from a checkpoint; on which host is chance: 16 to 27 on another
    trials = 4 * TRIALS
    size = ("--trials", str(trials), "--max-resource", str(MAX_RESOURCE))
    ended = ashtune(home, 5, *RUN, *size, *MESSAGES, *more, per_host=2)
    assert ended.status == 0, ended
    assert ended.left_behind == ()
    recorded = events(home)
    check_whole(recorded, trials)
    assert sorted(places_of(recorded).values()) == ["h0", "h1", "h1", "h2"]
    resumed = moves(recorded)
    assert sum(there != here for there, here in resumed) >= 5, resumed
    assert sum(there == here for there, here in resumed) >= 1, resumed
    check_logs(home, recorded)
    check_nothing_is_left(home)


def test_a_stopped_study_continues_on_other_hosts(home: Hosts) -> None:
    write_function(home, TRAIN, SECONDS=1.0)  # a minute for three workers, who join soon
    ended = ashtune(home, 4, *RUN, *SIZE, *MESSAGES, "--time-limit", "20", per_host=2)
    assert ended.status == 0, ended
    before = events(home)
    assert [event.reason for event in before if isinstance(event, StopRequested)] == [
        "time limit reached"
    ]
    assert set(places_of(before).values()) == {"h0", "h1"}
    check_nothing_is_left(home)
    write_function(home, TRAIN, SECONDS=0.02)
    ended = ashtune(home, 3, "resume", STUDY, "train.py:train", *MESSAGES)
    assert ended.status == 0, ended
    recorded = events(home)
    check_whole(recorded)
    assert sum(isinstance(event, SessionStarted) for event in recorded) == 2
    assert set(places_of(recorded[len(before) :]).values()) == {"h1", "h2"}
    for paused in [event for event in before if isinstance(event, JobPaused)]:
        resumed = (paused.trial, paused.rung, paused.resource)
        assert sum(
            isinstance(event, JobFinished) and (event.trial, event.rung, event.start) == resumed
            for event in recorded
        )
    assert set(moves(recorded)[len(moves(before)) :]) & {("h0", "h1"), ("h0", "h2"), ("h1", "h2")}
    check_logs(home, recorded)
    check_nothing_is_left(home)


def test_after_a_second_interrupt_the_driver_waits_for_no_checkpoint(home: Hosts) -> None:
    write_function(home, LARGE)
    words = (ASHTUNE, *RUN, *MESSAGES, "--trials", "2", "--max-resource", "2")
    with home.mpiexec_launched(3, *words, **how(home)) as launch:
        give_up = time.monotonic() + LIMIT
        while "0.1.arriving" not in listed(home, "h0", f"{STUDY}/checkpoints"):
            assert time.monotonic() < give_up, launch.stderr
        (driver,) = [pid for pid in launch.processes() if is_rank_0(pid)]
        os.kill(driver, signal.SIGINT)
        while not any(isinstance(event, StopRequested) for event in events(home)):
            assert time.monotonic() < give_up, launch.stderr
        os.kill(driver, signal.SIGINT)
        ended = launch.wait()
    assert ended.status == 130, ended
    assert listed(home, "h0", f"{STUDY}/checkpoints") == ["0.1.arriving"]
    assert ended.left_behind == ()
    check_nothing_is_left(home)


def test_the_error_says_what_to_do_if_a_rank_lacks_the_directory(home: Hosts) -> None:
    ended = ashtune(home, 3, *RUN, *SIZE)
    assert ended.status == 2, ended
    assert ended.stdout == ""
    (said,) = ended.stderr.splitlines()
    assert re.search(r"rank (1 on h1|2 on h2): ", said), said
    assert f"does not find the driver's study in {home.private / STUDY};" in said
    assert said.endswith("or checkpoints='messages'")
    assert [type(event) for event in events(home)] == [SessionStarted]
    ended = ashtune(home, 3, *RUN, *SIZE, *MESSAGES)
    assert ended.status == 0, ended
    check_whole(events(home))
