"""Programs shared by the workers of a session: compiled by one, found by the others, and never a reason to fail."""

import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from ashtune._src.training.fused.jax.program_cache import ProgramCache
from ashtune._src.training.fused.protocol import PROGRAMS_FOLDER

jax = pytest.importorskip("jax", reason="JAX is not installed")
PROGRAM = """
    import sys
    from pathlib import Path
    import jax
    import jax.numpy as jnp
    from ashtune._src.training.fused.jax.program_cache import ProgramCache

    def compile_it():
        print("compiled")
        return jax.jit(lambda x: jnp.sin(x) * 2).lower(jnp.zeros(3)).compile()

    print(float(ProgramCache(Path(sys.argv[1])).load_or_compile(sys.argv[2], compile_it)(jnp.ones(3))[0]))
"""


def run(study: Path, key: str = "a", **environment: str) -> list[str]:
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(study), key]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    return done.stdout.split()


def compiles(study: Path, key: str = "a") -> bool:
    """Ask a cache of this process, which has read nothing yet, for a program; return whether it is compiled.

    The program is another one each time, as JAX has a cache of its own, which other tests switch on in this process.
    """
    calls: list[str] = []
    factor = random.SystemRandom().random()

    def compile_it() -> Any:
        calls.append(key)
        return jax.jit(lambda x: jax.numpy.sin(x) * factor).lower(jax.numpy.zeros(3)).compile()

    ProgramCache(study).load_or_compile(key, compile_it)(jax.numpy.ones(3))
    return bool(calls)


def test_the_second_process_finds_what_the_first_compiled(tmp_path: Path) -> None:
    first = run(tmp_path)
    assert first[0] == "compiled"
    assert run(tmp_path) == first[1:]
    assert compiles(tmp_path, "b")
    assert run(tmp_path, XLA_FLAGS="--xla_cpu_enable_fast_math=false")[0] == "compiled", "another machine or setting"


@pytest.mark.parametrize("damage", [b"", b"not a program", b"\x80\x04N."])
def test_a_damaged_program_is_compiled_anew(tmp_path: Path, damage: bytes) -> None:
    assert compiles(tmp_path)
    (file,) = [file for file in (tmp_path / PROGRAMS_FOLDER).iterdir() if not file.suffix]
    assert not compiles(tmp_path)
    file.write_bytes(damage)
    assert compiles(tmp_path)


def test_who_died_while_compiling_is_not_waited_for(tmp_path: Path) -> None:
    cache = ProgramCache(tmp_path)
    assert not cache.is_at_another("a")
    slow = PROGRAM.replace('print("compiled")', 'print("compiling", flush=True); import time; time.sleep(600)')
    command = [sys.executable, "-c", textwrap.dedent(slow), str(tmp_path), "a"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "compiling\n"
        assert cache.is_at_another("a")
        assert not cache.is_at_another("b")
        other.kill()
    assert not cache.is_at_another("a")
    assert compiles(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_where_nothing_can_be_written_everyone_compiles(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert compiles(tmp_path)
    tmp_path.chmod(0o700)
