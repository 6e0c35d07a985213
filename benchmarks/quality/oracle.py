"""What a perfect model could have gained on each task: it would train only the best configuration
of all runs.

Rule 1: the best configuration has the smallest validation loss at the highest resource, of all
tuners and seeds. What a tuner could have gained is the loss of its named configuration at the end
minus the loss of the best configuration.
Rule 2: the best of many validation losses is too small by luck. The test loss of the same
configuration is not.
Rule 3: the store has no configurations and no times of single trainings. The time of the best
configuration is the time at which its run had trained it: alone, it takes at most as long.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from quality.runs import Report
from table import show

Runs = Mapping[str, Mapping[int, dict[str, Any]]]
"""Tuner -> seed -> the run, with its reports in "changes"."""
LossAt = Callable[..., float]
"""(run, time, kind=...) -> the "validation" or "test" loss of what the run had named."""


def best_report(runs: Runs, budget: float) -> tuple[Report, str]:
    """Return the report of the best configuration within the budget, and
    the tuner that found it.
    """
    reports = [
        (report, tuner) for tuner,
        own in runs.items() for run in own.values() for report in run["changes"]
        if report.time <= budget
    ]  # fmt: skip
    return min(reports, key=lambda each: (-each[0].resource, each[0].validation))


def show_oracle(by_task: Mapping[str, Runs], losses: Mapping[str, LossAt], budget: float) -> None:
    """Show the best configuration of each task, and beside it each tuner's mean over the seeds at
    the end.

    "spread" is the standard deviation over the seeds, and "at" the time since which the
    configuration is named. A perfect model gains much where "to gain" is larger than the spread of
    random search.
    """
    rows: list[list[object]] = []
    for task, runs in by_task.items():
        best, finder = best_report(runs, budget)
        count = sum(map(len, runs.values()))
        ends = ["", "", f"{best.test:.5g}", "", f"{best.time:.2f}"]
        rows.append([task, f"best of {count} runs ({finder})", 1, f"{best.validation:.5g}", *ends])
        for tuner, own in runs.items():
            final = np.array([losses[task](run, budget) for run in own.values()])
            test = float(np.mean([losses[task](run, budget, kind="test") for run in own.values()]))
            since = np.mean(
                [
                    max((each.time for each in run["changes"]), default=budget)
                    for run in own.values()
                ]
            )
            spread = f"{final.std(ddof=1):.3g}" if len(final) > 1 else "?"
            gains = [
                f"{final.mean() - best.validation:.3g}",
                spread,
                f"{test:.5g}",
                f"{test - best.test:.3g}",
            ]
            rows.append(["", tuner, len(own), f"{final.mean():.5g}", *gains, f"{since:.2f}"])
    title = (
        f"The best configuration of all runs, and what tuners had named after {budget:g} full "
        f"trainings"
    )
    header = ["task", "tuner", "seeds", "validation", "to gain", "spread", "test", "of test", "at"]
    show(title, header, rows)
