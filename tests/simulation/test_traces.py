"""Traces: time in proportion between what is known, and tables read as they should be."""

from array import array
from pathlib import Path

import numpy as np
import pytest

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.jobs import Goal
from ashtune._src.simulation.simulated_curves import invent_curves
from ashtune._src.simulation.traces import Trace, read_table

ACCURACY = Goal("accuracy", "max")


def test_training_seconds_are_interpolated_between_jobs_and_extrapolated_after_them() -> None:
    trace = Trace(array("d", [1.0] * 4), [1, 4], [3.0, 9.0], 5.0)
    assert [trace.seconds_at(resource) for resource in range(7)] == [
        0.0,
        3.0,
        5.0,
        7.0,
        9.0,
        14.0,
        19.0,
    ]
    assert trace.seconds(2, 5) == 9.0
    assert Trace(array("d"), [], [], 2.0).seconds(1, 3) == 4.0


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "curves.npz"
    accuracy = np.array([[0.1, 0.5, np.nan], [0.2, 0.3, 0.4]])
    times = np.array([[1.0, 2.0, 1.5], [2.0, 4.0, 6.0]])
    np.savez(
        path,
        accuracy=accuracy,
        both=np.stack([accuracy, accuracy / 2]),
        times=times,
        names=np.array(["a"]),
    )
    return path


def test_training_times_that_are_read_from_a_table_never_decrease(table: Path) -> None:
    traces = read_table(table, ACCURACY, times="times")
    assert list(traces.trials[0].losses) == [-0.1, -0.5, float("inf")]
    assert traces.trials[0].clock == [1.0, 2.0, 2.0]
    assert traces.trials[1].seconds(1, 3) == 4.0
    assert traces.best_loss == -0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"values": "loss"}, "has no array 'loss'; it has accuracy, both, times, names"),
        (
            {"values": "both"},
            r"both is 2 x 2 x 3 of float64; give an array of numbers, trials by epochs",
        ),
        ({"values": "both[2]"}, r"both\[2\]: index 2 is out of bounds for axis 0 with size 2"),
        ({"values": "names"}, "names is 1 of <U1"),
        ({"values": "accuracy[0"}, "is not the name of an array"),
        ({"times": "accuracy"}, "do not fit a metric of"),
        ({"times": "both"}, "give an array of numbers, trials by epochs"),
    ],
)
def test_an_invalid_table_of_curves_is_refused(
    table: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        read_table(table, ACCURACY, **options)  # type: ignore[arg-type]


def test_a_file_with_pickled_arrays_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.npz"
    np.savez(path, accuracy=np.array([[object()]]))
    with pytest.raises(SettingsError):
        read_table(path, ACCURACY)
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(SettingsError):
        read_table(tmp_path / "text.npz", ACCURACY)


def test_the_random_numbers_for_invented_curves_are_uniform_and_independent() -> None:
    """200,000 of each kind; bounds of five standard errors."""
    curves = invent_curves(seed=3)
    count = 100_000
    u = np.array([curves.loss(trial, 10**12) for trial in range(count)])  # type: ignore[arg-type]
    w = np.array([curves.does.seconds(trial, 0, 1) - 0.5 for trial in range(count)])  # type: ignore[arg-type]
    for values in (u, w):
        assert abs(values.mean() - 0.5) < 5 * 0.2887 / count**0.5
        assert abs(values.var() - 1 / 12) < 5 * 0.0745 / count**0.5
        assert 0 <= values.min() < values.max() < 1 + 1e-5
    assert abs(np.corrcoef(u, w)[0, 1]) < 5 / count**0.5
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 5 / count**0.5
