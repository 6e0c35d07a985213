"""What a killed SLURM step left is deleted, and nothing else."""

import os
import time
from pathlib import Path

from ashtune._src.engines.mpi.start import delete_stale_memory

OF_STEP_1_0 = "mpich_shm_eb421bf2_0"  # as MPICH 5.0.2 named it under srun


def test_only_old_shared_memory_of_the_same_slurm_step_is_deleted(tmp_path: Path) -> None:
    ghost, own, another = (
        tmp_path / OF_STEP_1_0,
        tmp_path / "mpich_shm_eb421bf2_1",
        tmp_path / "mpich_shm_281e0ec3_0",
    )
    for file in (ghost, own, another):
        file.touch()
    for file in (ghost, another):
        os.utime(file, (0, time.time() - 3600))
    delete_stale_memory({"PMI_JOBID": "1.0"}, tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([own, another])


def test_shared_memory_of_another_launcher_is_kept(tmp_path: Path) -> None:
    ghost = tmp_path / OF_STEP_1_0
    ghost.touch()
    os.utime(ghost, (0, 0))
    delete_stale_memory({"PMI_RANK": "0"}, tmp_path)
    delete_stale_memory({"PMI_JOBID": "1.0"}, tmp_path / "nowhere")
    assert ghost.exists()
