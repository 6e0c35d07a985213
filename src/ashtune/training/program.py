"""A program in any language as a training function: one process for each job.

Rule 1: no shell. Each argument reaches the program as it is, with the placeholders in it replaced.
Rule 2: the program decides nothing about the study: it trains from ``start`` to ``target`` and says its metrics.
Rule 3: what it prints goes to the log of its trial; what it leaves in its checkpoint folder is there next time.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import IO, Any

from ashtune.core.errors import ObjectiveError
from ashtune.core.plaintext import one_line, shown
from ashtune.training.reports import MetricMissing, listed
from ashtune.training.trial import Trial

OWN = ("checkpoint", "result", "seed", "start", "target", "trial")
"""Placeholders that every trial has. A hyperparameter of the same name goes before them."""
LONGEST_LINE = 100_000
"""Characters of a line that are looked through for metrics."""
LARGEST_SCRIPT = 1_000_000
"""Bytes of a file that is taken for a part of the program."""
LARGEST_RESULT = 10_000_000
"""Bytes of a file with results."""
LAST_WORDS = 200

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}\s\"']+)\}")
_METRIC = re.compile(
    r"(?<![^\s,;])([A-Za-z_][\w./@-]*)=([-+]?(?:(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|nan|inf(?:inity)?))(?![^\s,;])",
    re.IGNORECASE,
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class Program:
    """A training function that runs a program.

    In its arguments ``{name}`` is replaced by the value of a hyperparameter, and ``{start}``, ``{target}``,
    ``{trial}``, ``{seed}``, ``{checkpoint}`` (a folder that is kept for the trial) and ``{result}`` (a file) by those
    of the job; ``{{`` is a brace. The same is in the environment as ``ASHTUNE_START`` and so on, with the whole
    configuration as JSON in ``ASHTUNE_CONFIG``. An argument with a hyperparameter that is not active is left out.

    The program says its metrics on lines of its output with ``name=number`` in them: the last line that has the
    study's metric counts, and as many as there are units from ``start`` to ``target`` are one of each. Or it writes
    them as JSON into ``{result}``: an object, or a list of objects.

    A study that is continued notices that a file among the words of the command has changed, as with a function.

    Args:
        command: The program and its arguments.
        folder: Where it runs; by default where the study was started.

    Raises:
        ObjectiveError: If the command is no list of words.

    Example:
        >>> sphere = 'echo loss=$(awk "BEGIN { print ({x} - 0.3) ^ 2 }")'
        >>> study = tune(
        ...     Program(["sh", "-c", sphere]), {"x": (0.0, 1.0)},
        ...     metric="loss", mode="min", trials=8, max_resource=4, quiet=True,
        ... )
        >>> study.best.metrics["loss"] < 0.5
        True
    """

    command: Sequence[str]
    folder: str = ""
    digests: dict[str, str] = field(init=False, repr=False)
    """Of the files among the words, so that a version of this object is one of theirs."""

    def __post_init__(self) -> None:
        if isinstance(self.command, str) or not all(isinstance(word, str) for word in self.command):
            raise ObjectiveError(
                f"command={shown(self.command)} is no list of words; give ['python', 'train.py', '--lr', '{{lr}}']"
            )
        if not self.command:
            raise ObjectiveError("the command is empty; give the program and its arguments")
        object.__setattr__(self, "command", tuple(self.command))
        object.__setattr__(self, "folder", os.path.abspath(self.folder))  # noqa: PTH100 - it may be gone
        object.__setattr__(self, "digests", dict(self._digests()))

    def _digests(self) -> Iterator[tuple[str, str]]:
        for word in self.command:
            with suppress(OSError, ValueError):  # no name of a file
                path = Path(self.folder, word)
                if path.is_file() and path.stat().st_size <= LARGEST_SCRIPT:
                    yield word, hashlib.blake2b(path.read_bytes(), digest_size=12).hexdigest()

    @property
    def __name__(self) -> str:
        """The program's name: of the script, if its first argument is one."""
        words = [word for word in self.command[:2] if not word.startswith("-")]
        return Path(words[-1] if Path(self.folder, words[-1]).is_file() else self.command[0]).stem

    def check(self, names: Sequence[str]) -> None:
        """Look before the study begins whether the program is there, and whether its placeholders are.

        Args:
            names: Of the hyperparameters.

        Raises:
            ObjectiveError: If not.
        """
        program = self.command[0]
        place = os.path.join(self.folder, program) if os.sep in program else program  # noqa: PTH118 - which takes text
        if "{" not in program and which(place) is None:
            raise ObjectiveError(f"{shown(program)} is no program that can be run; give its path, or put it on PATH")
        for word in self.command:
            for match in _PLACEHOLDER.finditer(word):
                if match[1] is not None and match[1] not in names and match[1] not in OWN:
                    raise ObjectiveError(
                        f"{{{match[1]}}} in {shown(word)} is no hyperparameter and none of {', '.join(OWN)}; the space "
                        f"has {one_line(', '.join(names), LAST_WORDS)}; {{{{ and }}}} are braces"
                    )

    def __call__(self, trial: Trial) -> None:
        """Run the program for one job, and report what it says."""
        with tempfile.TemporaryDirectory(prefix="ashtune-") as scratch:
            values = {
                "checkpoint": str(trial.checkpoint_dir), "result": f"{scratch}/result.json", "seed": str(trial.seed),
                "start": str(trial.start), "target": str(trial.target), "trial": str(trial.number),
            }  # fmt: skip
            environment = {f"ASHTUNE_{name.upper()}": value for name, value in values.items()}
            environment["ASHTUNE_CONFIG"] = json.dumps(trial.config)
            said = self._run(self.arguments(trial.config, values), environment)
            result = Path(values["result"])
            reports = _read(result) if result.exists() else _reports(said, trial.metric)
        if not reports:
            raise ObjectiveError(
                f"{self.__name__} printed no line with {trial.metric}=NUMBER and wrote no file $ASHTUNE_RESULT; print "
                f"one, as {trial.metric}=0.25"
            )
        for metrics in reports if len(reports) == trial.target - trial.start else reports[-1:]:
            trial.report(metrics)

    def arguments(self, configuration: Mapping[str, Any], own: Mapping[str, str]) -> list[str]:
        """Return the command with its placeholders replaced.

        Args:
            configuration: The hyperparameters that are active.
            own: The values of :data:`OWN`.
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

    def _run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> list[dict[str, float]]:
        """Run it to its end; return the metrics of each line that has some.

        Raises:
            ObjectiveError: If it cannot be started, or ends with another status than 0.
        """
        said: list[dict[str, float]] = []
        last = ""
        try:
            process = subprocess.Popen(
                arguments, cwd=self.folder, env={"PYTHONUNBUFFERED": "1", **os.environ, **environment},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, encoding="utf-8", errors="replace",
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise ObjectiveError(f"{shown(arguments[0])} cannot be started: {error}") from None
        try:
            assert process.stdout is not None
            for line in _lines(process.stdout):
                sys.stdout.write(line)
                last = line.strip() or last
                if metrics := {name: float(number) for name, number in _METRIC.findall(_COLOUR.sub("", line))}:
                    said.append(metrics)
            status = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if status:
            raise ObjectiveError(
                f"{self.__name__} {_end(status)}; it said last: {one_line(last, LAST_WORDS) or 'nothing'}"
            )
        return said


class _Inactive(Exception):  # noqa: N818 - no error: the argument is left out
    """A placeholder whose hyperparameter is not active."""


def _lines(stream: IO[str]) -> Iterator[str]:
    """Yield the lines of a stream, a longer one in parts."""
    while line := stream.readline(LONGEST_LINE):
        yield line


def _end(status: int) -> str:
    """Return how a process ended, in words."""
    if status > 0:
        return f"ended with status {status}"
    import signal

    with suppress(ValueError):
        return f"was killed by {signal.Signals(-status).name}"
    return f"was killed by signal {-status}"


def _reports(said: Sequence[Mapping[str, float]], metric: str) -> list[dict[str, float]]:
    """Return a report for each line that has the study's metric, with what else was said until then.

    Raises:
        MetricMissing: If metrics were said, but not that.
    """
    reports: list[dict[str, float]] = []
    current: dict[str, float] = {}
    for metrics in said:
        current |= metrics
        if metric in metrics:
            reports.append(dict(current))
    if current and not reports:
        raise MetricMissing(
            f"the program prints {listed(current)}, the study's metric is {metric!r}; print it, or name another with "
            "--metric"
        )
    return reports


def _read(path: Path) -> list[dict[str, Any]]:
    """Return the reports in a file of results.

    Raises:
        ObjectiveError: If it is not JSON of metrics.
    """
    if path.stat().st_size > LARGEST_RESULT:
        raise ObjectiveError(f"$ASHTUNE_RESULT has {path.stat().st_size:,} bytes; at most {LARGEST_RESULT:,} are read")
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise ObjectiveError(f'$ASHTUNE_RESULT is not JSON ({error}); write an object, as {{"loss": 0.25}}') from None
    reports = found if isinstance(found, list) else [found]
    if not all(isinstance(metrics, dict) for metrics in reports):
        raise ObjectiveError(
            f'$ASHTUNE_RESULT holds {shown(found)}; write an object of metrics, as {{"loss": 0.25}}, or a list of them'
        )
    return reports
