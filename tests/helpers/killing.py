"""What tests that kill ranks share: the training function, which process is which rank, and what
must hold after.
"""

import os
import signal
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.events import Event, JobFinished, TrialStarted, WorkerJoined, WorkerLost
from ashtune._src.core.jobs import Job
from ashtune._src.core.ladder import Ladder
from ashtune._src.study.journal import NAME, read_events
from ashtune.testing.oracles import RecordedResult, unexplained_results
from tests.helpers.launching import PYTHON, Launch

TRIALS, MAX_RESOURCE = 400, 16
RANK_VARIABLES = (b"PMI_RANK=", b"OMPI_COMM_WORLD_RANK=")
# With a file named "hold" beside it, no trial from the number in it on begins: the study continues,
# but not to its end. With a file named "wait" beside it, trial 5 stops in its first epoch until it
# is killed, once: who it is, is then in "caught".
TRAIN = """
    import os
    import time
    from pathlib import Path

    HERE = Path(__file__).parent
    space = {"x": (0.0, 1.0)}

    def is_held(trial):
        try:
            return trial.number >= int((HERE / "hold").read_text())
        except FileNotFoundError:
            return False

    def train(trial):
        while is_held(trial):
            time.sleep(0.005)
        trained = trial.restore() or []
        for epoch in trial.epochs():
            time.sleep(0.005)
            if trial.number == 5 and (HERE / "wait").exists():
                (HERE / "wait").unlink()
                (HERE / "catching").write_text(str(os.getpid()))
                (HERE / "catching").rename(HERE / "caught")
                time.sleep(600)
            trained.append(epoch)
            assert trained == list(range(1, epoch + 1)), "resumed from the wrong checkpoint"
            trial.report(score=trial["x"] + (trial.number * epoch) % 7 / epoch)
        trial.save(trained)
"""


class Tuned:
    """A study of ``TRAIN`` in a folder, and the commands that run it.

    Args:
        folder: Where all of it lies.
        trials: How many configurations it tries.
    """

    def __init__(self, folder: Path, trials: int = TRIALS) -> None:
        self.trials = trials
        self._folder = folder
        folder.mkdir(exist_ok=True)
        (folder / "train.py").write_text(textwrap.dedent(TRAIN))
        self.directory = folder / "study"
        self.journal = self.directory / NAME
        ashtune_itself = (PYTHON, "-m", "ashtune")
        self.run = (
            *(
                *ashtune_itself,
                "run",
                f"{folder / 'train.py'}:train",
                "--metric",
                "score",
                "--mode",
                "max",
            ),
            *(
                "--trials",
                str(trials),
                "--max-resource",
                str(MAX_RESOURCE),
                "--directory",
                str(self.directory),
            ),
            *("--search", "random"),
            "--quiet",
        )
        self.resume = (*ashtune_itself, "resume", str(self.directory), "--quiet")

    @property
    def command(self) -> tuple[str, ...]:
        """What begins the study, or continues with it."""
        return self.resume if self.journal.exists() else self.run

    def hold(self, more: int) -> None:
        """Have it begin so many trials more and no others until it is let go: it does not end
        before it is killed.
        """
        begun = [event.trial for event in self.events() if isinstance(event, TrialStarted)]
        (self._folder / "hold").write_text(str(max(begun, default=-1) + 1 + more))

    def let_go(self) -> None:
        """Have it continue to its end."""
        (self._folder / "hold").unlink()

    def have_one_wait(self) -> None:
        """Have the fifth trial wait to be killed."""
        (self._folder / "wait").touch()

    def caught(self, launch: Launch) -> tuple[int, int]:
        """Wait for the trial that waits; return the process that trains it and the rank that it
        belongs to.
        """
        until(launch, (self._folder / "caught").exists)
        child = int((self._folder / "caught").read_text())
        return child, rank_of(launch, child)

    def events(self) -> list[Event]:
        """What is in the journal by now."""
        return list(read_events(self.journal)) if self.journal.exists() else []

    def results(self) -> list[JobFinished]:
        """The finished results in the journal by now."""
        return [event for event in self.events() if isinstance(event, JobFinished)]

    def joined(self) -> list[WorkerJoined]:
        """The workers that have come by now."""
        return [event for event in self.events() if isinstance(event, WorkerJoined)]

    def lost(self) -> list[WorkerLost]:
        """The workers that were lost by now."""
        return [event for event in self.events() if isinstance(event, WorkerLost)]

    def assert_is_whole(self) -> None:
        """Nothing is lost, nothing doubled, nothing failed, and every promotion is one of the
        paper's.
        """
        results = self.results()
        counted = Counter((event.trial, event.rung) for event in results)
        assert set(counted.values()) == {1}, "a finished result was trained again"
        assert {trial for trial, rung in counted if rung == 0} == set(range(self.trials)), (
            "a configuration is lost"
        )
        study = ashtune.Study.load(self.directory)
        assert study.is_complete
        assert StudyReader(study.directory).tally.failures.total == 0
        recorded = [
            RecordedResult(Job(e.trial, e.rung), -(e.metrics["score"] or 0.0)) for e in results
        ]
        assert unexplained_results(Ladder(1, MAX_RESOURCE, 2), recorded) == []


def ranks(launch: Launch) -> dict[int, int]:
    """The processes that are ranks by now: their numbers by their ranks.

    A rank is told which one it is, and so is a parent that it was given; its worker is not, but
    looks like the rank itself until it has become another program.
    """
    rank_by_pid: dict[int, int] = {}
    for pid, words in launch.processes().items():
        if words.startswith(f"{PYTHON} -m ashtune ") and (rank := _rank_of(pid)) is not None:
            rank_by_pid[pid] = rank
    return {rank: pid for pid, rank in rank_by_pid.items() if _parent_of(pid) not in rank_by_pid}


def rank_of(launch: Launch, worker: int) -> int:
    """The process that is the rank of a worker's process: one of those above it."""
    there, above = set(ranks(launch).values()), _parent_of(worker)
    while above not in there:
        assert above, f"process {worker} is of no rank"
        above = _parent_of(above)
    return above


def kill(launch: Launch, victims: Iterable[int]) -> None:
    """Kill processes of a launch, and delete the shared memory that it would leave in a folder of
    the machine.
    """
    shared = {file for pid in launch.processes() for file in _mapped(pid)}
    for pid in victims:
        with suppress(ProcessLookupError):  # the launcher was faster
            os.kill(pid, signal.SIGKILL)
    for file in shared:
        file.unlink(missing_ok=True)


def until(launch: Launch, is_so: Callable[[], bool], limit: float = 120.0) -> None:
    """Wait until something is so, while the launch runs."""
    give_up = time.monotonic() + limit
    while not is_so():
        assert launch.process.poll() is None, (
            f"it ended with {launch.process.returncode}:\n{launch.stderr}"
        )
        assert time.monotonic() < give_up, f"not so after {limit} s:\n{launch.stderr}"
        time.sleep(0.005)


def _rank_of(pid: int) -> int | None:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it ended meanwhile
        return None
    numbers = [
        variable.partition(b"=")[2] for variable in variables if variable.startswith(RANK_VARIABLES)
    ]
    return int(numbers[0]) if numbers else None


def _parent_of(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _mapped(pid: int) -> list[Path]:
    """The files of shared memory that a process has."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:
        return []
    return [Path(line.split(maxsplit=5)[5]) for line in lines if " /dev/shm/" in line]
