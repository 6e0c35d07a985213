"""Describes the environment of a session (machine, versions, command), which may explain the
session's results later.

Rule: the description contains no environment variable, no value of a command-line option such as
``--token``, no password of an address, and no program given with ``-c``, because these may contain
secrets.
"""

import os
import platform
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.events import PROGRAM, SessionStarted
from ashtune._src.core.observer import Observer
from ashtune._src.core.plaintext import without_userinfo
from ashtune._src.core.process import own_cores
from ashtune._src.driver.observing import OBSERVERS
from ashtune._src.engines.engine_protocol import AUTO, Engine
from ashtune._src.engines.engine_registry import ENGINES
from ashtune._src.study.journal import sessions
from ashtune._src.training.program import Program

LIBRARIES = (
    "numpy", "scipy", "scikit-learn", "torch", "jax", "jaxlib", "tensorflow", "keras", "lightning",
    "xgboost",
    "lightgbm", "msgspec", "mpi4py",
)  # fmt: skip
COMMAND_CHARACTERS = 500
_SECRET = re.compile(
    r"(-+(?:[\w-]*[-_])?(?:token|secret|password|passwd|credentials?|key)(?:[-_][\w-]*)?)(?:(=)(.*))?",
    re.IGNORECASE,
)


def environment() -> dict[str, str]:
    """Return the description of this session's environment as a dict. The dict's keys are the
    labels in a report.
    """
    described = {
        "command": command([Path(sys.executable).name, *sys.orig_argv[1:]]),
        "processor": processor(),
        "cores": _cores(),
        "memory": _memory(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "libraries": ", ".join(_versions()),
    }
    return {name: _writable(value) for name, value in described.items() if value}


def program_of(
    objective: Callable[..., Any] | None, before: SessionStarted | None
) -> dict[str, str]:
    """Return the command of the external training program, or an empty dict if a Python function
    trains.

    Args:
        objective: The training function; None to keep the training function of the session before.
    """
    if isinstance(objective, Program):
        return {PROGRAM: _writable(command(objective.command))}
    if objective is not None or before is None or PROGRAM not in before.facts:
        return {}
    return {PROGRAM: before.facts[PROGRAM]}


def names_of_parts(engine: Engine, observers: Iterable[Observer]) -> dict[str, str]:
    """Return the names of a session's engine and observers. The settings of the study do not
    contain these names.
    """
    parts = {"engine": ENGINES.name_of(type(engine))}
    names = ", ".join(OBSERVERS.name_of(type(each)) for each in observers)
    if names:
        parts["observers"] = names
    return parts


def missing_parts(study: StudyReader) -> list[str]:
    """Return a line for each engine or observer of a study's last session that is not installed on
    this machine.
    """
    described: Mapping[str, str] = [{}, *(session.facts for session in sessions(study.journal))][-1]
    observers = described.get("observers", "").split(", ")
    lines = [
        ENGINES.missing(described.get("engine", AUTO)),
        *(OBSERVERS.missing(name) for name in observers if name),
    ]
    return [line for line in lines if line]


def command(arguments: Sequence[str]) -> str:
    """Return a command as one line.

    Leave out the program of ``-c``, the values of options such as ``--token``, and passwords.
    """
    shown: list[str] = []
    hides_next = ""
    for argument in map(without_userinfo, arguments):
        if hides_next:
            shown.append(hides_next)
            hides_next = ""
        elif argument == "-c":
            shown.append(argument)
            hides_next = "..."
        elif (option := _SECRET.fullmatch(argument)) is not None:
            shown.append(f"{option[1]}=***" if option[2] else option[1])
            hides_next = "" if option[2] else "***"
        else:
            shown.append(argument)
    return " ".join(shlex.join(shown).split())[:COMMAND_CHARACTERS]


def _writable(text: str) -> str:
    """Return a text with "?" for each character that UTF-8 cannot encode,
    such as a lone surrogate.
    """
    return text.encode("utf-8", "replace").decode()


def processor() -> str:
    """Return the name of this machine's processor."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _cores() -> str:
    usable = len(own_cores())
    there = os.cpu_count() or usable
    return str(there) if usable == there else f"{usable} of {there}"


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB"
    except (ValueError, OSError):
        return ""


def _versions() -> Iterator[str]:
    from importlib import metadata  # slow to import

    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            yield f"{name} {metadata.version(name)}"
