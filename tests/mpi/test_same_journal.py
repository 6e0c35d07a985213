"""Where a study runs does not change what it does: the demo's study on
local workers and on ranks.
"""

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.launching import FAMILY, PYTHON, mpiexec, run

pytestmark = pytest.mark.skipif(FAMILY is None, reason="no MPI is installed in this environment")

SCRIPT = """
    import sys
    import ashtune
    from ashtune._src.demo import demo_objective as objective

    ashtune.tune(
        objective.train, objective.space(), metric="accuracy", mode="max", trials=48, max_resource=16, seed=3,
        search="random", engine=ashtune.Auto(threads=1), directory=sys.argv[1], workers=int(sys.argv[2]), quiet=True,
    )
"""
OF_THE_RUN = ("time", "unix_time", "seconds", "pid", "host", "created", "facts", "crc")


def study(folder: Path) -> list[dict[str, Any]]:
    """Return a journal without what no two runs have in common: times, process numbers, hosts,
    check values.
    """
    lines = (folder / "journal.jsonl").read_text().splitlines()
    return [
        {name: value for name, value in json.loads(line).items() if name not in OF_THE_RUN}
        for line in lines
    ]


def configurations(folder: Path) -> list[Any]:
    return [
        event["configuration"] for event in study(folder) if event.get("event") == "trial_started"
    ]


def test_one_rank_writes_the_same_journal_as_one_worker(tmp_path: Path) -> None:
    script = tmp_path / "tune.py"
    script.write_text(textwrap.dedent(SCRIPT))
    local, one, four = (tmp_path / name for name in ("local", "one", "four"))
    alone = run(PYTHON, str(script), str(local), "1")
    assert alone.status == 0, str(alone)
    ended = mpiexec(2, PYTHON, str(script), str(one), "1")
    assert ended.status == 0, str(ended)
    assert len(study(local)) > 48 * 2
    assert study(one) == study(local)
    ended = mpiexec(5, PYTHON, str(script), str(four), "4")
    assert ended.status == 0, str(ended)
    assert configurations(four) == configurations(local)
