"""Real studies under real faults, mixed at random:
``python -m tests.faults.chaos --local 40 --mpi 20 --seed 0``.

Each study is a script that is started again after each death until it is complete. Meanwhile a seed
decides what is done to it: SIGKILL of the driver, a worker, a rank or what training has started;
SIGSTOP and SIGCONT of the driver, a worker or all of it; a full disk (a small tmpfs, which wants
root). In some studies the training function limits itself by SIGALRM. After that
``chaos_oracle.py`` reads the directory, and no process of the study may be left.

A seed decides what is done and when, not what the processes are at in that moment: a defect is met
again by running its study several times (``--only local/7 --times 20``).
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.chaos_oracle import Oracle, whole_lines
from tests.helpers.launching import (
    FAMILY,
    FAMILY_VARIABLES,
    PYTHON,
    Launch,
    launched,
    mpiexec_words,
)

LIMIT = 240.0  # seconds for one study with all its starts
GONE_SECONDS = 60.0  # for what should be gone in one or two; the machine may be busy
DISK_BYTES = 4 << 20
MOST_STARTS = 40
ON_LINUX = sys.platform == "linux"

SCRIPT = """
    import json
    import os
    import pickle
    import random
    import signal
    import subprocess
    import sys
    import time
    from pathlib import Path

    import ashtune

    PLAN = json.loads(Path(__file__).with_name("plan.json").read_text())

    class TookTooLong(Exception):
        pass

    class NoRoom(Exception):
        pass

    def out_of_time(number, frame):
        raise TookTooLong

    def limit_to(seconds):
        signal.signal(signal.SIGALRM, out_of_time)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def start_others():
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        if random.random() < 0.5:
            subprocess.Popen(command, start_new_session=True)
        elif os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(600)
            os._exit(0)
        else:
            os.wait()

    def learn(trial):
        before = trial.restore()
        if before is not None:
            assert before[:2] == [trial.number, trial.start], f"resumed from {before[:2]} at {trial.start}"
        if PLAN["memory"] == "checkpoint_dir" and trial.start:
            epochs = (trial.checkpoint_dir / "epochs").read_text()
            assert epochs == str(trial.start), f"resumed from {epochs} at {trial.start}"
        assert PLAN["memory"] or not trial.start, f"resumed at {trial.start} from nothing"
        epoch = trial.start
        for epoch in trial.epochs():
            time.sleep(PLAN["epoch_seconds"])
            if epoch == trial.target and random.random() < PLAN["alarm"]:
                limit_to(random.uniform(0.00001, 0.003))  # it may come between the report and its answer
            trial.report(score=trial["x"] + (trial.number * epoch) % 7 / epoch)
        if PLAN["memory"] == "save":
            trial.save([trial.number, epoch, bytes(PLAN["bytes"])])
        elif PLAN["memory"] == "checkpoint_dir":
            try:
                (trial.checkpoint_dir / "weights").write_bytes(bytes(PLAN["bytes"]))
                (trial.checkpoint_dir / "epochs").write_text(str(epoch))
            except OSError as error:
                raise NoRoom(error.strerror) from None

    def train(trial):
        if random.random() < PLAN["others"]:
            start_others()
        if random.random() < PLAN["alarm"]:
            limit_to(random.uniform(0.0001, 4 * PLAN["epoch_seconds"]))
        try:
            return learn(trial)
        finally:
            if not PLAN["forgets_its_alarm"]:
                signal.setitimer(signal.ITIMER_REAL, 0)

    if __name__ == "__main__":
        study = ashtune.tune(
            train, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=PLAN["trials"], min_resource=1,
            max_resource=PLAN["top"], scheduler=PLAN["scheduler"],
            engine=ashtune.Auto(trial_timeout=PLAN["timeout"], workers=PLAN["workers"]),
            directory=PLAN["directory"], quiet=True, seed=PLAN["seed"],
        )
        best = study.best
        told = None if best is None else [best.trial, best.rung, best.metrics["score"]]
        Path(PLAN["result"]).with_suffix(".part").write_text(json.dumps(told))
        Path(PLAN["result"]).with_suffix(".part").rename(PLAN["result"])
"""


@dataclass
class ChaosRecord:
    """What was done to a study, and what came of it."""

    name: str
    plan: dict[str, object]
    injected: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    seconds: float = 0.0
    complaints: list[str] = field(default_factory=list)
    folder: Path | None = None  # kept, if there is something to complain of


class Chaos:
    """One study and what is done to it.

    Args:
        engine: "local" or "mpi".
        seed: With the engine, decides what is done.
        folder: An empty folder for all of it.
        disk: A folder whose disk is small and may be filled; None for none.
    """

    def __init__(self, engine: str, seed: int, folder: Path, disk: Path | None) -> None:
        self.engine, self.folder = engine, folder
        self.rng = rng = random.Random(f"{engine}/{seed}")
        is_full_at_times = rng.random() < 0.4 and disk is not None
        self.disk = disk if is_full_at_times else None
        self.study = (self.disk or folder) / "study"
        self.journal = self.study / "journal.jsonl"
        self.result = folder / "result.json"
        with_alarm = rng.random() < 0.5
        self.plan: dict[str, object] = {
            "scheduler": rng.choice(["ash", "ash", "ash", "stopping", "sh", "full"]),
            "memory": rng.choice(["save", "save", "checkpoint_dir", "checkpoint_dir", ""]),
            "timeout": rng.choice([None, None, 3.0]),
            "trials": rng.choice([40, 60, 90]),
            "top": rng.choice([4, 8, 9]),
            "epoch_seconds": rng.choice([0.01, 0.02, 0.04]),
            "bytes": rng.choice([100, 20_000, 100_000]) if not is_full_at_times else 30_000,
            "others": rng.choice([0.0, 0.1]),
            "alarm": 0.1 if with_alarm else 0.0,
            "forgets_its_alarm": rng.random() < 0.3,
            "workers": 2 if engine == "local" else None,
            "seed": seed,
            "directory": str(self.study),
            "result": str(self.result),
        }
        self.outcome = ChaosRecord(f"{engine}/{seed}", {**self.plan, "disk": is_full_at_times})
        self._before = b""
        self._is_excused = False  # something was done since the last start that may end it
        self._has_killed_a_worker = False
        (folder / "tune.py").write_text(textwrap.dedent(SCRIPT))
        (folder / "plan.json").write_text(json.dumps(self.plan))

    @property
    def command(self) -> list[str]:
        """What starts the study, and starts it again."""
        script = [PYTHON, str(self.folder / "tune.py")]
        return script if self.engine == "local" else mpiexec_words(3, *script)

    def run(self) -> ChaosRecord:
        """Start it until it is complete, then let the oracle read it."""
        began = time.monotonic()
        faults: list[Callable[[Launch], None]] = self._faults()
        variables = {} if self.engine == "local" else dict(FAMILY_VARIABLES[str(FAMILY)])
        while not self.result.exists():
            self.outcome.starts += 1
            if self.outcome.starts > MOST_STARTS:
                self._complain(f"not complete after {MOST_STARTS} starts")
                break
            self._is_excused = self._has_killed_a_worker = False
            with launched(*self.command, cwd=self.folder, variables=variables) as launch:
                if not self._one_life(launch, faults, began):
                    break
        self.outcome.seconds = time.monotonic() - began
        if self.result.exists():
            self._ask_the_oracle()
        return self.outcome

    def _one_life(
        self, launch: Launch, faults: list[Callable[[Launch], None]], began: float
    ) -> bool:
        """See to one start until its end; return whether the next is worth it."""
        while faults and launch.process.poll() is None:
            if self.rng.random() < 0.8:  # the others are early, when nobody has joined
                self._wait_for_a_worker(launch)
            self._sleep(launch, self.rng.uniform(0.0, 0.4))
            if launch.process.poll() is None:
                faults.pop()(launch)
        try:
            launch.process.wait(max(1.0, began + LIMIT - time.monotonic()))
        except subprocess.TimeoutExpired:
            there = len(launch.processes())
            self._complain(
                f"not over after {LIMIT:g} s, with {there} processes: {launch.stderr[-500:]}"
            )
            return False
        give_up = time.monotonic() + GONE_SECONDS
        while (left := launch.processes()) and time.monotonic() < give_up:
            time.sleep(0.05)
        if left:
            self._complain(f"left behind: {list(left.values())}")
        self._check_prefix()
        status = launch.process.returncode
        if self._has_killed_a_worker and "workers end before" in launch.stderr:
            # three of them in a row before their first job, which is meant to end a study
            self._is_excused = True
        if status != 0 and not self._is_excused:
            self._complain(
                f"start {self.outcome.starts} ended with {status}: {launch.stderr[-800:]}"
            )
            return False
        last = (launch.stderr.splitlines() or [""])[-1]
        if "Traceback" in launch.stderr and not last.startswith("ashtune.errors."):
            self._complain(f"start {self.outcome.starts}, a traceback: {launch.stderr[-1500:]}")
        return True

    def _wait_for_a_worker(self, launch: Launch) -> None:
        while launch.process.poll() is None and not _workers(launch):
            time.sleep(0.02)

    def _sleep(self, launch: Launch, seconds: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            launch.process.wait(seconds)

    def _complain(self, text: str) -> None:
        self.outcome.complaints.append(text)

    def _check_prefix(self) -> None:
        """Nothing that was in the file may be gone."""
        now = whole_lines(self.journal)
        if not now.startswith(self._before):
            self._complain(
                f"the journal lost or changed what it had: {len(self._before)} bytes before, "
                f"{len(now)} now"
            )
        self._before = now

    def _ask_the_oracle(self) -> None:
        reported = json.loads(self.result.read_text())
        causes = {
            "TookTooLong": self.plan["alarm"],
            "NoRoom": self.disk,
            "over its trial_timeout": self.outcome.injected["stop worker"],
        }
        excuses = [excuse for excuse, holds in causes.items() if holds]
        try:
            best = None if reported is None else tuple(reported)
            again = self.disk is not None
            oracle = Oracle(
                self.study, self.plan["trials"], best, tuple(excuses), may_begin_again=again
            )
            self.outcome.complaints += oracle.complaints()
            failures = [
                event["reason"] for event in oracle.events if event["event"] == "job_failed"
            ]
            self.outcome.injected["alarm"] = sum(
                reason.startswith("TookTooLong") for reason in failures
            )
        except (KeyError, ValueError, OSError) as error:
            self._complain(f"the oracle cannot read it: {type(error).__name__}: {error}")

    def _faults(self) -> list[Callable[[Launch], None]]:
        """What will be done, the last first."""
        possible: list[Callable[[Launch], None]] = [
            self.kill_the_driver, self.kill_a_worker, self.kill_a_worker, self.stop_the_driver,
            self.stop_a_worker,
            self.stop_all, self.kill_the_driver_of_stopped_workers,
        ]  # fmt: skip
        if self.plan["others"]:
            possible += [self.kill_a_child]
        if self.engine == "mpi":
            possible += [self.kill_a_rank, self.kill_a_rank]
        if self.disk is not None:
            possible += [self.fill_the_disk] * 4
        kinds = self.rng.sample(possible, self.rng.randint(2, len(possible)))
        return [self.rng.choice(kinds) for _ in range(self.rng.randint(4, 12))]

    def kill_the_driver(self, launch: Launch) -> None:
        self._kill(launch, "kill driver", self._drivers(launch))

    def kill_a_rank(self, launch: Launch) -> None:
        self._kill(launch, "kill rank", _ranks(launch)[1:])

    def kill_a_worker(self, launch: Launch) -> None:
        """A worker's death is no excuse for the driver's."""
        self._has_killed_a_worker = True
        self._kill(launch, "kill worker", _workers(launch), ends_it=False)

    def kill_a_child(self, launch: Launch) -> None:
        self._kill(launch, "kill child", _others(launch), ends_it=False)

    def stop_the_driver(self, launch: Launch) -> None:
        with self._stopped("stop driver", self._drivers(launch)):
            time.sleep(self._stop_seconds())

    def stop_a_worker(self, launch: Launch) -> None:
        workers = _workers(launch)
        with self._stopped("stop worker", self.rng.sample(workers, min(1, len(workers)))):
            time.sleep(self._stop_seconds())

    def stop_all(self, launch: Launch) -> None:
        with self._stopped("stop all", list(launch.processes())):
            time.sleep(self._stop_seconds())

    def kill_the_driver_of_stopped_workers(self, launch: Launch) -> None:
        with self._stopped("stop workers, kill driver", _workers(launch)):
            self._kill(launch, "", self._drivers(launch))
            self._sleep(launch, 0.5)

    def fill_the_disk(self, launch: Launch) -> None:
        self._is_excused = True
        self.outcome.injected["full disk"] += 1
        assert self.disk is not None
        with filled(self.disk):
            self._sleep(launch, self.rng.uniform(0.1, 1.0))

    def _stop_seconds(self) -> float:
        timeout = self.plan["timeout"]
        return (
            timeout + 1.0
            if isinstance(timeout, float) and self.rng.random() < 0.7
            else self.rng.uniform(0.2, 1.5)
        )

    def _kill(
        self, launch: Launch, what: str, pids: Sequence[int], *, ends_it: bool = True
    ) -> None:
        before = whole_lines(self.journal)
        for pid in self.rng.sample(sorted(pids), min(1, len(pids))):
            self._is_excused = self._is_excused or ends_it
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                if what:
                    self.outcome.injected[what] += 1
        if not before.startswith(self._before):
            self._complain("the journal lost or changed what it had")
        self._before = max(self._before, before, key=len)

    @contextmanager
    def _stopped(self, what: str, pids: Sequence[int]) -> Iterator[None]:
        stopped = []
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
        if stopped:
            self.outcome.injected[what] += 1
        try:
            yield
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _drivers(self, launch: Launch) -> list[int]:
        return [launch.process.pid] if self.engine == "local" else _ranks(launch)[:1]


def _parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _guarded(launch: Launch) -> dict[int, str]:
    return {
        pid: words
        for pid, words in launch.processes().items()
        if "ashtune._src.engines.worker.guardian" in words
    }


def _workers(launch: Launch) -> list[int]:
    """The workers: forked from their guardians, each the head of a session."""
    guarded = _guarded(launch)
    guardians = [pid for pid in guarded if _parent_of(pid) not in guarded]
    return [pid for pid in guarded if _parent_of(pid) in guardians and _is_leader(pid)]


def _is_leader(pid: int) -> bool:
    with suppress(ProcessLookupError):
        return os.getsid(pid) == pid
    return False


def _others(launch: Launch) -> list[int]:
    """What training has started."""
    guarded, workers = _guarded(launch), _workers(launch)
    forks = [pid for pid in guarded if pid not in workers and _parent_of(pid) in guarded]
    return forks + [pid for pid, words in launch.processes().items() if "time.sleep(600)" in words]


def _ranks(launch: Launch) -> list[int]:
    """The ranks' processes by their ranks."""
    pids = {}
    for pid, words in launch.processes().items():
        if words.endswith("tune.py") and words.startswith(PYTHON):
            with suppress(OSError):
                for variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    name, _, value = variable.partition(b"=")
                    if name in (b"PMI_RANK", b"OMPI_COMM_WORLD_RANK"):
                        pids[int(value)] = pid
    return [pids[rank] for rank in sorted(pids)]


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Leave no byte on a disk for a while."""
    ballast = disk / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))
        yield
    finally:
        ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A disk of a few megabytes; None where there can be none."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if (
        not ON_LINUX
        or os.geteuid() != 0
        or subprocess.run(words, capture_output=True, check=False).returncode
    ):
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def run(engine: str, seed: int) -> ChaosRecord:
    """Run one study; its folder is kept if there is something to complain of."""
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{engine}-{seed}-"))
    with small_disk(folder / "disk") as disk:
        chaos = Chaos(engine, seed, folder, disk)
        outcome = chaos.run()
        if outcome.complaints and chaos.disk is not None:
            with suppress(shutil.Error):
                shutil.copytree(chaos.study, folder / "study", symlinks=True)
    if outcome.complaints:
        outcome.folder = folder
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def table(outcomes: Sequence[ChaosRecord]) -> str:
    """What was injected, and what came of it."""
    lines = []
    for outcome in outcomes:
        plan = outcome.plan
        what = (
            ", ".join(
                f"{count} {kind}" for kind, count in sorted(outcome.injected.items()) if count
            )
            or "nothing"
        )
        how = f"{plan['scheduler']}, {plan['memory'] or 'saves nothing'}"
        how += (
            ", timeout" * bool(plan["timeout"])
            + ", alarm" * bool(plan["alarm"])
            + ", disk" * bool(plan["disk"])
        )
        verdict = f"{len(outcome.complaints)} COMPLAINTS" if outcome.complaints else "right"
        took = f"{outcome.starts:3} starts {outcome.seconds:5.0f} s"
        lines.append(f"{outcome.name:10} {verdict:13} {took}  {how}: {what}")
    total: Counter[str] = Counter()
    for outcome in outcomes:
        total.update(outcome.injected)
    lines.append("")
    lines += [f"{kind:28} {count:5}" for kind, count in sorted(total.items())]
    lines.append(f"{'starts':28} {sum(outcome.starts for outcome in outcomes):5}")
    right = sum(not outcome.complaints for outcome in outcomes)
    lines.append(f"{right} of {len(outcomes)} studies right and complete, no process left")
    for outcome in outcomes:
        lines += [f"{outcome.name}: {complaint}" for complaint in outcome.complaints]
        lines += [f"{outcome.name}: kept in {outcome.folder}"] if outcome.folder else []
    return "\n".join(lines)


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--local", type=int, default=0, help="studies on two local workers")
    parser.add_argument("--mpi", type=int, default=0, help="studies over three ranks")
    parser.add_argument("--seed", type=int, default=0, help="of the first study; the others follow")
    parser.add_argument("--only", metavar="ENGINE/SEED", help="this study alone")
    parser.add_argument("--times", type=int, default=1, help="how often to run it")
    parser.add_argument(
        "--at-once", type=int, default=os.cpu_count() or 1, help="studies at the same time"
    )
    given = parser.parse_args()
    if given.only:
        engine, _, seed = given.only.partition("/")
        studies = [(engine, int(seed))] * given.times
    else:
        studies = [("local", given.seed + number) for number in range(given.local)]
        studies += [("mpi", given.seed + number) for number in range(given.mpi)]
    with ThreadPoolExecutor(given.at_once) as several:
        outcomes = list(several.map(lambda study: run(*study), studies))
    print(table(outcomes))
    return int(any(outcome.complaints for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
