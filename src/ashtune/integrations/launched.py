"""The trial of a program that the command ``ashtune run ... -- PROGRAM`` has started:
:class:`LaunchedTrial`.

If a launcher such as ``torchrun`` starts several ranks, a training function with a
``TransformersCallback`` uses a
:class:`LaunchedTrial` in place of a :class:`~ashtune.Trial`.

Rule 1: every rank knows the epoch at which the training ends. Therefore all ranks end at the same
epoch, and no rank waits for a decision of another rank.
Rule 2: only rank 0 writes reports.
Rule 3: a program ends when its trial reaches the rung. A promoted trial continues from its
checkpoint in a new process.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.training.program import STOPPED
from ashtune._src.training.reports import as_metrics, number_of

__all__ = ["LaunchedTrial"]


class LaunchedTrial:
    """The trial that this process trains.

    The class reads the environment variables that ``ashtune run`` sets (``ASHTUNE_START`` and
    others). The process with ``RANK=0`` writes the reports to the file ``ASHTUNE_RESULT``. The
    attributes have the same names as in
    :class:`~ashtune.Trial`.

    Raises:
        ObjectiveError: If neither ``ashtune run ... -- PROGRAM`` nor :class:`~ashtune.Program`
            started this process.

    Example:
        >>> trial = (
        ...     LaunchedTrial()
        ... )  # in train.py, of: ashtune run ... -- torchrun --nproc-per-node 2 train.py
        >>> train(trial)
    """

    needs_checkpoint = True
    """Always True, because a program cannot know whether a checkpoint that it saves now will be
    used.
    """

    def __init__(self) -> None:
        try:
            self.number = int(os.environ["ASHTUNE_TRIAL"])
            self.config: dict[str, Any] = json.loads(os.environ["ASHTUNE_CONFIG"])
            self.metrics = tuple(json.loads(os.environ["ASHTUNE_METRICS"]))
            self.seed = int(os.environ["ASHTUNE_SEED"])
            self.start = int(os.environ["ASHTUNE_START"])
            self.target = int(os.environ["ASHTUNE_TARGET"])
            self.checkpoint_dir = Path(os.environ["ASHTUNE_CHECKPOINT"])
            self._result = Path(os.environ["ASHTUNE_RESULT"])
        except KeyError as error:
            raise ObjectiveError(
                f"the environment variable {error.args[0]} is not set; start this program by: "
                "ashtune run ... -- torchrun ..."
            ) from None
        self._reports: list[dict[str, Any]] = []
        self._is_stopped = False

    def __getitem__(self, name: str) -> Any:
        return self.config[name]

    def epochs(self) -> Iterator[int]:
        """Yield the epochs to train, from ``start + 1`` up to and including ``target``."""
        for epoch in range(self.start + 1, self.target + 1):
            if self._is_stopped:
                return
            yield epoch

    def report(self, result: Mapping[str, Any] | float | None = None, /, **metrics: Any) -> None:
        """Report the metrics of an epoch, in any form that :meth:`ashtune.Trial.report` takes.
        O(reports of this job).

        Raises:
            ObjectiveError: If the metrics have another form, or a value is not a number.
        """
        given = as_metrics(result, metrics, self.metrics)
        self._reports.append({name: number_of(name, value) for name, value in given.items()})
        self._write()

    def stop(self) -> None:
        """End this trial early. The trial's last report is its result, and the trial is never
        trained again.
        """
        self._is_stopped = True
        self._write()

    def _write(self) -> None:
        if self._reports and os.environ.get("RANK", "0") == "0":
            last = dict(self._reports[-1])
            if self._is_stopped:
                last[STOPPED] = True
            self._result.write_text(json.dumps([*self._reports[:-1], last]))
