"""A SLURM of one node, for tests: its commands, and batch jobs that are waited for.

What SLURM 24.11 and the settings in ``slurm_up.sh`` make of time, as measured:

- A batch job starts 1 to 2 s after ``sbatch``, a step at once.
- A job that is cut (time limit, requeue, cancel) gets SIGCONT and SIGTERM, all its processes, and
  SIGKILL 5 s later.
- A requeued job starts again 6 to 7 s after its last process is gone.
- Time limits are whole minutes, ``--time=0:10`` too, and are looked at every 30 s, which cannot be
  changed: a limit of a minute cuts after 60 to 90 s, and ``--signal=USR1@N`` comes up to 60 s
  early, in a job of a minute before 30 s have passed. ``SlurmJob.end_in`` moves the end of a
  running job nearer: its cut then comes at the next look after that end.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.helpers.launching import LIMIT, clean_environment

HERE = Path(__file__).parent
COMMANDS = ("munged", "slurmctld", "slurmd", "srun", "sbatch", "scontrol", "scancel", "sinfo")
OVER = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")


def why_there_is_none() -> str | None:
    """Why SLURM cannot be started here; None if it can."""
    if os.geteuid() != 0:
        return "SLURM is started by root only: run `make test-cluster` as root"
    missing = [
        name
        for name in COMMANDS
        if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None
    ]
    if missing:
        return (
            f"SLURM is not installed, no {', '.join(missing)}: `make test-cluster` as root "
            f"installs it on Debian"
        )
    return None


class Slurm:
    """A SLURM that runs in its own folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables: Mapping[str, str] = {"SLURM_CONF": str(folder / "slurm.conf")}
        """What leads SLURM's commands to this SLURM."""

    def up(self) -> None:
        """Start it; it takes about a second."""
        subprocess.run(
            [HERE / "slurm_up.sh", self.folder], env=clean_environment(), check=True, timeout=LIMIT
        )

    def down(self) -> None:
        """Kill it, its jobs, and whatever they left."""
        subprocess.run(
            [HERE / "slurm_down.sh", self.folder],
            env=clean_environment(),
            check=True,
            timeout=LIMIT,
        )

    def ask(
        self, *command: str, cwd: Path | None = None, variables: Mapping[str, str] | None = None
    ) -> str:
        """What one of SLURM's commands prints; it must succeed."""
        environment = {**clean_environment(), **self.variables, **(variables or {})}
        done = subprocess.run(
            command,
            env=environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 0, (
            f"{command}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done.stdout

    def submit(
        self, script: Path, *options: str, variables: Mapping[str, str] | None = None
    ) -> "SlurmJob":
        """Hand in a batch script, to run in the script's folder with ``variables`` added to its
        environment.
        """
        output = script.with_suffix(".out")
        words = [
            "sbatch",
            "--parsable",
            f"--output={output}",
            "--open-mode=append",
            *options,
            str(script),
        ]
        return SlurmJob(self, int(self.ask(*words, cwd=script.parent, variables=variables)), output)

    def cancel_everything(self) -> None:
        """Kill all jobs and wait until they are gone."""
        self.ask("scancel", "--full", "--signal=KILL", "--user=root")
        self.ask("scancel", "--user=root")
        give_up = time.monotonic() + LIMIT
        while self.ask("squeue", "--noheader"):
            assert time.monotonic() < give_up, self.ask("squeue")
            time.sleep(0.05)


class SlurmJob:
    """A batch job of a Slurm."""

    def __init__(self, slurm: Slurm, number: int, output: Path) -> None:
        self.slurm = slurm
        self.number = number
        self._output = output

    @property
    def output(self) -> str:
        """What the batch script and its steps wrote by now, in all their starts."""
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    def fact(self, name: str) -> str:
        """One of the facts of ``scontrol show job``, such as JobState,
        Reason, Restarts, ExitCode.
        """
        listing = self.slurm.ask("scontrol", "show", "job", str(self.number))
        match = re.search(rf"\b{name}=(\S*)", listing)
        assert match, f"no {name} in {listing}"
        return match[1]

    def end_in(self, seconds: int) -> None:
        """Move the end of the running job; what it was told of its end,
        SLURM_JOB_END_TIME, stays.
        """
        self.slurm.ask("scontrol", "update", f"JobId={self.number}", f"EndTime=now+{seconds}")

    def wait(self, limit: float = LIMIT) -> str:
        """Wait, at most ``limit`` seconds, until the job is over; return its state."""
        give_up = time.monotonic() + limit
        while (state := self.fact("JobState")) not in OVER:
            assert time.monotonic() < give_up, (
                f"job {self.number} is still {state} after {limit} s\n{self.output}"
            )
            time.sleep(0.1)
        return state
