"""The rows of ``cv_results_``, from the journal of a study."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ashtune.core.events import JobFailed, JobFinished, TrialStarted, WorkerLost
from ashtune.integrations.scikit_learn.validated import ERRORS
from ashtune.study.journal import NAME, read_events


class Row(NamedTuple):
    """A candidate at a rung.

    Args:
        rung: Its number.
        configuration: Of the candidate.
        splits: Of each split what ``_fit_and_score`` of scikit-learn returns.
    """

    rung: int
    configuration: dict[str, Any]
    splits: list[dict[str, Any]]


class Rows:
    """Reads rows.

    Args:
        folder: Of the study.
        splits: Their number.
        error_score: What a fit that fails counts.
        has_train_scores: Whether training data were scored.
    """

    def __init__(self, folder: str, splits: int, error_score: Any, *, has_train_scores: bool) -> None:
        self._folder = folder
        self._splits = splits
        self._error_score = error_score
        self._kinds = ("test", "train") if has_train_scores else ("test",)

    def read(self, rungs: tuple[int, ...]) -> list[Row]:
        """Return all rows, by rung and then by trial.

        Args:
            rungs: Their resources.
        """
        configurations: dict[int, dict[str, Any]] = {}
        found: dict[tuple[int, int], list[dict[str, Any]]] = {}
        errors = self._fit_errors()
        for _, event in read_events(Path(self._folder, NAME)):
            match event:
                case TrialStarted(trial=trial, configuration=configuration):
                    configurations[trial] = configuration
                case JobFinished(trial=trial, rung=rung, resource=resource, metrics=metrics):
                    found[rung, trial] = self._with_scores(metrics, errors.get((trial, resource), {}))
                case JobFailed(trial=trial, rung=rung, reason=reason, traceback=text):
                    found[rung, trial] = self._without(text or reason, errors.get((trial, rungs[rung]), {}))
                case WorkerLost(trial=int(trial), rung=rung, reason=reason, is_fatal=True):
                    found[rung, trial] = self._without(reason, {})
                case _:
                    pass
        return [Row(rung, configurations[trial], found[rung, trial]) for rung, trial in sorted(found)]

    def _with_scores(self, metrics: Mapping[str, float | None], errors: Mapping[int, str]) -> list[dict[str, Any]]:
        """Return the splits of a result. One that was left out has the mean of the others, which leaves the mean."""
        rows: list[dict[str, Any]] = []
        for split in range(self._splits):
            row: dict[str, Any] = {"fit_error": errors.get(split), "fit_time": np.nan, "score_time": np.nan}
            row |= {f"{kind}_scores": {} for kind in self._kinds}
            prefix = f"split{split}_"
            for name, value in metrics.items():
                if name.startswith(prefix):
                    kind, _, rest = name.removeprefix(prefix).partition("_")
                    number = np.nan if value is None else value
                    if kind in self._kinds:
                        row[f"{kind}_scores"][rest] = number
                    else:
                        row[f"{kind}_{rest}"] = number
            rows.append(row)
        for kind in self._kinds:
            _fill(rows, f"{kind}_scores")
        return rows

    def _without(self, reason: str, errors: Mapping[int, str]) -> list[dict[str, Any]]:
        """Return the splits of a trial that failed."""
        scores = {f"{kind}_scores": self._error_score for kind in self._kinds}
        return [
            {"fit_time": np.nan, "score_time": np.nan, **scores, "fit_error": errors.get(split, reason)}
            for split in range(self._splits)
        ]

    def _fit_errors(self) -> dict[tuple[int, int], dict[int, str]]:
        """Return the tracebacks of fits that failed, by trial and resource, and split."""
        path = Path(self._folder, ERRORS)
        errors: dict[tuple[int, int], dict[int, str]] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                trial, resource, split, text = json.loads(line)
                errors.setdefault((trial, resource), {})[split] = text
        return errors


def _fill(rows: list[dict[str, Any]], kind: str) -> None:
    """Give folds that were left out the mean of the others, and a single score as a number."""
    there = [row[kind] for row in rows if row[kind]]
    means = {name: float(np.mean([scores[name] for scores in there])) for name in there[0]}
    for row in rows:
        scores = row[kind] or means
        row[kind] = scores["score"] if scores.keys() == {"score"} else scores


def leave_out(results: dict[str, Any], splits: int) -> None:
    """Let folds that were left out have no score, and the deviation be that of the others."""
    folds = results["n_resources"]
    for name in [name.removeprefix("mean_") for name in results if name.startswith(("mean_test_", "mean_train_"))]:
        for split in range(splits):
            results[f"split{split}_{name}"] = np.where(folds > split, results[f"split{split}_{name}"], np.nan)
        scores = np.array([results[f"split{split}_{name}"] for split in range(splits)])
        results[f"std_{name}"] = np.nanstd(scores, axis=0)
