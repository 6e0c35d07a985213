"""The code and the commands of a page, carried out in their order as a reader would, in sizes that
take seconds.

Blocks of Python share one namespace, which is that of ``__main__``, as in a notebook. Commands run
in this process. Both find a ``train.py`` and finished studies under the names that the pages use.
"""

import contextlib
import io
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from unittest import mock

from sybil import Document, Example, Region, Sybil
from sybil.parsers.markdown import CodeBlockParser

import ashtune
from tests import ROOT
from tests.helpers import commands

GUIDE = ROOT / "docs" / "guide"
FOLDERS_RUN_HERE = ("coming-from", "clusters")
"""Folders of the guide whose pages need no library but those of the test environment."""
PAGES = [
    "README.md",
    "docs/index.md",
    "src/ashtune/SKILL.md",
    *sorted(
        str(page.relative_to(ROOT))
        for pattern in ("*.md", *(f"{folder}/*.md" for folder in FOLDERS_RUN_HERE))
        for page in GUIDE.glob(pattern)
    ),
]
INTEGRATION_PAGES = sorted(str(page.relative_to(ROOT)) for page in GUIDE.glob("integrations/*.md"))
"""They are carried out by ``make test-integrations``, in the environment
that has their libraries.
"""

MOST_TRIALS = 24
TOP = 8
TOP_RESUMED = 16
MOST_SIMULATED = 10_000
WORKERS = 2

TRAIN = """
    space = {"rate": (0.01, 1.0, "log"), "width": [4, 8]}

    def train(trial):
        trained = trial.restore() or 0
        for epoch in trial.epochs():
            trained += 1
            trial.report(accuracy=1 - 0.9 / (trained * trial["rate"] + 1))
        trial.save(trained)
"""
STUDIES = ["runs/train-20261124-101500", "runs/digits", "runs/study"]
"""Studies that the pages take for granted: finished ones of ``train.py``, with a profile."""

NOT_RUN = {
    "make": "make test runs this test; make demo takes two minutes",
    "pip": "installs from a registry",
    "mpiexec": "tests/mpi starts real ranks",
    "srun": "wants SLURM: make test-cluster",
    "sbatch": "wants SLURM: make test-cluster",
    "cd examples/slurm": "goes with sbatch",
    "ln": "links to a folder of the reader's",
    "ashtune run train.py:train --metric accuracy --mode max --trials 64 --max-resource 8 "
    "--workers 4 --gpus-per-worker": "wants two GPUs",
    "ashtune baseline "
    "--models": "trains the demo's network for minutes; tests of the command train smaller ones",
    "ashtune roofline --keep": "measures this machine for half a minute",
    "ashtune roofline --study": "wants a fused study and measures for half a minute",
    "ashtune roofline": "measures this machine for half a minute; with figures given it runs",
    "ashtune watch": "serves until Ctrl-C: tests/dashboard",
    "ashtune mcp": "talks to an assistant: tests/dashboard/test_mcp.py",
    "ashtune run ...": "an ellipsis",
    "ashtune run --space space.json --metric "
    "eval_accuracy": "wants torchrun: test_transformers.py has another",
    "ashtune run --space space.json --metric loss --mode min --max-resource 9": "the same",
    "ashtune worker": "joins a study: tests/engines/cluster and test_ways_of_running.py",
    "ashtune run train.py:train --metric accuracy --mode max --trials 1000 --max-resource 64 "
    "--engine": "waits for workers: test_ways_of_running.py",
    "mkdir -p study &&": "copies from another machine",
    "ssh": "wants another machine: tests/browser/test_watch_behind_proxies.py has a proxy",
    "python main.py": "the page's block of Python is that script: test_integration_pages.py runs "
    "it",
    "python3.11 -m pip": "installs from a registry",
    "python3.11 -m venv": "goes with it",
    "~/ashtune/bin/pip": "wants the files of pip download",
    "apptainer": "wants Apptainer, as the page says",
    "kubectl": "wants Kubernetes, as the page says",
}
"""Commands that are not run, by how they begin, and why not. The longest beginning counts."""
RUN_ALL_THE_SAME = ("ashtune roofline --roof",)

_COMMAND = re.compile(
    r"^    ((?:ashtune|make|pip|mpiexec|srun|sbatch|cd|ln|python|ssh) [^\n]*)$", re.MULTILINE
)
_LINE = re.compile(r"^(?!#)(?:[^\n]*\\\n)*[^\n]+$", re.MULTILINE)
_FENCE = re.compile(r"^```(\w*).*?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHELL = ("sh", "bash")


class Command(str):
    """A command of a page."""

    __slots__ = ()


class PageStep(NamedTuple):
    """A block or command of a page and what it printed; ``why_not`` if it was not run."""

    line: int
    text: str
    printed: str
    why_not: str = ""


def reason_not_to_run(command: str) -> str:
    """Return why a command of a page is not run; nothing if it is."""
    if command.startswith(RUN_ALL_THE_SAME):
        return ""
    if "..." in command.partition("#")[0]:
        return NOT_RUN["ashtune run ..."]
    beginnings = [beginning for beginning in NOT_RUN if f"{command} ".startswith(f"{beginning} ")]
    return NOT_RUN[max(beginnings, key=len)] if beginnings else ""


def parsed(page: str) -> Document:
    """Return a page as Sybil reads it: its blocks of Python and its commands."""
    sybil = Sybil(
        [CodeBlockParser(language="python", evaluator=_run_block), _commands], path=str(ROOT)
    )
    return sybil.parse(ROOT / page)


def carried_out(page: str, folder: Path) -> list[PageStep]:
    """Carry out all of a page in a folder.

    Raises:
        Exception: Whatever a block raises.
        AssertionError: If a command fails.
    """
    with as_a_reader(folder) as main:
        return [_step(example, main, folder) for example in parsed(page).examples()]


def prepare(folder: Path) -> None:
    """Put ``train.py`` and the studies that pages take for granted into a folder."""
    (folder / "train.py").write_text(textwrap.dedent(TRAIN))
    options = [
        "--metric",
        "accuracy",
        "--mode",
        "max",
        "--trials",
        "8",
        "--max-resource",
        str(TOP),
        "--profile",
    ]
    for study in STUDIES:
        if study is STUDIES[0]:
            run = [
                "run",
                "train.py:train",
                *options,
                "--workers",
                str(WORKERS),
                "--quiet",
                "--directory",
                study,
            ]
            done = commands.ashtune(folder, *run)
            assert done.returncode == 0, done.stderr
        else:
            shutil.copytree(folder / STUDIES[0], folder / study)


def _step(example: Example, main: ModuleType, folder: Path) -> PageStep:
    text = str(example.parsed)
    if isinstance(example.parsed, Command):
        why_not = reason_not_to_run(text)
        printed = "" if why_not else _run_command(text, folder)
        return PageStep(example.line, text, printed, why_not)
    example.namespace["main"] = main
    with contextlib.redirect_stdout(io.StringIO()) as printed_here:
        example.evaluate()
    return PageStep(example.line, text, printed_here.getvalue())


def _run_block(example: Example) -> None:
    source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
    exec(compile(source, example.path, "exec", dont_inherit=True), vars(example.namespace["main"]))


def _run_command(command: str, folder: Path) -> str:
    program, *arguments = shlex.split(command, comments=True)
    assert program == "ashtune", f"{command}: say in NOT_RUN why it is not run"
    done = commands.ashtune(folder, *_smaller_command(arguments))
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def _commands(document: Document) -> Iterator[Region]:
    """Yield the commands that are indented, and those of a shell's blocks, unless a block is a
    whole script.
    """
    fences = list(_FENCE.finditer(document.text))
    for command in _COMMAND.finditer(document.text):
        if not any(fence.start() <= command.start() < fence.end() for fence in fences):
            yield Region(command.start(1), command.end(1), Command(command[1].strip()))
    for fence in fences:
        if fence[1] in _SHELL and not fence[2].startswith("#!"):
            for line in _LINE.finditer(document.text, fence.start(2), fence.end(2)):
                yield Region(*line.span(), Command(re.sub(r"\s*\\\n\s*", " ", line[0])))


@contextlib.contextmanager
def as_a_reader(folder: Path) -> Iterator[ModuleType]:
    """Stand in a folder, at its own prompt, with a smaller ``ashtune.tune``; the block gets
    its ``__main__``.
    """
    main = ModuleType("__main__")
    with (
        commands.as_a_process_of_its_own(folder, [], {}),
        mock.patch.object(ashtune, "tune", _smaller(ashtune.tune)),
    ):
        sys.path.insert(0, str(folder))
        before, sys.modules["__main__"] = sys.modules["__main__"], main
        try:
            yield main
        finally:
            sys.modules["__main__"] = before


def _smaller(tune: Callable[..., ashtune.Study]) -> Callable[..., ashtune.Study]:
    def tune_few(*arguments: Any, trials: int, max_resource: int, **options: Any) -> ashtune.Study:
        few = {
            "trials": min(trials, MOST_TRIALS),
            "max_resource": min(max_resource, TOP),
            "workers": WORKERS,
        }
        return tune(*arguments, **{**options, **few}, quiet=True)

    return tune_few


def _smaller_command(arguments: list[str]) -> list[str]:
    match arguments[0]:
        case "run":
            most = {"--trials": MOST_TRIALS, "--max-resource": TOP}
        case "resume":
            most = {"--trials": MOST_TRIALS, "--max-resource": TOP_RESUMED}
        case "simulate":
            most = {"--trials": MOST_SIMULATED}
        case _:
            most = {}
    before = ["", *arguments]
    return [
        str(min(int(text), most[name])) if name in most else text
        for name, text in zip(before, arguments, strict=False)
    ]
