"""Compiled programs that the workers of a session share: one worker compiles a program, other workers load its file.

JAX's own cache on disk saves only XLA's compile time. Tracing and lowering in Python take as long as XLA, and JAX's
cache does not save this time. A worker locks a program's file while it compiles the program. The lock ends when the
worker ends, so a dead worker does not block other workers. If a program's file cannot be written or read, the worker
compiles the program. The files are pickles, so only the session's workers load the files. The driver empties the folder
at the start.
"""

import fcntl
import hashlib
import os
import pickle
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import jax
from jax.experimental import serialize_executable

from ashtune._src.study.disk import DISK, folder_of_a_study, write_new
from ashtune._src.training.fused.protocol import PROGRAMS_FOLDER

QUICKLY = {"xla_backend_optimization_level": 1, "xla_cpu_use_fusion_emitters": False}
"""XLA's options on the CPU. Compiling takes 0.6 times as long; an epoch of the demo takes 1.05 to 1.2 times as long."""
CHEAPLY = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
"""Options for programs that run once. Compiling the initial states takes 0.14 s; without the last option, 0.29 s."""
LOOK_SECONDS = 0.02
THREADS_VARIABLE = "PJRT_NPROC"
"""The environment variable for the number of threads of JAX's CPU programs; by default the number of cores."""
CACHE_HIT = "/jax/compilation_cache/cache_hits"
"""The event that JAX reports when it finds a program in its cache on disk."""


class ProgramCache:
    """The compiled programs that the workers of a session share.

    Args:
        study: The study's directory.
    """

    def __init__(self, study: Path) -> None:
        self._folder = study / PROGRAMS_FOLDER

    def load_or_compile(self, key: object, compile_it: Callable[[], Any]) -> Any:
        """If another worker has compiled or is compiling the program, load the program; otherwise, compile it."""
        file = self._file(key)
        while (program := _load(file)) is None:
            with _claim(_claim_of(file)) as is_mine:
                if is_mine:
                    return _load(file) or self._compile(file, compile_it)
            time.sleep(LOOK_SECONDS)
        return program

    def has(self, key: object) -> bool:
        """Return whether a worker has stored the program of a key."""
        return self._file(key).exists()

    def is_at_another(self, key: object) -> bool:
        """Return whether another worker is compiling the program of a key now."""
        file = self._file(key)
        if file.exists() or not _claim_of(file).exists():
            return False
        with _claim(_claim_of(file)) as is_mine:
            return not is_mine

    def _file(self, key: object) -> Path:
        return self._folder / hashlib.sha256(f"{key!r} {_machine()}".encode()).hexdigest()[:32]

    def _compile(self, file: Path, compile_it: Callable[[], Any]) -> Any:
        before = cache_hits()
        program = compile_it()
        if cache_hits() == before:  # a program from JAX's cache cannot be serialized completely
            self._write(file, program)
        return program

    def _write(self, file: Path, program: Any) -> None:
        with suppress(Exception):  # some programs cannot be serialized, some disks refuse
            data = pickle.dumps(serialize_executable.serialize(program))
            write_new(DISK, str(file), data, mark=str(os.getpid()), is_synced=False)


def load_or_compile(cache: ProgramCache | None, key: object, compile_it: Callable[[], Any]) -> Any:
    """Return a program from ``cache``. If ``cache`` is None, compile the program."""
    return compile_it() if cache is None else cache.load_or_compile(key, compile_it)


def _load(file: Path) -> Any:
    """Return the program in a file; None if the file does not exist or cannot be used."""
    try:
        written = file.read_bytes()
    except OSError:
        return None
    try:
        return serialize_executable.deserialize_and_load(*pickle.loads(written))
    except Exception:  # noqa: BLE001 - after any error, the program is compiled
        with suppress(OSError):
            file.unlink()
        return None


def _claim_of(file: Path) -> Path:
    return file.with_suffix(".claim")


@contextmanager
def _claim(claim: Path) -> Iterator[bool]:
    """Lock a file until the block or this process ends; yield False if another worker has locked the file."""
    try:
        folder_of_a_study(claim.parent)
        opened = DISK.open(str(claim), os.O_RDWR | os.O_CREAT)
    except OSError:  # the folder is not writable: nothing is shared
        yield True
        return
    try:
        yield _lock(opened)
    finally:
        os.close(opened)


def _lock(opened: int) -> bool:
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: every worker compiles
        return True
    return True


def cache_hits() -> int:
    """Return the number of programs that JAX has found in its cache on disk since the first call of this function."""
    return _hits()[0]


@cache
def _hits() -> list[int]:
    """Return a list with one number: the hits of JAX's cache on disk, counted by a listener of JAX's events."""
    count = [0]

    def note(event: str, **_: object) -> None:
        count[0] += event == CACHE_HIT

    jax.monitoring.register_event_listener(note)
    return count


@cache
def _machine() -> str:
    """Return, as text, JAX's version, the processor, the threads and XLA's flags; a program may depend on these."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        flags = next((line for line in lines if line.startswith("flags")), "")
        return f"{jax.__version__} {flags} {os.environ.get(THREADS_VARIABLE)} {os.environ.get('XLA_FLAGS')}"
    return f"{jax.__version__} {platform.node()}"


def compile_with(lowered: Any, options: Mapping[str, Any]) -> Any:
    """Compile a lowered JAX function.

    If this XLA does not know an option, compile without options, because options only save time.
    """
    try:
        return lowered.compile(compiler_options=dict(options))
    except Exception as error:
        if not options or "No such compile option" not in str(error):
            raise
        return lowered.compile()
