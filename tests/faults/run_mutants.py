"""Break the code on purpose, once for each patch in ``mutants/``, and see whether the simulated
histories find it.

python -m tests.faults.run_mutants                    # all of them, and how many histories it took
python -m tests.faults.run_mutants forgets-to-sync    # these
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import ashtune
from tests import ROOT

MUTANTS = Path(__file__).parent / "mutants"
MOST_HISTORIES, BLOCK = 4_000, 100


def names() -> list[str]:
    """Return the names of all mutants."""
    return sorted(path.stem for path in MUTANTS.glob("*.patch"))


def caught(name: str, *, first: int | None = None) -> tuple[int, str] | None:
    """Return after how many histories a mutant is caught, and by what; None if it is not.

    Args:
        name: The mutant.
        first: The seed of a history to try before all others.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        # With the compiled files of all that is not broken; those that are being written just now
        # are left out.
        shutil.copytree(
            Path(ashtune.__file__).parents[1], source, ignore=shutil.ignore_patterns("*.pyc.*")
        )
        patch = MUTANTS / f"{name}.patch"
        subprocess.run(
            ["patch", "--quiet", "--strip=1", f"--directory={folder}", f"--input={patch}"],
            check=True,
            timeout=60,
        )
        blocks = [*range(0, MOST_HISTORIES, BLOCK)]
        for start in blocks if first is None else [first, *blocks]:
            completed = subprocess.run(
                [sys.executable, "-m", "tests.faults.run_mutants", "--block", str(start)],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(source)},
                capture_output=True,
                text=True,
                check=False,
                timeout=600,
            )
            if completed.returncode == 1:
                seed, _, error = completed.stdout.strip().partition(" ")
                return int(seed) + 1, error
            assert completed.returncode == 0, completed.stderr
    return None


def known_seed(name: str) -> int | None:
    """Return the seed of the history that caught a mutant when it was made, if it stands above its
    patch.

    Where the histories have changed since, another catches it, after more of them.
    """
    noted = re.match(r"Caught by history (\d+)\n", (MUTANTS / f"{name}.patch").read_text())
    return int(noted[1]) if noted else None


def run_block(first: int) -> int:
    """Run a block of histories with the code as it is; print the first that fails."""
    from tests.faults import run_histories

    for seed in range(first, first + BLOCK):
        if (error := run_histories.error_of(seed)) is not None:
            print(seed, error)
            return 1
    return 0


def main() -> int:
    """Run what the command line says; return 1 if a mutant is not caught."""
    if sys.argv[1:2] == ["--block"]:
        return run_block(int(sys.argv[2]))
    missed = 0
    for name in sys.argv[1:] or names():
        catch = caught(name)
        missed += catch is None
        verdict = (
            "NOT CAUGHT" if catch is None else f"after {catch[0]:,} histories: {catch[1][:100]}"
        )
        print(f"{name:44} {verdict}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
