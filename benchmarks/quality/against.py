"""What a change of the code gains: the runs of a benchmark beside those of another commit, in
pairs.

Rule: the two runs of a pair have the same task, search and seed. The standard error is that of the
mean over all pairs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from table import show

Run = Mapping[str, Any]


def show_gains(
    marks: Sequence[str],
    runs: Iterable[Run],
    others: Iterable[Run],
    group: Callable[[Run], str],
    *,
    logs: float = 0.0,
) -> None:
    """Show by how much the regret differs from that of another commit; below 0 this one is better.

    Args:
        marks: The names of the places in the lists of regrets.
        runs: Those of this commit, each with ``task``, ``way``, ``seed`` and ``regret``.
        others: Those of the other one.
        group: Names the row of a run.
        logs: With more than 0, the decimal logarithms of the regrets, not below this, are compared.
    """
    before = {_key(run): run for run in others}
    pairs: dict[tuple[str, str], list[Any]] = {}
    for run in runs:
        if (other := before.get(_key(run))) is not None:
            regrets = np.array([run["regret"], other["regret"]], dtype=float)
            regrets = np.log10(np.maximum(regrets, logs)) if logs else regrets
            pairs.setdefault((group(run), run["way"]), []).append(regrets[0] - regrets[1])
    rows = [
        [
            *names,
            len(gains),
            *(plus_minus(np.array(gains)[:, place]) for place in range(len(marks))),
        ]
        for names, gains in pairs.items()
    ]
    show(
        f"Difference in {'log10 regret' if logs else 'regret'} to the other runs",
        ["tasks", "search", "pairs", *marks],
        rows,
    )


def plus_minus(values: np.ndarray, digits: int = 3) -> str:
    """Return a mean with its standard error."""
    if len(values) < 2:
        return "?"
    return f"{values.mean():+.{digits}f} +- {values.std(ddof=1) / len(values) ** 0.5:.{digits}f}"


def _key(run: Run) -> tuple[Any, ...]:
    return run["task"], run["way"], run["seed"]
