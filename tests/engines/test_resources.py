"""How the workers of one node share its cores and GPUs: invariants over any node, and the masks of
real launchers.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ashtune._src.core.errors import SettingsError
from ashtune._src.engines import worker_resources as resources
from ashtune._src.engines.worker_resources import (
    CUDA,
    HIP,
    ROCR,
    THREAD_VARIABLES,
    Claim,
    check_gpus_per_worker,
    claim,
    device_files,
    devices_in,
    environment_of,
    gpus_of_rank,
    gpus_present,
    is_amd,
)

SHARES = [0.1, 1 / 7, 0.2, 0.25, 1 / 3, 0.5, 1.0, 2.0, 3.0, 8.0]
FREE = Claim(cores=(0, 1, 2, 3), gpus=None)


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without a quota and without AMD's driver, whatever runs these tests."""
    monkeypatch.setattr(resources, "_CGROUP_QUOTA", tmp_path / "no-quota")
    monkeypatch.setattr(resources, "is_amd", lambda: False)


def set_quota(monkeypatch: pytest.MonkeyPatch, file: Path, text: str) -> None:
    file.write_text(text)
    monkeypatch.setattr(resources, "_CGROUP_QUOTA", file)


def seen(
    index: int,
    claims: Sequence[Claim],
    gpus_per_worker: float,
    *,
    present: int | None = None,
    inherited: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the variables of GPUs that one worker gets."""
    given_out = environment_of(
        index,
        claims,
        threads=1,
        gpus_per_worker=gpus_per_worker,
        inherited=inherited or {},
        gpus_present=present,
    )
    return {name: value for name, value in given_out.items() if name not in THREAD_VARIABLES}


def devices(
    claims: Sequence[Claim],
    gpus_per_worker: float,
    *,
    present: int | None = None,
    variable: str = CUDA,
) -> list[str]:
    """Return what each worker sees, all of them under one variable."""
    return [
        seen(
            index,
            claims,
            gpus_per_worker,
            present=present,
            inherited={} if mine.gpus is None else {variable: mine.gpus},
        )[variable]
        for index, mine in enumerate(claims)
    ]


def threads(
    index: int, claims: Sequence[Claim], *, inherited: Mapping[str, str] | None = None
) -> dict[str, str]:
    return environment_of(
        index,
        claims,
        threads=None,
        gpus_per_worker=None,
        inherited=inherited or {},
        gpus_present=None,
    )


# Cores


def test_workers_divide_all_cores_among_themselves_if_not_bound_to_cores() -> None:
    assert threads(1, [FREE, FREE]) == dict.fromkeys(THREAD_VARIABLES, "2")


def test_workers_that_are_bound_to_separate_cores_use_all_their_cores() -> None:
    bound = [Claim((0, 1, 2), None), Claim((3, 4, 5), None), Claim((6,), None)]
    assert [threads(index, bound)["OMP_NUM_THREADS"] for index in range(3)] == ["3", "3", "1"]


def test_workers_that_are_bound_to_one_socket_share_its_cores() -> None:
    sockets = [Claim((0, 1, 2, 3), None)] * 2 + [Claim((4, 5, 6, 7, 8, 9), None)] * 3
    assert [threads(index, sockets)["MKL_NUM_THREADS"] for index in range(5)] == ["2"] * 5


def test_each_worker_has_one_thread_if_workers_outnumber_cores() -> None:
    assert threads(6, [FREE] * 7)["OMP_NUM_THREADS"] == "1"


def test_thread_variables_of_the_user_are_kept_without_the_option_threads() -> None:
    inherited = {"OMP_NUM_THREADS": "7"}
    assert "OMP_NUM_THREADS" not in threads(0, [FREE], inherited=inherited)
    assert threads(0, [FREE], inherited=inherited)["MKL_NUM_THREADS"] == "4"
    given_out = environment_of(
        0, [FREE], threads=3, gpus_per_worker=None, inherited=inherited, gpus_present=8
    )
    assert given_out == dict.fromkeys(THREAD_VARIABLES, "3")


def test_all_workers_share_the_cpu_quota(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_quota(monkeypatch, tmp_path / "cpu.max", "400000 100000\n")
    bound = [Claim((0, 1, 2, 3), None), Claim((4, 5, 6, 7), None)]
    assert threads(0, bound)["OMP_NUM_THREADS"] == "2"
    set_quota(monkeypatch, tmp_path / "cpu.max", "max 100000\n")
    assert threads(0, bound)["OMP_NUM_THREADS"] == "4"


@given(st.lists(st.sampled_from([(0,), (0, 1, 2, 3), (4, 5), (6, 7, 8)]), min_size=1, max_size=12))
def test_the_number_of_threads_exceeds_the_cores_only_with_single_threaded_workers(
    masks: list[tuple[int, ...]],
) -> None:
    claims = [Claim(mask, None) for mask in masks]
    each = [int(threads(index, claims)["OMP_NUM_THREADS"]) for index in range(len(claims))]
    for mask in set(masks):
        mine = [count for count, one in zip(each, masks, strict=True) if one == mask]
        assert sum(mine) <= len(mask) or set(mine) == {1}


# GPUs


def test_gpu_variables_are_not_set_without_the_option_gpus_per_worker() -> None:
    claims = [Claim((0,), "0,1")]
    given_out = environment_of(
        0, claims, threads=1, gpus_per_worker=None, inherited={CUDA: "0,1"}, gpus_present=2
    )
    assert set(given_out) == set(THREAD_VARIABLES)


@given(st.integers(1, 24), st.integers(1, 16), st.sampled_from(SHARES))
def test_each_worker_has_enough_gpus_and_no_gpu_is_overloaded(
    workers: int, present: int, share: float
) -> None:
    each, on_each = max(1, round(share)), max(1, round(1 / share))
    assume(-(-workers // on_each) * each <= present)
    own = [mask.split(",") for mask in devices([FREE] * workers, share, present=present)]
    assert all(len(mine) == len(set(mine)) == each for mine in own)
    served = Counter(device for mine in own for device in mine)
    assert set(served) <= {str(number) for number in range(present)}
    assert max(served.values()) <= on_each


@given(st.integers(1, 24), st.integers(0, 16), st.sampled_from(SHARES), st.booleans())
def test_too_few_devices_are_refused_with_advice(
    workers: int, present: int, share: float, is_masked: bool
) -> None:
    each, on_each = max(1, round(share)), max(1, round(1 / share))
    assume(-(-workers // on_each) * each > present)
    claim = Claim((0,), ",".join(map(str, range(present)))) if is_masked else FREE
    for index in range(workers):
        with pytest.raises(SettingsError) as refusal:
            seen(index, [claim] * workers, share, present=present)
        assert "\n" not in str(refusal.value)
    advised = re.search(r"give gpus_per_worker=([0-9.]+)", str(refusal.value))
    assert (advised is None) == (present == 0)
    if advised:
        devices([claim] * workers, check_gpus_per_worker(float(advised[1])), present=present)
    fewer = re.search(r"at most ([0-9]+)", str(refusal.value))
    if fewer:
        devices([claim] * int(fewer[1]), share, present=present)


@given(st.integers(1, 24), st.integers(0, 8), st.sampled_from(SHARES))
def test_knowing_the_number_of_gpus_does_not_change_the_assigned_gpus(
    workers: int, present: int, share: float
) -> None:
    unknown = devices([FREE] * workers, share, present=None)
    try:
        assert devices([FREE] * workers, share, present=present) == unknown
    except SettingsError:
        assert int(unknown[-1].split(",")[-1]) >= present


def test_two_workers_share_a_gpu_if_each_worker_needs_half_a_gpu() -> None:
    assert devices([FREE] * 5, 0.5, present=3) == ["0", "0", "1", "1", "2"]


def test_workers_divide_the_gpus_of_a_mask_that_all_workers_inherited() -> None:
    assert devices([Claim((0,), "4,5,6,7")] * 2, 2.0) == ["4,5", "6,7"]


def test_a_rank_uses_the_first_gpus_of_its_own_mask() -> None:
    per_task = [Claim((0,), mask) for mask in ("0,1", "2,3", "4,5")]
    assert devices(per_task, 1.0) == ["0", "2", "4"]


def test_gpus_numbered_0_in_separate_cgroups_are_different_devices() -> None:
    constrained = [Claim((0,), "0", ("/dev/nvidia0",)), Claim((0,), "0", ("/dev/nvidia1",))]
    assert devices(constrained, 1.0) == ["0", "0"]
    with pytest.raises(SettingsError):
        devices([constrained[0]] * 2, 1.0)


@pytest.mark.parametrize(
    ("mask", "visible"),
    [
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("none", ()),
        ("0", ("0",)),
        (" 1, 0 ", ("1", "0")),
        ("0,2,-1,1", ("0", "2")),
        ("0,1,", ("0", "1")),
        ("1,2,1", ()),
        ("GPU-a,GPU-b,x,GPU-c", ("GPU-a", "GPU-b")),
    ],
)
def test_a_gpu_mask_is_interpreted_as_in_cuda(mask: str, visible: tuple[str, ...]) -> None:
    assert devices_in(mask) == visible


@pytest.mark.parametrize(
    ("inherited", "expected"),
    [
        ({CUDA: "3,4"}, {CUDA: "4"}),
        ({HIP: "3,4"}, {HIP: "4"}),
        ({ROCR: "3,4"}, {ROCR: "4"}),
        ({CUDA: "3,4", HIP: "3,4"}, {CUDA: "4", HIP: "4"}),
        ({HIP: "0,1", ROCR: "3,4"}, {HIP: "1"}),
        ({CUDA: "0,1", ROCR: "3,4"}, {CUDA: "1"}),
        ({"SLURM_PROCID": "1"}, {CUDA: "1"}),
    ],
)
def test_the_inherited_gpu_variable_is_reduced_to_the_gpus_of_the_worker(
    inherited: dict[str, str], expected: dict[str, str]
) -> None:
    assert seen(1, [claim(inherited)] * 2, 1.0, present=2, inherited=inherited) == expected


@pytest.mark.parametrize(
    ("workers", "mask", "share", "message"),
    [
        (
            3,
            "0,1",
            1.0,
            "gpus_per_worker=1 is too much on this node, which has 3 workers and 2 GPUs "
            "(CUDA_VISIBLE_DEVICES='0,1'); give gpus_per_worker=0.5, or start fewer workers",
        ),
        (
            1,
            "5",
            2.0,
            "gpus_per_worker=2 is too much on this node, which has 1 worker and 1 GPU "
            "(CUDA_VISIBLE_DEVICES='5'); give gpus_per_worker=1, or start fewer workers",
        ),
        (
            2,
            "NoDevFiles",
            0.5,
            "gpus_per_worker=0.5, but this node shows no GPU (CUDA_VISIBLE_DEVICES='NoDevFiles'); "
            "ask the launcher for GPUs, or leave gpus_per_worker out",
        ),
    ],
)
def test_the_error_for_too_few_gpus_counts_workers_and_gpus(
    workers: int, mask: str, share: float, message: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        devices([Claim((0,), mask)] * workers, share)
    assert str(refusal.value) == message


# What may be asked for


@pytest.mark.parametrize("value", [1, 2, 8.0, 0.5, 0.25, 1 / 3, 0.3333333333, 0.1, 1 / 49])
def test_gpus_per_worker_may_be_a_whole_number_or_a_unit_fraction(value: float) -> None:
    assert check_gpus_per_worker(value) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        -0.5,
        1.5,
        0.4,
        0.3333,
        2.0001,
        float("nan"),
        float("inf"),
        5e-324,
        10**400,
        True,
        False,
        "1",
        None,
    ],
)
def test_an_invalid_gpus_per_worker_is_refused(value: float) -> None:
    with pytest.raises(SettingsError):
        check_gpus_per_worker(value)


# What this process has


def test_the_first_gpu_mask_variable_that_is_set_determines_the_gpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5, 3}, raising=False)
    monkeypatch.setattr(resources, "device_files", lambda: ("/dev/nvidia0",))
    assert claim({ROCR: "2", HIP: "1"}) == Claim((3, 5), "1", ("/dev/nvidia0",))
    assert claim({CUDA: "", HIP: "1"}).gpus == ""
    assert claim({}).gpus is None


def test_every_core_is_used_if_the_system_reports_no_cpu_affinity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert claim({}).cores == (0, 1, 2)


def make(root: Path, *paths: str, text: str = "") -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def forbid(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let a cgroup withhold these files."""
    allowed: Callable[[Path, int], bool] = os.access
    monkeypatch.setattr(
        os, "access", lambda file, mode: Path(file).name not in names and allowed(file, mode)
    )


def test_the_number_of_gpus_is_unknown_without_a_gpu_driver(tmp_path: Path) -> None:
    make(tmp_path, "dev/null", "dev/nvidiactl", "dev/nvidia-uvm")
    assert gpus_present(tmp_path) is None
    assert device_files(tmp_path) == ()
    assert not is_amd(tmp_path)


def test_nvidia_gpus_are_counted_by_device_files_if_there_are_any(tmp_path: Path) -> None:
    make(
        tmp_path,
        "proc/driver/nvidia/gpus/0000:01:00.0/information",
        "proc/driver/nvidia/gpus/0000:02:00.0/power",
    )
    assert gpus_present(tmp_path) == 2
    make(tmp_path, "dev/nvidia0", "dev/nvidiactl", "dev/nvidia-caps/nvidia-cap1")
    assert gpus_present(tmp_path) == 1


def test_gpus_outside_the_cgroup_do_not_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make(
        tmp_path,
        *(f"dev/nvidia{number}" for number in range(12)),
        "dev/dri/renderD128",
        "dev/dri/card0",
    )
    forbid(monkeypatch, "nvidia0", "nvidia11")
    assert gpus_present(tmp_path) == 10
    named = [Path(file).name for file in device_files(tmp_path)]
    assert sorted(named) == sorted([f"nvidia{number}" for number in range(1, 11)] + ["renderD128"])


def test_the_processes_of_a_worker_share_its_cores() -> None:
    given_out = environment_of(
        0, [FREE], threads=None, gpus_per_worker=None, inherited={}, gpus_present=None, processes=2
    )
    assert given_out["OMP_NUM_THREADS"] == "2"


@pytest.mark.parametrize(
    ("mask", "parts"),
    [
        ("4,5", ["4", "5"]),
        ("0,1,2,3", ["0,1", "2,3"]),
        ("0,1,2", [None, None]),
        ("0", [None, None]),
        ("", [None, None]),
    ],
)
def test_the_ranks_of_a_worker_divide_its_gpus_among_them_if_possible(
    mask: str, parts: list[str | None]
) -> None:
    assert [gpus_of_rank(rank, 2, {CUDA: mask}).get(CUDA) for rank in range(2)] == parts
    assert gpus_of_rank(0, 2, {}) == {}
    assert gpus_of_rank(0, 1, {CUDA: mask}) == {}
