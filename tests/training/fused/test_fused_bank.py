"""The bank of a user's compiled programs: compiled by one process, loaded by others, and never a
reason to fail.
"""

import os
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed")

import numpy as np  # noqa: E402 - after the skip

from ashtune._src.training.fused.jax import bank as banks  # noqa: E402
from ashtune._src.training.fused.jax.bank import ProgramBank, trace_text  # noqa: E402
from ashtune._src.training.fused.jax.recipe import Recipe  # noqa: E402

PROGRAM = """
    import sys
    import jax
    import jax.numpy as jnp
    from ashtune._src.training.fused.jax.bank import ProgramBank

    def compile_it():
        print("compiled")
        return jax.jit(lambda x: jnp.sin(x) * 2).lower(jnp.zeros(3)).compile()

    program, is_built_here = ProgramBank(is_worker=True).load_or_compile(sys.argv[1], compile_it)
    print(float(program(jnp.ones(3))[0]))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "ashtune" / "programs"


def run(key: str = "a", **environment: str) -> list[str]:
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), key]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def compiles(key: str = "a", *, is_worker: bool = True) -> bool:
    """Ask the bank for a program; return whether it is compiled. The program is another one each
    time.
    """
    factor = random.SystemRandom().random()

    def compile_it() -> Any:
        return jax.jit(lambda x: jax.numpy.sin(x) * factor).lower(jax.numpy.zeros(3)).compile()

    program, is_built_here = ProgramBank(is_worker=is_worker).load_or_compile(key, compile_it)
    program(jax.numpy.ones(3))
    return is_built_here


def test_a_second_process_loads_the_programs_that_the_first_process_compiled(folder: Path) -> None:
    first = run()
    assert first[0] == "compiled"
    assert run() == first[1:]
    assert compiles("b")
    assert run(XLA_FLAGS="--xla_cpu_enable_fast_math=false")[0] == "compiled", (
        "another machine or setting"
    )
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(list(folder.iterdir())) == 3, "no claim is left"


def test_workers_store_a_program_only_if_the_program_has_a_key(folder: Path) -> None:
    assert compiles(is_worker=False)
    assert compiles("")
    assert not folder.exists() or not list(folder.iterdir())
    assert compiles()
    assert not compiles(is_worker=False)


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda file: file.write_bytes(b""),
    "no program": lambda file: file.write_bytes(b"not a program" * 9),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-9]),
    "one bit": flip,
    "written by others": lambda file: file.chmod(0o620),
    "a link": lambda file: file.symlink_to(file.rename(file.parent.parent / "elsewhere")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_program_with_a_damaged_or_unsafe_file_is_compiled_again(
    damage: str, folder: Path
) -> None:
    assert compiles()
    (file,) = folder.iterdir()
    assert not compiles()
    DAMAGES[damage](file)
    assert compiles()
    assert not compiles()


def test_a_program_file_of_another_user_is_not_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compiles()
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert compiles()


def test_the_oldest_compiled_programs_are_deleted_from_a_full_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(banks, "MOST_FILES", 3)  # two programs and a claim
    for age, key in enumerate("abc"):
        assert compiles(key)
        os.utime(max(folder.iterdir(), key=lambda file: file.stat().st_mtime), (age, age))
    assert not compiles("c")
    assert compiles("a")


def recipe_of(scale: Any, name: str = "loss", examples: int = 8) -> Recipe:
    return Recipe(
        init=lambda key, config: {"w": jax.numpy.zeros(3)},
        step=lambda state, batch, config: ({"w": state["w"] + config["rate"] * scale[0]}, {}),
        evaluate=lambda state, data: {name: jax.jit(lambda w: (w * scale).sum())(state["w"])},
        train=np.zeros((examples, 2)), validation=np.zeros((4, 2)), batch_size=4,
    )  # fmt: skip


def key_of(recipe: Recipe, rate: str = "rate") -> str:
    return recipe.trace_key(
        (), {"w": jax.ShapeDtypeStruct((3,), "float32")}, {rate: 0.1, "rate": 0.1}
    )


def test_the_key_of_a_program_changes_with_each_input_of_its_compilation() -> None:
    long = np.arange(3.0)
    other = long + np.array([0.0, 0.0, 1e-3])
    assert key_of(recipe_of(long)) == key_of(recipe_of(long.copy())) != ""
    keys = [
        key_of(recipe_of(long)), key_of(recipe_of(other)), key_of(recipe_of(long, "error")),
        key_of(recipe_of(long, examples=12)), key_of(recipe_of(long), "unused"),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)


def test_a_program_that_calls_python_functions_has_no_key() -> None:
    def late(x: Any) -> Any:
        return jax.pure_callback(np.sin, jax.ShapeDtypeStruct((), "float32"), x)

    assert trace_text(jax.make_jaxpr(jax.jit(late))(1.0)) == ""
    assert trace_text(jax.make_jaxpr(jax.numpy.sin)(1.0))


def test_no_process_waits_for_a_process_that_died_while_compiling() -> None:
    bank = ProgramBank(is_worker=True)
    assert not bank.is_at_another("a")
    slow = PROGRAM.replace(
        'print("compiled")', 'print("compiling", flush=True); import time; time.sleep(600)'
    )
    command = [sys.executable, "-c", textwrap.dedent(slow), "a"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "compiling\n"
        assert bank.is_at_another("a")
        assert not bank.is_at_another("b")
        other.kill()
    assert not bank.is_at_another("a")
    assert compiles()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_program_is_compiled_even_if_the_program_folder_is_read_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert compiles()
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("setting", ["jax_threefry_partitionable", "jax_enable_x64"])
def test_different_settings_of_jax_select_a_different_program_file(setting: str) -> None:
    bank, value = ProgramBank(is_worker=True), jax.config.values[setting]
    before = bank._file("key")
    jax.config.update(setting, not value)
    try:
        assert bank._file("key") != before
    finally:
        jax.config.update(setting, value)
