"""The bank: a user's compiled programs, which all of the user's workers and studies share as files.

JAX's own cache on disk saves only XLA's compile time: JAX must still trace and lower the whole
program in Python, which takes three times as long as loading the program's file. To compute a key
of the bank, only the user's functions must be traced.

Rule 1: the key contains everything on which a program depends: the trace of the user's functions
(:func:`trace_text`), the source code of fused training, the version and the settings of JAX, and
the machine.
Rule 2: only programs that this user has written are loaded, because a program's file can run any
code.
Rule 3: if a file cannot be written or used, the worker compiles the program.

While a worker compiles a program, it locks a file for this program, the claim. The lock ends when
the worker ends, so a dead worker does not block other workers.
"""

# Rules 1 and 2: decision 70 (docs/decisions/0070-a-bank-of-programs.md).

import fcntl
import hashlib
import io
import os
import pickle
import platform
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jaxlib.version
import numpy as np
from jax.experimental import serialize_executable

from ashtune._src.study.disk import DISK, FOLDER_FOR_THE_OWNER, OpenFile, write_new

QUICKLY = {
    "xla_backend_optimization_level": 1,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
"""XLA's options for quick compilation on the CPU. With these options, compiling takes 0.5 times as
long, but an epoch of the demo takes 1.05 to 1.2 times as long.
"""
CHEAPLY = {**QUICKLY, "xla_backend_optimization_level": 0}
"""Options for programs that run once, such as initial states."""
LOOK_SECONDS = 0.02
MOST_FILES = 1024
"""If the bank has more files, it deletes its oldest programs. A file has about 0.3 MB."""
THREADS_VARIABLE = "PJRT_NPROC"
"""The environment variable for the number of threads of JAX's CPU programs; by default the number
of cores.
"""
LATE = ("callback", "debug_print", "custom_vmap", "custom_partitioning")
"""Parts of the names of JAX's primitives that call a Python function after tracing."""
_CLAIM = ".claim"
_CHECK_BYTES = hashlib.sha256().digest_size


class ProgramBank:
    """The compiled programs of a user.

    Args:
        is_worker: Whether this process stores the programs that it compiles. A process of the user
            may use JAX's own cache. A program from JAX's cache must not be stored, because its
            calls would fail in the process that loads it.
    """

    def __init__(self, *, is_worker: bool) -> None:
        caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        self._folder = Path(caches, "ashtune", "programs")
        self._is_worker = is_worker

    def load_or_compile(self, key: str, compile_it: Callable[[], Any]) -> tuple[Any, bool]:
        """Return a program, and whether this process compiled it. If another worker is compiling
        this program now, wait for that worker.

        A program with an empty key is not stored.
        """
        if not key:
            return compile_it(), True
        file = self._file(key)
        while (program := _load(file)) is None:
            if not self._is_worker:
                return compile_it(), True
            with _claim(file.with_suffix(_CLAIM)) as is_mine:
                if is_mine and (program := _load(file)) is None:
                    program = compile_it()
                    self._write(file, program)
                    return program, True
            if not is_mine:
                time.sleep(LOOK_SECONDS)
        return program, False

    def has(self, key: str) -> bool:
        """Return whether the bank has a program of this key."""
        return bool(key) and self._file(key).exists()

    def is_at_another(self, key: str) -> bool:
        """Return whether another worker is compiling the program of a key now."""
        claim = self._file(key).with_suffix(_CLAIM)
        if not key or self.has(key) or not claim.exists():
            return False
        with _claim(claim) as is_mine:
            return not is_mine

    def _file(self, key: str) -> Path:
        settings = sorted(
            f"{name}={value}" for name, value in jax.config.values.items() if "cache" not in name
        )
        return (
            self._folder
            / hashlib.sha256(f"{key} {_surroundings()} {settings}".encode()).hexdigest()[:32]
        )

    def _write(self, file: Path, program: Any) -> None:
        # Some programs cannot be serialized, and the disk may be full. Then only this worker has
        # the program.
        with suppress(Exception):
            content = pickle.dumps(serialize_executable.serialize(program))
            checked = hashlib.sha256(content).digest() + content
            write_new(DISK, str(file), checked, mark=str(os.getpid()), is_synced=False)
            for old in sorted(self._folder.iterdir(), key=lambda each: each.stat().st_mtime)[
                :-MOST_FILES
            ]:
                old.unlink()


def _load(file: Path) -> Any:
    """Return the program in a file. If the file was not found, is damaged or was not written by
    this user, return None.
    """
    try:
        with OpenFile(DISK, str(file), os.O_RDONLY) as opened:
            status = os.fstat(opened.descriptor)
            if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return None
            written = io.BufferedReader(opened, status.st_size + 1).read()
        content = memoryview(written)[_CHECK_BYTES:]
        if hashlib.sha256(content).digest() != written[:_CHECK_BYTES]:
            return None
        return serialize_executable.deserialize_and_load(*pickle.loads(content))
    except Exception:  # noqa: BLE001 - after any error, the program is compiled
        return None


@contextmanager
def _claim(claim: Path) -> Iterator[bool]:
    """Lock a file until the block or this process ends. If another worker has locked the file,
    yield False.
    """
    try:
        claim.parent.mkdir(FOLDER_FOR_THE_OWNER, parents=True, exist_ok=True)
        opened = DISK.open(str(claim), os.O_RDWR | os.O_CREAT)
    except OSError:
        # The folder is not writable, so workers share no programs, and each worker compiles.
        yield True
        return
    is_mine = True
    try:
        # The file system may have no locks. Then every worker compiles, as without a bank.
        with suppress(OSError):
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                is_mine = False
        yield is_mine
    finally:
        # The claim can safely be deleted before it is unlocked: a waiting worker looks for the
        # program again after it has locked the claim.
        if is_mine:
            with suppress(OSError):
                claim.unlink()
        os.close(opened)


def trace_text(traced: Any) -> str:
    """Return a text that identifies a traced function, with a digest of its constants.

    If JAX calls Python functions after tracing, the text is "", because the trace does not show
    what these functions do.
    """
    constants = hashlib.sha256()
    for value in _constants(traced):
        if value is None:
            return ""
        constants.update(f"{value.dtype} {value.shape} ".encode() + np.asarray(value).tobytes())
    return f"{traced} {constants.hexdigest()}"


def _constants(traced: Any) -> Iterator[Any]:
    """Yield the constant arrays in a traced function, because the text has only their shapes. For a
    Python function that is called after tracing, yield None.
    """
    yield from getattr(traced, "consts", ())
    for equation in traced.eqns:
        if any(word in equation.primitive.name for word in LATE):
            yield None
        yield from (value.val for value in equation.invars if np.ndim(getattr(value, "val", 0)))
        for value in jax.tree.leaves(list(equation.params.values())):
            if hasattr(value, "eqns"):
                yield from _constants(value)
            elif isinstance(value, np.ndarray | jax.Array):
                yield value


@cache
def _surroundings() -> str:
    """Return a text with everything on which a program depends, except the trace: this package,
    JAX, the processor, the number of threads, and flags.
    """
    sources = b"".join(
        file.read_bytes() for file in sorted(Path(__file__).parents[1].rglob("*.py"))
    )
    device = jax.devices()[0]
    processor = platform.node()
    with suppress(OSError, StopIteration):
        processor = next(
            line
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("flags")
        )
    versions = (
        f"{hashlib.sha256(sources).hexdigest()} {jax.__version__} {jaxlib.version.__version__}"
    )
    settings = f"{os.environ.get(THREADS_VARIABLE)} {os.environ.get('XLA_FLAGS')}"
    return f"{versions} {device.platform} {device.device_kind} {processor} {settings}"


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
