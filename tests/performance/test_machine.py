"""Measuring the machine: what a measurement consists of. How fast the
machine is, benchmarks say.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from ashtune._src.core.errors import SettingsError
from ashtune._src.performance import machine
from ashtune._src.performance.machine import caches
from ashtune._src.performance.roofline import Cache

KIB = 1024


def describe(place: Path, level: int, kind: str, size: str, shared: str) -> None:
    place.mkdir(parents=True)
    for name, text in {
        "level": str(level),
        "type": kind,
        "size": size,
        "shared_cpu_list": shared,
    }.items():
        (place / name).write_text(text + "\n")


@pytest.fixture
def four_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four cores, two last-level caches; this process may use the first three."""
    for core in range(4):
        pair = "0-1" if core < 2 else "2-3"
        describe(tmp_path / f"cpu{core}" / "cache" / "index0", 1, "Data", "32K", str(core))
        describe(tmp_path / f"cpu{core}" / "cache" / "index1", 1, "Instruction", "64K", str(core))
        describe(tmp_path / f"cpu{core}" / "cache" / "index2", 2, "Unified", "512K", str(core))
        describe(tmp_path / f"cpu{core}" / "cache" / "index3", 3, "Unified", "16M", pair)
    monkeypatch.setattr(machine, "own_cores", lambda: [0, 1, 2])
    return tmp_path


def test_a_cache_shared_by_cores_is_counted_once(four_cores: Path) -> None:
    assert caches(four_cores) == [
        Cache(level=1, size=32 * KIB, count=3),
        Cache(level=2, size=512 * KIB, count=3),
        Cache(level=3, size=16 * KIB * KIB, count=2),
    ]


def test_measurement_arrays_are_four_times_the_size_of_the_last_level_cache() -> None:
    caches = [Cache(level=1, size=32 * KIB, count=8), Cache(level=2, size=KIB * KIB, count=8)]
    assert machine.array_bytes(caches, everywhere=False) == 4 * KIB * KIB
    assert machine.array_bytes(caches, everywhere=True) == 32 * KIB * KIB


def test_measurement_arrays_use_at_most_an_eighth_of_the_memory() -> None:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    caches = [Cache(level=3, size=memory, count=1)]
    assert 3 * machine.array_bytes(caches, everywhere=True) <= memory / 8


def test_the_triad_benchmark_runs_with_any_number_of_threads() -> None:
    assert machine.triad(KIB, 2, 0.0) > 0
    assert machine.triad(KIB, 1, 0.01) > 0


def environment(threads: int) -> Mapping[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_MAIN_FREE": "1"}


def test_one_core_and_all_cores_are_measured_in_both_float_types(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "array_bytes", lambda caches, everywhere: KIB * KIB)
    roofs = machine.measure(2, environment, seconds=0.05)
    assert [roof.name for roof in roofs.roofs] == [
        "1 core, float32", "1 core, float64", "2 cores, float32", "2 cores, float64",
    ]  # fmt: skip
    assert roofs.array_bytes == KIB * KIB
    assert roofs.settings["OPENBLAS_MAIN_FREE"] == "1"
    assert "OPENBLAS_NUM_THREADS" not in roofs.settings
    assert roofs.blas


def test_a_failed_measurement_process_is_reported_in_one_line() -> None:
    with pytest.raises(SettingsError) as refused:
        machine.child("ashtune._src.performance.machine", "nonsense", environment=os.environ)
    assert "\n" not in str(refused.value)
