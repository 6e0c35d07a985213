"""The tables "Which way of running?" of README and guide agree, and each of their rows runs a whole
study.

Commands run in a shell as they are on the page, except for sizes, the name of the network
interface, and ``sbatch``.
"""

import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from ashtune._src.core.events import JobFinished, WorkerJoined, WorkerLost
from tests.helpers import pages
from tests.helpers.cluster import events, is_whole, until, write_function
from tests.helpers.launching import FAMILY, FAMILY_VARIABLES, Launch, launched

PAGE = "docs/guide/where-it-runs.md"
TRIALS = 40
SMALLER = {
    "trials=1000,": f"trials={TRIALS}, min_resource=1,",
    "max_resource=64,": 'max_resource=9, search="random", quiet=True,',
    'metric="accuracy"': 'metric="score"',
    '"ib0"': '"lo"',
    "-n 65": "-n 3",
}
STUDY = "runs/study"
POOL = "from concurrent.futures import ProcessPoolExecutor\npool = ProcessPoolExecutor(2)\n"


def rows(page: str) -> dict[str, str]:
    """Return the table of a page: what one has, and what one types."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", (pages.ROOT / page).read_text())
    (table,) = re.findall(
        r"^\| ?You have ?\| ?You type ?\|.*\n\|.*\n((?:\|.*\n)*)", text, re.MULTILINE
    )
    cells = [[cell.strip() for cell in row.split("|")[1:3]] for row in table.splitlines()]
    return dict(cells)


ROWS = rows(PAGE)


class Reader:
    """Somebody who types what a row says."""

    def __init__(self, folder: Path, row: str, stack: ExitStack) -> None:
        self.folder, self.study, self._stack = folder, folder / STUDY, stack
        self.commands = re.findall(r"`(.*?)`", _smaller(ROWS[row]))
        write_function(folder, seconds=0.02)
        (folder / "go").touch()
        self.engine = next(
            (command[len("tune(..., ") : -1] for command in self.commands if "engine=" in command),
            "",
        )

    def script(self, before: str = "") -> None:
        """Write the page's script with the row's engine to ``tune.py``."""
        (script,) = re.findall(
            r"^```python\n(# tune.py\n.*?)^```", (pages.ROOT / PAGE).read_text(), re.M | re.S
        )
        with_engine = (
            script.replace("max_resource=64", f"max_resource=64, {self.engine}")
            if self.engine
            else script
        )
        small = _smaller(with_engine)
        assert f"trials={TRIALS}" in small
        assert "max_resource=9" in small
        (self.folder / "tune.py").write_text(before + small)

    def types(self, command: str, cwd: str = ".", **variables: str) -> Launch:
        """Start a command in a shell."""
        path = f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
        variables = {**FAMILY_VARIABLES[FAMILY or "mpich"], "PATH": path, **variables}
        return self._stack.enter_context(
            launched("bash", "-c", command, cwd=self.folder / cwd, variables=variables)
        )


def _smaller(text: str) -> str:
    for large, small in SMALLER.items():
        text = text.replace(large, small)
    return text


def succeeds(launch: Launch) -> None:
    ended = launch.wait()
    assert ended.status == 0, str(ended)


def by_one_command(reader: Reader, command: str = "", before: str = "", **variables: str) -> None:
    """Carry out the row's first command, or another one for a row that only has the arguments of
    ``tune``.
    """
    reader.script(before)
    succeeds(reader.types(command or reader.commands[0], **variables))


by_python = partial(by_one_command, command="python tune.py")


def by_gpus(reader: Reader) -> None:
    by_python(reader, CUDA_VISIBLE_DEVICES="0,1")
    assert {event.worker for event in events(reader.study, WorkerJoined)} == {0, 1}


def by_dask(reader: Reader) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed")
    local = "Client(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None)"
    by_python(reader, before=f"from distributed import Client\nclient = {local}\n")


def by_workers_that_join(reader: Reader) -> None:
    """Six jobs of an array as SLURM starts them, three with a time limit, one cancelled, and a
    worker beside them.
    """
    reader.script()
    shutil.copy(pages.ROOT / "examples" / "slurm" / "array.sbatch", reader.folder)
    (sbatch,) = [command for command in reader.commands if command.startswith("sbatch")]
    write_function(reader.folder, seconds=2.5)
    (reader.folder / "go").unlink()
    driver = reader.types("python tune.py")
    job = f"bash {sbatch.rpartition(' ')[2]}"
    until((reader.study / "rendezvous.json").exists)
    short = {"SLURM_JOB_END_TIME": str(int(time.time()) + 30), "SLURM_CPUS_PER_TASK": "1"}
    jobs = [reader.types(job, **short) for _ in range(3)]
    jobs += [reader.types(job, SLURM_CPUS_PER_TASK="2") for _ in range(3)]
    jobs.append(reader.types(f"ashtune worker {STUDY}"))
    until(lambda: len(events(reader.study, WorkerJoined)) == 10)
    (reader.folder / "go").touch()
    jobs[-2].process.send_signal(signal.SIGTERM)
    until(lambda: len(events(reader.study, WorkerLost)) >= 5)
    succeeds(driver)
    assert all(lost.is_dismissed for lost in events(reader.study, WorkerLost))
    assert jobs.pop(-2).wait().status == 128 + signal.SIGTERM
    for launch in jobs:
        succeeds(launch)


def by_the_contents_of_a_file(reader: Reader) -> None:
    reader.engine = 'engine="cluster"'
    reader.script()
    driver = reader.types("python tune.py")
    until((reader.study / "rendezvous.json").exists)
    worker = reader.types(reader.commands[0], STUDY)
    succeeds(driver)
    succeeds(worker)


WAYS: dict[str, Callable[[Reader], None] | str] = {
    "a laptop": by_one_command,
    "GPUs in one machine": by_gpus,
    "a job on MPI (PBS, LSF)": by_one_command,
    "a SLURM job": "make test-cluster: tests/mpi/cluster/test_slurm_study.py",
    "many short jobs, spot or idle machines": by_workers_that_join,
    "a Dask cluster": by_dask,
    "another pool of tasks": partial(by_python, before=POOL),
    "MPI without a shared folder": partial(by_one_command, command="mpiexec -n 3 python tune.py"),
    "a worker without the study's folder": by_the_contents_of_a_file,
    "a program in any language that prints its "
    "loss": "test_pages.py carries out docs/guide/any-program.md",
    "training that ashtune cannot start": "test_pages.py carries out docs/guide/own-loop.md",
}


def test_every_table_row_of_the_readme_is_in_the_guide_and_tested() -> None:
    shown = rows("README.md")
    assert len(shown) == 4
    assert shown.items() <= ROWS.items()
    assert list(ROWS) == list(WAYS)


@pytest.fixture
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reader]:
    with ExitStack() as stack:
        yield Reader(tmp_path, request.param, stack)


@pytest.mark.thorough
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "reader", [row for row, way in WAYS.items() if callable(way)], indirect=True
)
def test_the_commands_in_each_row_of_the_table_run_a_whole_study(
    reader: Reader, request: pytest.FixtureRequest
) -> None:
    way = WAYS[request.node.callspec.params["reader"]]
    assert callable(way)
    way(reader)
    assert events(reader.study, JobFinished)
    is_whole(reader.study, TRIALS)
