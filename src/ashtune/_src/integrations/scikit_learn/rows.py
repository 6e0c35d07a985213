"""The rows of ``cv_results_``, read from a study's journal and from files with results."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ashtune._src.api.study import Study
from ashtune._src.core.events import JobFailed, JobFinished, TrialStarted
from ashtune._src.integrations.scikit_learn.validated import read_rows
from ashtune._src.study.journal import NAME, read_events


class CandidateRow(NamedTuple):
    """The results of a candidate at a rung.

    Args:
        splits: The result of scikit-learn's ``_fit_and_score`` for each split.
    """

    rung: int
    configuration: dict[str, Any]
    splits: list[dict[str, Any]]


def candidate_rows(
    study: Study, splits: int, error_score: Any, kinds: Sequence[str]
) -> list[CandidateRow]:
    """Return one row per candidate and rung, ordered by rung and then by trial."""
    configurations: dict[int, dict[str, Any]] = {}
    # For each rung and trial, the reason of the failure, or "" if there is a result.
    reached: dict[tuple[int, int], str] = {}
    for event in read_events(Path(study.directory, NAME)):
        match event:
            case TrialStarted(trial=trial, configuration=configuration):
                configurations[trial] = configuration
            case JobFinished(trial=trial, rung=rung):
                reached[rung, trial] = ""
            case JobFailed(trial=trial, rung=rung, reason=reason, traceback=text):
                reached[rung, trial] = text or reason
            case _:
                pass
    # A trial whose worker died has no failure event in the journal, only a status.
    for record in study.trials:
        next_rung = 0 if record.rung is None else record.rung + 1
        if record.status == "failed" and (next_rung, record.number) not in reached:
            reached[next_rung, record.number] = record.reason

    def splits_of(trial: int, rung: int) -> list[dict[str, Any]]:
        rows = read_rows(str(study.directory), trial, study.rungs[rung])
        if not rows:
            failed = {"fit_time": np.nan, "score_time": np.nan, **dict.fromkeys(kinds, error_score)}
            return [{**failed, "fit_error": reached[rung, trial]}] * splits
        means = {
            name: _mean([row[name] for row in rows.values()])
            for name in ("fit_time", "score_time", *kinds)
        }
        # An unused fold gets the means of the used folds, so that the mean over all folds is the
        # mean over the used folds.
        return [rows.get(split, {"fit_error": None, **means}) for split in range(splits)]

    return [
        CandidateRow(rung, configurations[trial], splits_of(trial, rung))
        for rung, trial in sorted(reached)
    ]


def _mean(values: list[Any]) -> Any:
    """Return the mean of a list of numbers. If the list has dicts, return the mean of each key's
    values.
    """
    if isinstance(values[0], dict):
        return {name: float(np.mean([value[name] for value in values])) for name in values[0]}
    return float(np.mean(values))


def leave_out(results: dict[str, Any], splits: int) -> None:
    """Set the score of each unused fold to NaN, and compute the standard deviation of the other
    folds' scores.
    """
    folds = results["n_resources"]
    for name in [
        name.removeprefix("mean_")
        for name in results
        if name.startswith(("mean_test_", "mean_train_"))
    ]:
        for split in range(splits):
            results[f"split{split}_{name}"] = np.where(
                folds > split, results[f"split{split}_{name}"], np.nan
            )
        scores = np.array([results[f"split{split}_{name}"] for split in range(splits)])
        with warnings.catch_warnings():
            # NumPy warns about a candidate whose fits all failed; its standard deviation is NaN.
            warnings.simplefilter("ignore", RuntimeWarning)
            results[f"std_{name}"] = np.nanstd(scores, axis=0)
