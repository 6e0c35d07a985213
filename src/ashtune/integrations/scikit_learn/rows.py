"""The rows of ``cv_results_``: one candidate at one rung, from the journal of a study and the files of its splits."""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ashtune.api.study import Study
from ashtune.core.events import JobFailed, JobFinished, TrialStarted
from ashtune.integrations.scikit_learn.validated import read_rows
from ashtune.study.journal import NAME, read_events


class CandidateRow(NamedTuple):
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
        study: Whose.
        splits: Their number.
        error_score: What a fit that fails counts.
        has_train_scores: Whether training data were scored.
    """

    def __init__(self, study: Study, splits: int, error_score: Any, *, has_train_scores: bool) -> None:
        self._study = study
        self._splits = splits
        self._error_score = np.nan if error_score == "raise" else error_score
        self._kinds = ("test_scores", "train_scores") if has_train_scores else ("test_scores",)

    def read(self) -> list[CandidateRow]:
        """Return all rows, by rung and then by trial."""
        configurations: dict[int, dict[str, Any]] = {}
        reached: dict[tuple[int, int], str] = {}  # and why it failed there
        for event in read_events(Path(self._study.directory, NAME)):
            match event:
                case TrialStarted(trial=trial, configuration=configuration):
                    configurations[trial] = configuration
                case JobFinished(trial=trial, rung=rung):
                    reached[rung, trial] = ""
                case JobFailed(trial=trial, rung=rung, reason=reason, traceback=text):
                    reached[rung, trial] = text or reason
                case _:
                    pass
        for record in self._study.trials:  # a trial whose worker died has no event of its own
            next_rung = 0 if record.rung is None else record.rung + 1
            if record.status == "failed" and (next_rung, record.number) not in reached:
                reached[next_rung, record.number] = record.reason
        return [
            CandidateRow(
                rung, configurations[trial], self._with_splits(trial, self._study.rungs[rung], reached[rung, trial])
            )
            for rung, trial in sorted(reached)
        ]

    def _with_splits(self, trial: int, resource: int, why: str) -> list[dict[str, Any]]:
        """Return the splits; one that was left out has the mean of the others, which leaves the mean as it is."""
        rows = read_rows(str(self._study.directory), trial, resource)
        if not rows:
            failed = dict.fromkeys(self._kinds, self._error_score)
            return [{"fit_time": np.nan, "score_time": np.nan, **failed, "fit_error": why}] * self._splits
        left_out = {"fit_error": None} | {name: _mean([row[name] for row in rows.values()]) for name in self._numbers}
        return [rows.get(split, left_out) for split in range(self._splits)]

    @property
    def _numbers(self) -> tuple[str, ...]:
        return ("fit_time", "score_time", *self._kinds)


def _mean(values: list[Any]) -> Any:
    """Return the mean of numbers, or of several by name."""
    if isinstance(values[0], dict):
        return {name: float(np.mean([value[name] for value in values])) for name in values[0]}
    return float(np.mean(values))


def leave_out(results: dict[str, Any], splits: int) -> None:
    """Let folds that were left out have no score, and the deviation be that of the others."""
    folds = results["n_resources"]
    for name in [name.removeprefix("mean_") for name in results if name.startswith(("mean_test_", "mean_train_"))]:
        for split in range(splits):
            results[f"split{split}_{name}"] = np.where(folds > split, results[f"split{split}_{name}"], np.nan)
        scores = np.array([results[f"split{split}_{name}"] for split in range(splits)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of a candidate whose fits all failed
            results[f"std_{name}"] = np.nanstd(scores, axis=0)
