"""Writes the best trials of a study for TensorBoard's HParams plugin, without TensorFlow or
PyTorch.

TensorBoard becomes slow with many folders, so only the best trials are written. Each of the best
trials has a folder, which is written again when the trial has changed.

Rule 1: a folder may contain several studies. TensorBoard treats rows with the same name as
repetitions of one trial. Therefore the name of a trial's row in HParams includes the study's name.
No study declares the columns of HParams, because TensorBoard would use the declaration of only one
study.
Rule 2: an events file is first written under a temporary name, which TensorBoard does not read, and
then renamed. A new events file begins with a restart event, which makes TensorBoard forget the
trial's earlier data.

Source: https://www.tensorflow.org/tensorboard/hyperparameter_tuning_with_hparams, and the plugin's
``summary_v2.py``.
"""

import io
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ashtune._src.core.checks import check_whole
from ashtune._src.integrations.tracking import (
    StudySummary,
    TrackedTrial,
    Tracker,
    digest_of,
    short_name,
    with_own,
)
from ashtune._src.study.folders import place_in, replace_file

__all__ = ["TensorBoardTracker"]

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

TOP = 100
SECONDS_BETWEEN = 30.0
"""Seconds between two updates of the folders while a study runs."""
_FILE = re.compile(r"events\.out\.tfevents\.(\d{10})\.(\d+)\.([0-9a-f]+)")
_FOLDER = re.compile(r"trial-\d+")


class TensorBoardTracker(Tracker):
    """Writes the best trials of a study for TensorBoard, by default to ``tensorboard`` in the
    study's directory.

    In the HParams tab, each trial has a row such as ``NAME-KEY trial 3``. NAME-KEY are the study's
    name and a key. A trial's row has the trial's hyperparameters, ``ashtune.state``,
    ``ashtune.origin`` and ``ashtune.seed``. The Scalars tab shows the trial's reports over the
    resource. The Text tab shows the study's results under the name ``study``.
    ``tensorboard --logdir FOLDER`` starts TensorBoard on the folder.

    Args:
        out: The folder, in which each study has its own folder ``NAME-KEY``. All trials are in one
            table of HParams.
        top: The number of best trials to write: 100 by default. TensorBoard is slow with thousands
            of trials.

    Raises:
        ExtraMissing: If TensorBoard is not installed.
        SettingsError: If ``top`` is not a whole number of at least 1.

    Example:
        >>> ashtune.tune(
        ...     train, space, ..., observers=[TensorBoardTracker(top=50)]
        ... )  # doctest: +SKIP
    """

    module = extra = "tensorboard"

    def __init__(self, out: str | PathLike[str] | None = None, *, top: int = TOP) -> None:
        check_whole("top", top)
        super().__init__(out)
        self._top = top

    def open(self) -> None:
        """Make the folder."""
        name = f"{short_name(self.study.name)}-{self.key}"
        if self.out:
            folder = Path(self.out).absolute()
            self._root = folder / name
        else:
            folder = place_in(self.study.directory, "tensorboard", is_folder=True)
            self._root = place_in(folder, name, is_folder=True)
        self.place = str(folder)
        self._root.mkdir(parents=True, exist_ok=True)
        self._brought_up = time.monotonic()

    def write(self, trials: Sequence[TrackedTrial]) -> None:
        """Update the trials' folders if the last update is older than ``SECONDS_BETWEEN``."""
        if self.is_live and time.monotonic() - self._brought_up >= SECONDS_BETWEEN:
            self._bring_up()

    def close(self, summary: StudySummary) -> None:
        """Update the trials' folders, and write the results of the study."""
        self._bring_up(summary)

    def _bring_up(self, summary: StudySummary | None = None) -> None:
        """Write the folders of changed trials. Delete the folder of each trial that is no longer
        one of the best.
        """
        best = self.top(self._top)
        wanted = {f"trial-{trial.number:05d}": trial for trial in best}
        for folder in self._root.iterdir():
            if _FOLDER.fullmatch(folder.name):
                place_in(self._root, folder.name, is_folder=True)
                if folder.name not in wanted:
                    shutil.rmtree(folder)
        values = [_hyperparameters(trial) for trial in best]
        names = list(dict.fromkeys(name for each in values for name in each))
        columns = {name: [each[name] for each in values if name in each] for name in names}
        texts = {name for name, column in columns.items() if _is_of_texts(column)}
        for (name, trial), shown in zip(wanted.items(), values, strict=True):
            shown |= {each: str(value) for each, value in shown.items() if each in texts}
            row = f"{self._root.name} {trial.name}"
            digest = digest_of(trial, shown, row)
            if _digest_in(self._root / name) != digest:
                self._put(self._root / name, trial.began, digest, _events_of(trial, shown, row))
        if summary is not None and summary.best is not None:
            text = _summary_text(self.study.name, self.study.unit, summary)
            digest = digest_of(text, summary.ended)
            if _digest_in(self._root) != digest:
                found = _event(summary.ended, summary=_text("study", text))
                self._put(self._root, self.study.created, digest, [found])
        self._brought_up = time.monotonic()

    def _put(self, folder: Path, began: float, digest: str, events: Iterable["Event"]) -> None:
        """Write an events file into a folder, and delete the folder's older events files."""
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(exist_ok=True)
        older = _files_in(folder)
        version = 1 + max((version for version, _, _ in older), default=0)
        file = io.BytesIO()
        writer = RecordWriter(file)
        writer.write(_event(began, file_version="brain.Event:2").SerializeToString())
        writer.write(
            _event(began, session_log=SessionLog(status=SessionLog.START)).SerializeToString()
        )
        for event in events:
            writer.write(event.SerializeToString())
        new = folder / "new"
        replace_file(new, file.getvalue())
        new.replace(folder / f"events.out.tfevents.{int(began):010d}.{version:06d}.{digest}")
        for _, _, path in older:
            path.unlink()


def _files_in(folder: Path) -> list[tuple[int, str, Path]]:
    """Return the version, digest and path of each of ashtune's events files in a folder, oldest
    file first.
    """
    matches = ((_FILE.fullmatch(path.name), path) for path in folder.glob("events.*"))
    return sorted((int(match[2]), match[3], path) for match, path in matches if match)


def _digest_in(folder: Path) -> str:
    """Return the digest of the newest events file in a folder, or "" without such a file. Delete
    older events files.
    """
    *older, newest = _files_in(folder) or [(0, "", folder)]
    for _, _, path in older:
        path.unlink()
    return newest[1]


def _events_of(
    trial: TrackedTrial, shown: Mapping[str, bool | float | str], row: str
) -> Iterator["Event"]:
    """Yield a trial's TensorBoard events. ``row`` is the name of the trial's row, and ``shown`` has
    the row's cells.
    """
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    yield _event(trial.began, summary=hparams_pb(shown, row, trial.began))
    for point in trial.points:
        for name, value in point.metrics.items():
            yield _event(point.time, summary=scalar_pb(name, value), step=point.resource)
    if trial.state != "running":
        status = api_pb2.STATUS_FAILURE if trial.state == "failed" else api_pb2.STATUS_SUCCESS
        end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=trial.ended)
        data = plugin_data_pb2.HParamsPluginData(session_end_info=end)
        summary = _summary(
            metadata.SESSION_END_INFO_TAG,
            metadata.create_summary_metadata(data),
            metadata.NULL_TENSOR,
        )
        yield _event(trial.ended, summary=summary)


def _hyperparameters(trial: TrackedTrial) -> dict[str, bool | float | str]:
    """Return a trial's hyperparameters and facts as cells for HParams. Values that HParams cannot
    store become text.
    """
    own = {f"ashtune.{name}": trial.facts[name] for name in ("state", "origin", "seed")}
    values = with_own(trial.configuration, own)
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in values.items()
    }


def _is_of_texts(values: Sequence[bool | float | str]) -> bool:
    """Return whether all values of a column must become text, because HParams needs values of only
    one type.
    """
    return any(isinstance(value, bool | str) for value in values) and not all(
        isinstance(each, bool) for each in values
    )


def _summary_text(name: str, unit: str, summary: StudySummary) -> str:
    assert summary.best is not None, "the caller knows a best trial"
    lines = [
        f"**{name}**: {summary.trials} trials, {summary.failed} failed. Best: trial "
        f"{summary.best.number}"
    ]
    lines[0] += f", at {unit} {summary.resource}."
    lines += [f"- {name} = {value:g}" for name, value in summary.metrics.items()]
    lines += [f"- {name}: {value}" for name, value in summary.best.configuration.items()]
    return "\n".join([lines[0], "", *lines[1:]])


def _text(tag: str, text: str) -> "Summary":
    from tensorboard.plugins.text.metadata import create_summary_metadata
    from tensorboard.util.tensor_util import make_tensor_proto

    return _summary(tag, create_summary_metadata(tag, ""), make_tensor_proto([text.encode()]))


def _summary(tag: str, metadata: Any, tensor: Any) -> "Summary":
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])


def _event(at: float, **what: Any) -> "Event":
    from tensorboard.compat.proto.event_pb2 import Event

    return Event(wall_time=at, **what)
