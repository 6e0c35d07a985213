"""A training function that runs a program in any language, in one process for each job, without a
shell.

The program's output goes to the log of its trial. The files in the checkpoint folder are kept for
the trial's next job. Background processes that the program started are ended when the program ends.
The program ignores the signals by which a batch system announces the end of a job, because the
driver handles these signals.
"""

# Theory of operation
# -------------------
# A program knows nothing of ashtune, so the job is over when the process ends, and its reports are
# read from its output. Three questions follow from that:
#
# Which reports count? If there are as many reports as epochs to train, they are the learning curve.
# With any other number, the epochs of the reports are unknown, and only the last report counts, at
# the target. Programs may also print metrics for parts of an epoch, and a wrong curve would mislead
# schedulers that read curves. If a program stops early, its reports belong to the first epochs.
#
# When does a report end? A metric that is printed again begins the next report, but only if the
# current report has all of the study's metrics. So a program may print loss and accuracy in one
# line or in several, and in any order.
#
# When does the output end? Reading cannot continue until the pipe is closed: a child process in the
# background may keep the pipe open for hours. Reading cannot stop when the process ends either: the
# rest of the output in the pipe may have the result. Therefore reading continues until nothing is
# left, or for LEFT_OPEN_SECONDS after the end of the process.
#
# The program ignores SIGINT, SIGTERM and SIGUSR1 from its start, since a batch system sends them to
# the whole process group. If these signals killed the program, its trial would fail, although the
# driver only wants to pause it. An ignored signal stays ignored after exec.

import atexit
import hashlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Annotated, Any

import msgspec

from ashtune._src.core.errors import ObjectiveError, ProgramFailed
from ashtune._src.core.plaintext import one_line, shown
from ashtune._src.core.process import environment_now
from ashtune._src.processes.child import ChildProcess
from ashtune._src.processes.memory import kernel_kills
from ashtune._src.study.disk import read_whole
from ashtune._src.study.folders import temporary_folder
from ashtune._src.training.reports import MetricMissing, names_text
from ashtune._src.training.trial import Trial

OWN = ("checkpoint", "result", "seed", "start", "target", "trial")
"""The placeholders that every trial has. If a hyperparameter has the same name, the hyperparameter
is used.
"""
LARGEST_SCRIPT = 1_000_000
"""The content of a file is part of the function's version only if the file has at most this many
bytes. An interpreter has more.
"""
LARGEST_RESULT = 10_000_000
"""The largest size in bytes of a file with results."""
READS_ALL = re.compile(rb"ASHTUNE_CONFIG|LaunchedTrial")
"""If a program contains one of these words, it takes the configuration from its environment."""
STOPPED = "stopped"
"""A key in the last object of a file of results. Its value is true if the program ended its trial
on purpose.
"""
LAST_WORDS = 200
LEFT_OPEN_SECONDS = 1.0
"""If a child process of the program keeps the output open, the output is read for this many seconds
after the program's end.
"""
Words = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
ANNOUNCING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}\s\"']+)\}")
_NAME = r"[A-Za-z_][\w./@:-]{0,99}"
_NUMBER = r"[-+]?(?i:(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?|nan|inf(?:inity)?)"
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_RIGHT = 'write a JSON object of metrics, {"loss": 0.25}, or a list of objects, at most 10 MB'
_running: set[ChildProcess] = set()


@dataclass(frozen=True)
class Program:
    """A training function that runs a program.

    In the arguments, ``{name}`` is replaced by the value of a hyperparameter. ``{start}``,
    ``{target}``, ``{trial}``, ``{seed}``, ``{checkpoint}`` (a folder that is kept for the trial)
    and ``{result}`` (a file) are replaced by the job's values. ``{{`` becomes a brace. The
    program's environment has the job's six values as ``ASHTUNE_START`` and so on, the configuration
    as ``ASHTUNE_CONFIG`` and the study's metrics as ``ASHTUNE_METRICS``, both in JSON. An argument
    with an inactive hyperparameter is left out.

    The program prints its metrics as ``name=number``. The last report is the job's result. If there
    are exactly ``target - start`` reports, these reports are the learning curve. Instead of
    printing, the program may write a JSON object, or a list of JSON objects, to ``{result}``.
    ``"stopped": true`` in the last JSON object ends the trial early, as :meth:`ashtune.Trial.stop`
    does.

    Args:
        command: The program and its arguments.
        folder: The working directory; by default the directory where the study was started.

    Raises:
        ObjectiveError: If the command is not a list of strings.

    Example:
        >>> sphere = 'echo loss=$(awk "BEGIN { print ($1 - 0.3) ^ 2 }")'
        >>> study = tune(
        ...     Program(["sh", "-c", sphere, "sh", "{x}"]), {"x": (0.0, 1.0)},
        ...     metric="loss", mode="min", trials=8, max_resource=4, quiet=True,
        ... )
        >>> study.best.metrics["loss"] < 0.5
        True
    """

    __module__ = "ashtune"

    command: Sequence[str]
    folder: str = ""

    def __post_init__(self) -> None:
        try:
            command = msgspec.convert(self.command, Words)
        except msgspec.ValidationError:
            raise ObjectiveError(
                f"command={shown(self.command)} is not a list of strings; give ['python', "
                "'train.py', '--lr', '{lr}']"
            ) from None
        object.__setattr__(self, "command", command)
        object.__setattr__(self, "folder", os.path.abspath(self.folder))  # noqa: PTH100 - the folder may not exist

    @property
    def __name__(self) -> str:
        """The name of the program's script or, without a script, the name of the program."""
        return Path(self._script or self.command[0]).stem

    @property
    def _script(self) -> str:
        """The first argument that is not an option. This is an empty string if the argument is not
        a file.
        """
        word = next((word for word in self.command[1:] if not word.startswith("-")), "")
        return word if word and os.path.isfile(os.path.join(self.folder, word)) else ""  # noqa: PTH113, PTH118 - any text

    def version_parts(self) -> dict[str, Any]:
        """Return the command, and digests of the current contents of the files that the command
        names.
        """
        files = {}
        # The order must be fixed, because the digest depends on it.
        for word in filter(None, (self.command[0], self._script)):
            # Most words are not names of files, and some cannot even be names.
            with suppress(OSError, ValueError):
                path = Path(self.folder, word)
                if path.is_file() and path.stat().st_size <= LARGEST_SCRIPT:
                    files[word] = hashlib.blake2b(path.read_bytes(), digest_size=12).hexdigest()
        return {"command": self.command, "files": files}

    def check(self, names: Sequence[str]) -> None:
        """Raise an error if the program does not exist, or if its placeholders do not fit the
        space.

        Raises:
            ObjectiveError: With a message of one line.
        """
        program = self.command[0]
        place = os.path.join(self.folder, program) if os.sep in program else program  # noqa: PTH118 - which takes text
        found = which(place)
        if "{" not in program and found is None:
            raise ObjectiveError(
                f"program {shown(program)} was not found, or may not be executed; "
                f"give the path of a program, or add its folder to PATH"
            )
        used = set[str]()
        for word in self.command:
            for match in _PLACEHOLDER.finditer(word):
                used.add(match[1])
                if match[1] is not None and match[1] not in names and match[1] not in OWN:
                    raise ObjectiveError(
                        f"{{{match[1]}}} in {shown(word)} is not a hyperparameter; the space has "
                        f"{one_line(', '.join(names), LAST_WORDS)}, and every trial has "
                        f"{', '.join(OWN)}; to pass a brace to the program, write {{{{ or }}}}"
                    )
        if names and used.isdisjoint(names) and not self._may_read_all(found or program):
            raise ObjectiveError(
                f"{shown(' '.join(self.command))} would train all trials alike, as no argument has "
                f"a hyperparameter; add one, such as {{{names[0]}}}, or let the program's file "
                "read $ASHTUNE_CONFIG"
            )

    def _may_read_all(self, program: str) -> bool:
        """Return whether the command, or a file that it names, may take the configuration from the
        environment.
        """
        # With -m, the file of the Python module is not known, so it may read the configuration.
        if "-m" in self.command:
            return True
        texts = [word.encode(errors="ignore") for word in self.command]
        for word in (program, *self.command):
            # Most words are not names of files, and some cannot even be names.
            with suppress(OSError, ValueError):
                file = os.path.realpath(os.path.join(self.folder, word))  # noqa: PTH118 - any text
                texts.append(read_whole(file, LARGEST_SCRIPT))
        return any(READS_ALL.search(text) for text in texts)

    def __call__(self, trial: Trial) -> None:
        """Run the program for one job, and report its metrics."""
        count = trial.target - trial.start
        with temporary_folder() as scratch:
            values = {
                "checkpoint": str(trial.checkpoint_dir.absolute()),
                "result": f"{scratch}/result.json",
                "seed": str(trial.seed), "start": str(trial.start), "target": str(trial.target),
                "trial": str(trial.number),
            }  # fmt: skip
            environment = {f"ASHTUNE_{name.upper()}": value for name, value in values.items()}
            environment["ASHTUNE_CONFIG"] = json.dumps(trial.config)
            environment["ASHTUNE_METRICS"] = json.dumps(trial.metrics)
            printed = Printed(trial.metrics, count)
            self._run(self.arguments(trial.config, values), environment, printed)
            reports: list[dict[str, Any]] = _read(values["result"]) or printed.reports()
        is_stopped = reports[-1].get(STOPPED) is True
        for metrics in reports:
            # Only true and false have this special meaning. A number is a metric of the user that
            # has this name.
            if isinstance(metrics.get(STOPPED), bool):
                del metrics[STOPPED]
        if is_stopped:
            trial.stop()
        is_curve = len(reports) == count or (is_stopped and len(reports) < count)
        counted = reports if is_curve else reports[-1:]
        _check_metrics(counted, trial.metrics)
        for metrics in counted:
            trial.report(metrics)

    def arguments(self, configuration: Mapping[str, Any], own: Mapping[str, str]) -> list[str]:
        """Return the command with placeholders replaced by active hyperparameters and the values of
        :data:`OWN`.
        """
        braces = {"{{": "{", "}}": "}"}

        def value(match: re.Match[str]) -> str:
            if match[1] is None:
                return braces[match[0]]
            if match[1] in configuration:
                return str(configuration[match[1]])
            if match[1] in own:
                return own[match[1]]
            raise _Inactive

        arguments = []
        for word in self.command:
            with suppress(_Inactive):
                arguments.append(_PLACEHOLDER.sub(value, word))
        return arguments

    def _run(
        self, arguments: Sequence[str], environment: Mapping[str, str], printed: "Printed"
    ) -> None:
        try:
            with _deaf():
                variables = {"PYTHONUNBUFFERED": "1", **environment_now(), **environment}
                process = ChildProcess(
                    arguments, variables, stderr=subprocess.STDOUT, folder=self.folder
                )
        except (OSError, ValueError) as error:
            raise ObjectiveError(f"{shown(arguments[0])} cannot be started: {error}") from None
        _running.add(process)
        kills_before = kernel_kills()
        try:
            last = ""
            for line in _lines(process):
                # The disk may be full, or the log's encoding may lack a character. The program did
                # not cause such an error.
                with suppress(OSError, UnicodeError):
                    sys.stdout.write(line)
                last = line.strip() or last
                printed.add(line)
            status = process.wait()
        finally:
            how = process.end()
            _running.discard(process)
        if status:
            words = one_line(last, LAST_WORDS) or "nothing"
            is_out_of_memory = status == -signal.SIGKILL and kernel_kills() > kills_before
            kind = ProgramOutOfMemory if is_out_of_memory else ProgramFailed
            raise kind(
                f"{self.__name__} {'was ' if status < 0 else ''}{how}; its last output: {words}"
            )


class ProgramOutOfMemory(ProgramFailed, MemoryError):  # noqa: N818 - as its base class
    """The kernel killed a training program because no memory was left."""


class Printed:
    """Collects the reports that a program prints, and keeps the last ``most`` reports.

    A new report begins when a metric is printed again and the current report has all of the study's
    metrics. A metric that is printed after the study's metrics and before the next report belongs
    to the current report.

    The study's metrics may have any names. The names of other metrics must consist of letters,
    digits and ``_./@:-``.
    """

    def __init__(self, needed: Sequence[str], most: int) -> None:
        self._needed = needed
        names = "|".join((*map(re.escape, needed), _NAME))
        self._metric = re.compile(
            rf"(?<![^\s,;])({names})=({_NUMBER})(?=$|[\s;]|,(?!\d))", re.ASCII
        )
        self._most = most
        self._count = 0
        self._last: deque[dict[str, float]] = deque(maxlen=max(1, most))
        self._current: dict[str, float] = {}

    def add(self, line: str) -> None:
        """Add a line."""
        said = {name: float(number) for name, number in self._metric.findall(_COLOUR.sub("", line))}
        if said.keys() & self._current.keys() and self._is_whole:
            self._close()
        self._current.update(said)

    @property
    def _is_whole(self) -> bool:
        return all(name in self._current for name in self._needed)

    def _close(self) -> None:
        self._last.append(self._current)
        self._count += 1
        self._current = {}

    def reports(self) -> list[dict[str, float]]:
        """Return all reports if there are ``most`` reports; otherwise, return only the last report.

        Raises:
            ProgramFailed: If nothing was reported.
        """
        if self._is_whole:
            self._close()
        if not self._count:
            names = "=NUMBER and ".join(self._needed)
            others = f" (but {names_text(self._current)})" if self._current else ""
            raise ProgramFailed(
                f"the program printed no {names}=NUMBER{others} and wrote no file $ASHTUNE_RESULT; "
                f"print {' '.join(f'{name}=0.25' for name in self._needed)}"
            )
        return list(self._last) if self._count == self._most else [self._last[-1]]


class _Inactive(Exception):  # noqa: N818 - not an error: the argument is left out
    """Raised if the hyperparameter of a placeholder is not active."""


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that start in the ``with`` block ignore the signals with which a batch system
    announces the end of a job.
    """
    before = {}
    # Handlers can be set only in the main thread. In other threads, the program has its own process
    # group, which gets no signal.
    with suppress(ValueError):
        before = {number: signal.signal(number, signal.SIG_IGN) for number in ANNOUNCING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _lines(process: ChildProcess) -> Iterator[str]:
    """Yield the lines of a program's output until the program has ended and no output is left.

    If other processes keep the output open, the generator ends ``LEFT_OPEN_SECONDS`` after the
    program.
    """
    rest = bytearray()
    until = math.inf
    while time.monotonic() < until:
        # The program has ended. Its remaining output is still in the pipe, and needs one more read.
        if until == math.inf and process.is_dead:
            until = time.monotonic() + LEFT_OPEN_SECONDS
        part = process.read_output(LEFT_OPEN_SECONDS)
        # The program printed nothing in this second, and still runs.
        if part is None and until == math.inf:
            continue
        if not part:
            break
        rest += part
        if b"\n" in part:
            *lines, rest = rest.split(b"\n")
            for line in lines:
                yield line.decode(errors="replace") + "\n"
    if rest:
        yield rest.decode(errors="replace")


@atexit.register
def _kill_all() -> None:
    """At exit, kill the programs that still run in background threads."""
    for process in list(_running):
        process.kill()


def _check_metrics(reports: Sequence[Mapping[str, Any]], needed: Sequence[str]) -> None:
    for metrics in reports:
        missing = [name for name in needed if name not in metrics]
        if missing:
            absent = names_text(dict.fromkeys(missing))
            right = json.dumps(dict.fromkeys(needed, 0.25))
            raise MetricMissing(
                f"$ASHTUNE_RESULT has {names_text(metrics)}, but not {absent}, which the study "
                f"needs in every report; write {right}, or choose another metric"
            )


def _read(path: str) -> list[dict[str, Any]]:
    """Return the reports in a file of results, which may be a link. If the file was not found,
    return an empty list.

    Raises:
        ProgramFailed: If the file is too large, not a regular file, or not JSON of metrics.
    """
    try:
        found = json.loads(read_whole(os.path.realpath(path), LARGEST_RESULT))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ProgramFailed(f"$ASHTUNE_RESULT cannot be read ({why}); {_RIGHT}") from None
    reports = found if isinstance(found, list) else [found]
    if not reports or not all(isinstance(metrics, dict) for metrics in reports):
        raise ProgramFailed(f"$ASHTUNE_RESULT has {shown(found)}; {_RIGHT}")
    return reports
