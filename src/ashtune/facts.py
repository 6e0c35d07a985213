"""What a run was made with, so that a figure found later can be understood: machine, versions, command.

Rule: only what this process is allowed to know anyway and a reader of a report wants; no environment variables, as
they hold secrets.
"""

import importlib.metadata
import os
import platform
import shlex
import sys
from contextlib import suppress
from pathlib import Path

LIBRARIES = (
    "numpy", "scipy", "scikit-learn", "torch", "jax", "jaxlib", "tensorflow", "keras", "lightning", "xgboost",
    "lightgbm", "ConfigSpace", "msgspec", "mpi4py",
)  # fmt: skip
COMMAND_CHARACTERS = 500  # `python -c` may have a whole program behind it


def facts() -> dict[str, str]:
    """Return what this run is made with, by the name under which a report shows it."""
    found = {
        "command": shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]])[:COMMAND_CHARACTERS],
        "processor": processor(),
        "cores": _cores(),
        "memory": _memory(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "libraries": ", ".join(_versions()),
    }
    return {name: value for name, value in found.items() if value}


def processor() -> str:
    """Return the name of this machine's processor."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _cores() -> str:
    there, allowed = os.cpu_count() or 0, getattr(os, "sched_getaffinity", None)
    usable = len(allowed(0)) if allowed else there
    return str(there) if usable == there else f"{usable} of {there}"


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB"
    except (ValueError, OSError):
        return ""


def _versions() -> list[str]:
    versions = []
    for name in LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    return versions
