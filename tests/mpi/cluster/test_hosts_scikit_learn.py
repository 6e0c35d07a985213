"""A search of scikit-learn over hosts: with a directory that all of them see, and with one that
they do not.
"""

import json
import textwrap
from pathlib import Path

import pytest

from tests.helpers.launching import FAMILY, PYTHON
from tests.helpers.together import TOGETHER, together
from tests.mpi.cluster.namespace_hosts import Hosts

pytest.importorskip("sklearn", minversion="1.9", reason="scikit-learn is not installed")
pytestmark = pytest.mark.skipif(
    FAMILY != "mpich", reason="hosts are tried with MPICH's mpiexec: install its wheel"
)

SCRIPT = (
    TOGETHER
    + """
    import sys
    from sklearn.datasets import load_iris
    from sklearn.linear_model import SGDClassifier
    from ashtune.integrations.scikit_learn import AshSearchCV

    class Slow(SGDClassifier):
        def partial_fit(self, *given, **more):
            wait_for_all()
            return super().partial_fit(*given, **more)

    search = AshSearchCV(
        Slow(random_state=0), {"alpha": (1e-5, 1e-1, "log")}, max_resources=9, n_candidates=30, cv=2,
        directory=sys.argv[1], search="random",
    )
    X, y = load_iris(return_X_y=True)
    print("score", search.fit(X, y).score(X, y))
"""
)


@pytest.fixture
def script(tmp_path: Path) -> str:
    file = tmp_path / "fit.py"
    file.write_text(textwrap.dedent(SCRIPT))
    return str(file)


def test_every_host_fits_scikit_learn_candidates_if_hosts_share_a_directory(
    hosts: Hosts, script: str, tmp_path: Path
) -> None:
    variables = together(2, tmp_path)
    ended = hosts.mpiexec(
        3, PYTHON, script, str(tmp_path / "study"), cwd=tmp_path, variables=variables
    )
    assert ended.status == 0, str(ended)
    assert float(ended.stdout.split()[1]) > 0.6
    events = [
        json.loads(line)
        for line in (tmp_path / "study" / "journal.jsonl").read_text().splitlines()[1:]
    ]
    places = {
        event["worker"]: event["host"] for event in events if event["event"] == "worker_joined"
    }
    assert {places[event["worker"]] for event in events if event["event"] == "job_finished"} == {
        "h1",
        "h2",
    }
