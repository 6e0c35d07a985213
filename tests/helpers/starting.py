"""A training function that starts processes of every kind, for tests of what is left of them when
something ends.
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ashtune._src.engines.worker import guardian
from ashtune._src.processes.memory import ProcessTable

KINDS = ("a fork", "a process", "a pool", "a session", "a daemon")

# Trial 0 starts everything, says so in "started", and trains until there is a file "continue"; called
# again, as after a death, it starts nothing.
TRAIN = """
    import multiprocessing
    import os
    import signal
    import subprocess
    import sys
    import time
    from pathlib import Path

    HERE = Path(__file__).parent if "__file__" in globals() else Path.cwd()
    space = {"x": (0.0, 1.0)}

    def sleep_for_long(*_):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
        time.sleep(600)

    def say(kind, pid):
        with (HERE / "starting").open("a") as file:
            file.write(f"{kind}={pid}\\n")

    def start_all():
        if (child := os.fork()) == 0:
            sleep_for_long()
        say("a fork", child)
        context = multiprocessing.get_context("fork")
        process = context.Process(target=sleep_for_long)
        process.start()
        say("a process", process.pid)
        pool = context.Pool(2)
        pool.map_async(sleep_for_long, range(2))
        for child in multiprocessing.active_children():
            if child is not process:
                say("a pool", child.pid)
        session = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        say("a session", session.pid)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                say("a daemon", os.getpid())
                sleep_for_long()
            os._exit(0)
        os.wait()
        while "a daemon" not in (HERE / "starting").read_text():
            time.sleep(0.01)
        say("the worker", os.getpid())
        (HERE / "starting").rename(HERE / "started")
        return pool

    def train(trial):
        if trial.number == 0:
            pool = None if (HERE / "started").exists() else start_all()
            while not (HERE / "continue").exists():
                time.sleep(0.01)
        for epoch in trial.epochs():
            trial.report(score=trial["x"] * epoch)
"""


def started(folder: Path) -> dict[str, list[int]]:
    """The processes that trial 0 has started, and its worker, once all are
    there; nothing before.
    """
    pids: dict[str, list[int]] = {}
    if (folder / "started").exists():
        for line in (folder / "started").read_text().splitlines():
            kind, _, pid = line.partition("=")
            pids.setdefault(kind, []).append(int(pid))
    return pids


def are_running(pids: Iterable[int]) -> list[int]:
    """Those that run; one that is dead and not yet waited for does not."""
    running = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in ("Z", "X"):
            running.append(pid)
    return running


def wait_until_gone(pids: Iterable[int], limit: float = 60.0) -> None:
    """Wait until none of them runs; they are given some seconds on a busy machine."""
    give_up = time.monotonic() + limit
    while left := are_running(pids):
        assert time.monotonic() < give_up, f"left behind: {left}"
        os.sched_yield()
        time.sleep(0.005)


def ranks_of_workers(ancestor: int) -> list[int]:
    """Return the processes that train trials below a process: the children of guardians."""
    guardians = {pid for pid in ProcessTable().descendants(ancestor) if _is_a_guardian(pid)}
    return [pid for pid in guardians if guardians & set(_parents_of(pid))]


def _is_a_guardian(pid: int) -> bool:
    with suppress(OSError):  # it has ended
        return guardian.MODULE.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _parents_of(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])]
    return []
