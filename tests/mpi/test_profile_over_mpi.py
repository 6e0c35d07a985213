"""Profiles of ranks: each writes its own, and where no directory is shared they come back to the driver."""

import re
import textwrap
from pathlib import Path

import pytest

from ashtune.api.study import Study
from tests.helpers.launching import FAMILY, PYTHON, mpiexec
from tests.helpers.together import TOGETHER, together

pytestmark = pytest.mark.skipif(FAMILY is None, reason="no MPI is installed in this environment")

SCRIPT = (
    TOGETHER
    + """
    import sys
    import ashtune

    def slow():
        end = time.perf_counter() + 0.02
        while time.perf_counter() < end:
            pass

    def train(trial):
        wait_for_all()
        for epoch in trial.epochs():
            slow()
            trial.report(score=trial["x"] * epoch)

    ashtune.tune(
        train, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=60, max_resource=4, directory=sys.argv[1],
        quiet=True, search="random", engine=ashtune.MPI(profile=True, **eval(sys.argv[2]))
    )
"""
)


@pytest.mark.parametrize("more", ["{}", "{'isolate': False}", "{'checkpoints': 'messages'}"])
def test_the_profiles_of_all_ranks_are_in_the_drivers_directory(tmp_path: Path, more: str) -> None:
    script = tmp_path / "tune.py"
    script.write_text(textwrap.dedent(SCRIPT))
    ended = mpiexec(3, PYTHON, str(script), str(tmp_path / "s"), more, variables=together(2, tmp_path))
    assert ended.status == 0, str(ended)
    study = Study.load(tmp_path / "s")
    profile = study.profile()
    assert profile.workers == 2
    (slow,) = [record for record in profile.records if re.search(r":\d+ slow$", record.name)]
    assert slow.seconds == pytest.approx(0.02 * study.report_data()["epochs"], rel=0.5)
