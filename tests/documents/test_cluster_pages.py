"""The job scripts of the pages on clusters: all are Bash, and after those of PBS and LSF another
job follows.

Neither batch system can be had here. What is theirs is one command, ``qsub``, and an exit status;
all else is real.
"""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import ashtune
from tests.helpers import pages
from tests.helpers.launching import FAMILY, FAMILY_VARIABLES, Ended, launched

CLUSTERS = pages.GUIDE / "clusters"
SCRIPT = re.compile(r"^```bash\n(#!/bin/bash\n.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(?:bash|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TRAIN = """
    import time
    from pathlib import Path

    SLOW = Path(__file__).with_name("slow")
    space = {"rate": (0.0, 1.0)}

    def train(trial):
        trained = trial.restore() or 0
        for epoch in trial.epochs():
            trained += 1
            time.sleep(2.0 if trial.number >= 8 and SLOW.exists() else 0.05)
            trial.report(accuracy=1 - trial["rate"] / trained)
        trial.save(trained)
"""
QSUB = '#!/bin/sh\necho "$@" >> submitted\n'
SMALLER = {
    "mpiexec -n 64": "mpiexec -n 3",
    "--trials 1000 --max-resource 64": "--trials 24 --max-resource 9 --quiet",
}

needs_an_mpi = pytest.mark.skipif(FAMILY is None, reason="no MPI is installed in this environment")


@pytest.mark.parametrize("page", sorted(page.name for page in CLUSTERS.glob("*.md")))
def test_every_shell_block_of_a_page_is_valid_bash(page: str) -> None:
    for block in BLOCK.findall((CLUSTERS / page).read_text()):
        done = subprocess.run(
            ["bash", "-n"], input=block, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(textwrap.dedent(TRAIN))
    # so that the first job has results soon, and is not complete at its time limit
    (tmp_path / "slow").touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "qsub").write_text(QSUB)
    (tmp_path / "bin" / "qsub").chmod(0o755)
    return tmp_path


def run_script_of(page: str, home: Path, *, limit: str) -> Ended:
    """Run the job script of a page, in a smaller size, as its batch system would."""
    (script,) = SCRIPT.findall((CLUSTERS / page).read_text())
    for size, smaller in {**SMALLER, "--time-limit 55m": f"--time-limit {limit}"}.items():
        assert script.count(size) == 1, size
        script = script.replace(size, smaller)
    (home / "job.sh").write_text(script)
    path = ":".join([str(home / "bin"), str(Path(sys.prefix) / "bin"), "/usr/bin", "/bin"])
    variables = {**FAMILY_VARIABLES[str(FAMILY)], "PATH": path, "PBS_O_WORKDIR": str(home)}
    with launched("bash", "job.sh", cwd=home, variables=variables) as launch:
        return launch.wait()


@needs_an_mpi
@pytest.mark.thorough
def test_the_pbs_job_submits_the_next_job_only_at_its_time_limit(home: Path) -> None:
    first = run_script_of("pbs.md", home, limit="12s")
    assert first.status == 0, str(first)
    assert (home / "submitted").read_text() == "tune.pbs\n"
    assert ashtune.Study.load(home / "runs" / "study").stopped == "time limit reached"
    (home / "slow").unlink()
    second = run_script_of("pbs.md", home, limit="100s")
    assert second.status == 0, str(second)
    assert (home / "submitted").read_text() == "tune.pbs\n"
    assert ashtune.Study.load(home / "runs" / "study").is_complete


@needs_an_mpi
@pytest.mark.thorough
def test_the_pbs_job_submits_no_next_job_when_the_command_is_refused(home: Path) -> None:
    (home / "train.py").unlink()
    ended = run_script_of("pbs.md", home, limit="12s")
    assert ended.status != 0, str(ended)
    assert not (home / "submitted").exists()


@needs_an_mpi
@pytest.mark.thorough
def test_the_lsf_job_exits_with_status_75_only_at_its_time_limit(home: Path) -> None:
    first = run_script_of("lsf.md", home, limit="12s")
    assert first.status == 75, str(first)
    (home / "slow").unlink()
    second = run_script_of("lsf.md", home, limit="100s")
    assert second.status == 0, str(second)
    assert ashtune.Study.load(home / "runs" / "study").is_complete
