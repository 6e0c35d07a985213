"""The live page of large studies: first view, changes, answers and memory; optuna-dashboard beside
it.

Studies are made by the simulated engine: 64 workers, rungs of 1 to 64 epochs with a reduction
factor of 2, four hyperparameters, a report in each epoch. The last twentieth of a journal is
written while the page is watched.

Claims, of 100,000 trials: first sight in under 6 s from the start of the command, deltas under 100
KB and made in under 0.1 s, a query of the trials in under 0.1 s, the server under 300 MB.

"first sight" is a snapshot in which all of the journal counts, "jobs known" one that also knows who
has which job. The first message of a new viewer while the journal grows takes what making the parts
takes. Memory is the most that the server had; what works answers out is another process, measured
beside it.

optuna-dashboard, where it is installed (`make test-integrations` makes the environment), shows the
same study, exported with all of its trials (`ashtune export` writes the best 10,000): the seconds
until its page has its data, and the size and the seconds of the next refresh.

    .venv-integrations/bin/python benchmarks/watching.py [--trials 100000,1000000] [--peer-trials
    100000] [--json FILE]
"""

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ashtune
from ashtune._src.core.ladder import Ladder
from ashtune._src.engines.simulated.simulated_times import half_normal
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine
from ashtune._src.schedulers.ash import Ash
from ashtune._src.search.random import Random
from ashtune._src.simulation.simulated_curves import invent_curves
from ashtune._src.simulation.simulated_run import simulate
from ashtune._src.space.space import Space
from ashtune._src.study.configurations import Configurations
from ashtune._src.study.factory import new_study
from ashtune._src.study.journal import NAME
from ashtune._src.study.journal_writer import Journal, create
from ashtune.integrations import optuna
from table import show

SPACE = {
    "rate": (1e-4, 1.0, "log"),
    "momentum": (0.0, 0.99),
    "width": [16, 32, 64, 128],
    "kind": ["relu", "tanh"],
}
WORKERS = 64
LAST = 0.05
"""The part of a journal that is written while it is watched."""
LIVE_SECONDS = 15.0
PIECES = 60
QUERIES = {
    "sorted by value": "trials?sort=value&order=asc&count=50",
    "searched": "trials?search=tanh+rate%3C0.01+paused&sort=seconds&count=50",
    "filtered by two "
    "ranges": "trials?where=rate:0.001:0.1&where=momentum:0.5:&sort=momentum&count=50",
}
SLOW = (
    "importance",
    "slices",
    "parallel",
    "contour?x=rate&y=momentum",
    "audit",
    "whatif?workers=1,8,64",
)
PEER = "from optuna_dashboard._cli import main; main()"


def study(directory: Path, trials: int) -> None:
    """Simulate a study; its journal is in the directory."""
    curves, space, search, ladder = invent_curves(), Space.parse(SPACE), Random(), Ladder(1, 64, 2)
    settings = new_study(
        name=f"{trials:,} trials", goal=curves.goal, scheduler=Ash(), ladder=ladder, space=space,
        search=search, seed=0,
        simulated=True,
    ).settings  # fmt: skip
    directory.mkdir()
    create(directory / NAME, settings)
    engine = SimulatedEngine(
        curves.training(stretch=half_normal(0.3), has_curves=True), workers=WORKERS, seed=0
    )
    with Journal(directory / NAME) as journal:
        simulate(
            Ash().build(ladder, 0, 0), engine, [], trials=trials, goal=curves.goal, ledger=journal,
            configurations=Configurations(search.build(space, 0)),
        )  # fmt: skip


class Page:
    """``ashtune watch`` of a study, in a process of its own."""

    def __init__(self, directory: Path) -> None:
        self._began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ashtune", "watch", str(directory)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        self.address = urlsplit(self.process.stdout.readline().decode().strip())

    def events(self, after: str = "") -> Iterator[tuple[float, str, bytes]]:
        """Yield (seconds since the start, id, data) of each message."""
        connection = self._connection()
        connection.request(
            "GET", f"{self.address.path}api/studies/0/events" + (f"?after={after}" if after else "")
        )
        answer, number = connection.getresponse(), ""
        with contextlib.closing(connection):
            while line := answer.readline():
                if line.startswith(b"id: "):
                    number = line[4:-1].decode()
                if line.startswith(b'data: {"position'):  # not what says that the server ends
                    yield time.perf_counter() - self._began, number, line[6:-1]

    def ask(self, path: str) -> tuple[float, bytes]:
        """Return the seconds that an answer took, and the answer."""
        connection, began = self._connection(), time.perf_counter()
        with contextlib.closing(connection):
            connection.request("GET", f"{self.address.path}api/studies/0/{path}")
            body = connection.getresponse().read()
        return time.perf_counter() - began, body

    def megabytes(self) -> float:
        """Return the most memory that the server had."""
        return _peak(self.process.pid)

    def megabytes_of_answers(self) -> float:
        """Return the most memory that a process had that works answers out."""
        peaks = []
        for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(OSError):  # of a connection that has just ended
                peaks += [_peak(int(pid)) for pid in (thread / "children").read_text().split()]
        return max(peaks, default=0.0)

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()

    def _connection(self) -> http.client.HTTPConnection:
        assert self.address.hostname is not None
        return http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=600)


def _peak(pid: int) -> float:
    match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) / 1000 if match else 0.0


def watched(trials: int, whole: Path, folder: Path) -> list[list[Any]]:
    """Measure a page, while the end of the journal is written; return its rows."""
    data = whole.joinpath(NAME).read_bytes()
    begin = data.rindex(b"\n", 0, int(len(data) * (1 - LAST))) + 1
    live = folder / f"live-{trials}"
    live.mkdir()
    (live / NAME).write_bytes(data[:begin])
    page = Page(live)
    first = any_sight = level = 0.0
    for seconds, _, message in page.events():
        head = json.loads(message)["parts"].get("head")
        any_sight = any_sight or seconds
        if head and head["is_reading"] == 1 and not first:
            first = seconds
        if head and head["is_reading"] == 1 and head["running"] is not None:
            level = seconds
            break
    pieces = _pieces(data[begin:])
    sizes, waits, number = [], [], ""
    stream = page.events()
    next(stream)
    with (live / NAME).open("ab", buffering=0) as journal:
        for piece in pieces:
            journal.write(piece)
            _, number, message = next(stream)
            sizes.append(len(message))
            began = time.perf_counter()
            next(page.events(number))
            waits.append(time.perf_counter() - began)
            time.sleep(LIVE_SECONDS / PIECES)
    queries = {name: min(page.ask(path)[0] for _ in range(3)) for name, path in QUERIES.items()}
    trial = page.ask(f"trials/{trials // 2}")[0]
    memory = page.megabytes()
    slow = {path.partition("?")[0]: page.ask(path)[0] for path in SLOW}
    answers = page.megabytes_of_answers()
    memory = max(memory, page.megabytes())
    page.close()
    waits.sort()
    return [
        ["journal, MB", len(data) / 1e6],
        ["something to see, s", any_sight],
        ["first sight, s", first],
        ["jobs known, s", level],
        ["largest delta, KB", max(sizes) / 1e3],
        ["first message of a new viewer, median, s", waits[len(waits) // 2]],
        ["first message of a new viewer, longest, s", waits[-1]],
        *([f"trials {name}, s", seconds] for name, seconds in queries.items()),
        ["a trial's page, s", trial],
        *([f"{name}, s", seconds] for name, seconds in slow.items()),
        ["server, MB", memory],
        ["process of answers, MB", answers],
    ]


def _pieces(data: bytes) -> list[bytes]:
    lines = data.splitlines(keepends=True)
    size = max(1, len(lines) // PIECES)
    return [b"".join(lines[place : place + size]) for place in range(0, len(lines), size)][:PIECES]


def peer(trials: int, whole: Path, folder: Path) -> list[list[Any]]:
    """Measure optuna-dashboard on the exported study."""
    log = folder / "optuna.log"
    optuna.MOST = trials
    began = time.perf_counter()
    ashtune.Study.load(whole).export("optuna", log)
    exported, began = time.perf_counter() - began, time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", PEER, "--host", "127.0.0.1", "--port", "43217", str(log)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        body = b""
        while not body:
            assert process.poll() is None, "optuna-dashboard has ended"
            time.sleep(0.05)
            with contextlib.suppress(OSError):
                _, body = _ask_peer("/api/studies")
        [summary] = json.loads(body)["study_summaries"]
        path = f"/api/studies/{summary['study_id']}?after=0"
        _, body = _ask_peer(path)
        first = time.perf_counter() - began
        again, body = _ask_peer(path)
        memory = _peak(process.pid)
    finally:
        process.terminate()
        process.wait()
    return [
        ["export, s", exported],
        ["first sight, s", first],
        ["a refresh, s", again],
        ["a refresh, KB", len(body) / 1e3],
        ["server, MB", memory],
    ]


def _ask_peer(path: str) -> tuple[float, bytes]:
    connection, began = (
        http.client.HTTPConnection("127.0.0.1", 43217, timeout=1800),
        time.perf_counter(),
    )
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    return time.perf_counter() - began, body if answer.status == 200 else b""


def given(name: str, default: str) -> list[int]:
    """Return the numbers of an option."""
    return [
        int(part)
        for part in (sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default).split(",")
    ]


def main() -> None:
    """Measure and print."""
    sizes, of_peer = given("--trials", "100000,1000000"), given("--peer-trials", "100000")
    has_peer = find_spec("optuna_dashboard") is not None
    columns: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for trials in sorted({*sizes, *(of_peer if has_peer else [])}):
            whole = folder / f"study-{trials}"
            study(whole, trials)
            if trials in sizes:
                columns[f"ashtune watch, {trials:,} trials"] = dict(
                    map(tuple, watched(trials, whole, folder))
                )  # type: ignore[arg-type]
            if trials in of_peer and has_peer:
                columns[f"optuna-dashboard, {trials:,} trials"] = dict(
                    map(tuple, peer(trials, whole, folder))
                )  # type: ignore[arg-type]
            for left in (whole, folder / f"live-{trials}"):
                if (left / NAME).exists():
                    (left / NAME).unlink()
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    show(
        "The live page",
        ["", *columns],
        [[name, *(column.get(name, "") for column in columns.values())] for name in names],
    )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
