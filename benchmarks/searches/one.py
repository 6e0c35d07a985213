"""One run, in a process of its own: ``python -m searches.one '{"data": ..., "set": ..., ...}'``
prints it as JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

from searches.problems import problem, splitter
from searches.tuners import Setting, run


def measured(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what came of a search, and the score of its refitted best on held-out rows."""
    name, seed, folds = asked["set"], asked["seed"], asked["folds"]
    searched = problem(
        Path(asked["data"]), name, asked["model"], rows=asked["rows"], times=asked["times"],
        seed=seed
    )  # fmt: skip
    setting = Setting(splitter(name, folds, seed), folds, asked["candidates"], asked["spent"], seed)
    found = run(asked["tuner"], searched, setting)
    return {
        "seconds": found.seconds, "refit_seconds": found.refit_seconds, "spent": found.spent,
        "score": found.score,
        "candidates_tried": found.candidates, "cpu_seconds": found.cpu_seconds,
        "test": float(found.estimator.score(*searched.held_out)),
        "parameters": {parameter: str(value) for parameter, value in found.parameters.items()},
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(measured(json.loads(sys.argv[1]))))
