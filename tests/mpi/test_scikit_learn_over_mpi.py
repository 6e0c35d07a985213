"""A script with a search of scikit-learn, unchanged on every rank of an MPI job."""

import json
import textwrap
from pathlib import Path

import pytest

from tests.helpers.launching import FAMILY, PYTHON, mpiexec
from tests.helpers.together import TOGETHER, together

pytest.importorskip("sklearn", minversion="1.9", reason="scikit-learn is not installed")
pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(FAMILY is None, reason="no MPI is installed in this environment"),
]

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
            if "BROKEN" in os.environ and self.alpha > 1e-2:
                raise ValueError("broken")
            return super().partial_fit(*given, **more)

    search = AshSearchCV(
        Slow(random_state=0), {"alpha": (1e-5, 1e-1, "log")}, max_resources=9, n_candidates=30, cv=2,
        directory=sys.argv[1], search="random", error_score="raise",
    )
    X, y = load_iris(return_X_y=True)
    search.fit(X, y)
    print("score", search.score(X, y), "candidates", search.n_candidates_[0], flush=True)
"""
)


def test_all_mpi_ranks_of_one_script_fit_scikit_learn_candidates(tmp_path: Path) -> None:
    script, study = tmp_path / "fit.py", tmp_path / "study"
    script.write_text(textwrap.dedent(SCRIPT))
    broken = mpiexec(
        3, PYTHON, str(script), str(study), variables={"BROKEN": "yes", **together(2, tmp_path)}
    )
    assert broken.status != 0, str(broken)
    assert "ValueError: broken" in broken.stderr
    mended = mpiexec(3, PYTHON, str(script), str(study), variables=together(2, tmp_path))
    assert mended.status == 0, str(mended)
    [line] = mended.stdout.splitlines()
    score, candidates = line.split()[1::2]
    assert float(score) > 0.6
    assert candidates == "30"
    events = [json.loads(line) for line in (study / "journal.jsonl").read_text().splitlines()[1:]]
    last_session = max(at for at, event in enumerate(events) if event["event"] == "session_started")
    finished = [event for event in events if event["event"] == "job_finished"]
    assert len({event["worker"] for event in finished if event in events[last_session:]}) == 2
    assert len({(event["trial"], event["rung"]) for event in finished}) == len(finished), (
        "nothing is fitted twice"
    )
    assert not [event for event in events if event["event"] == "job_failed"]
    assert mended.left_behind == broken.left_behind == ()
