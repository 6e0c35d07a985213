"""Studies of a PyTorch module: its trials are trained as lanes, and are trials like any other."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.errors import AshtuneError
from ashtune._src.training.fused.torch.torch_backend import ROUNDING_VARIABLE
from tests import ROOT
from tests.training.fused.toy_lanes import TrialAlone

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn
EXAMPLES, FEATURES, CLASSES = 82, 6, 3  # a rest of two: lanes lie where they lie in memory


def data(seed: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    x = chance.normal(size=(EXAMPLES, FEATURES)).astype(np.float32)
    return x, (x @ np.random.default_rng(9).normal(size=(FEATURES, CLASSES))).argmax(axis=1)


def perceptron(config: Mapping[str, Any]) -> Any:
    return nn.Sequential(
        nn.Linear(FEATURES, config["width"]), nn.ReLU(), nn.Linear(config["width"], CLASSES)
    )


def objective(module: Any = perceptron, **more: Any) -> Any:
    given = {"train": data(0), "validation": data(1), "batch_size": 16, "static": ["width"], **more}
    return ashtune.fused_torch(module, **given)


SPACE = {"learning_rate": (0.01, 0.5), "momentum": (0.0, 0.9), "width": [5, 8]}


def tuned(folder: Path, function: Any = None, space: Any = SPACE, **more: Any) -> ashtune.Study:
    settings: dict[str, Any] = {
        "trials": 12,
        "max_resource": 8,
        "workers": 2,
        "quiet": True,
        **more,
    }
    return ashtune.tune(
        function or objective(), space, metric="loss", mode="min", directory=folder, **settings
    )


def reports(study: ashtune.Study) -> dict[tuple[int, int], tuple[float, float]]:
    frame = study.curves_dataframe()
    rows = zip(frame.trial, frame.resource, frame.loss, frame.accuracy, strict=True)
    return {(trial, resource): (loss, accuracy) for trial, resource, loss, accuracy in rows}


def is_each_epoch_reported_once(study: ashtune.Study) -> bool:
    frame = study.curves_dataframe()
    return all(
        sorted(of.resource) == list(range(1, of.resource.max() + 1))
        for _, of in frame.groupby("trial")
    )


@pytest.fixture(scope="module")
def of_four_lanes(tmp_path_factory: pytest.TempPathFactory) -> ashtune.Study:
    """A study of two workers that each train four trials together: read it only."""
    return tuned(tmp_path_factory.mktemp("four") / "s", objective(lanes=4))


def test_all_trials_of_a_fused_torch_study_report_each_epoch(
    of_four_lanes: ashtune.Study,
) -> None:
    study = of_four_lanes
    assert StudyReader(study.directory).tally.failures.total == 0
    assert {trial for trial, _ in reports(study)} == set(range(12))
    assert is_each_epoch_reported_once(study)
    assert study.best.resource == 8
    assert study.best.metrics["accuracy"] > 0.8


def test_the_position_of_a_lane_does_not_change_its_result() -> None:
    code = (
        "from ashtune._src.training.fused.torch.torch_backend import TorchBackend, round_alike; "
        "round_alike()\n"
        "from ashtune._src.training.fused.fused_protocol import Variant\n"
        "from tests.training.fused.test_fused_torch_study import objective\n"
        "program = TorchBackend(objective()._recipe, 0).program((('width', 9),), Variant(4))\n"
        "lanes, bits = [{'learning_rate': 0.1 / n, 'momentum': 0.5} for n in range(1, 5)], set()\n"
        "for place in range(4):\n"
        "    moved = [*lanes[1:1 + place], lanes[0], *lanes[1 + place:]]\n"
        "    state, trained = program.train(program.fresh(moved), moved, 0, 8)\n"
        "    weights = program.apart(state, place)['parameters'].values()\n"
        "    bits.add(b''.join([trained.metrics['loss'][:, place].tobytes(), *[w.tobytes() for w "
        "in weights]]))\n"
        "print(len(bits))"
    )
    environment = {name: value for name, value in os.environ.items() if name != ROUNDING_VARIABLE}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    completed = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert completed.stdout == "1\n"


def test_one_resumed_fused_worker_reports_the_same_values_as_two_workers(
    tmp_path: Path, of_four_lanes: ashtune.Study
) -> None:
    two = reports(of_four_lanes)
    before = reports(
        tuned(tmp_path / "one", objective(lanes=4), workers=1, stop=ashtune.Stop(total_resource=15))
    )
    assert 15 <= len(before) < len(two)
    assert list((tmp_path / "one" / "checkpoints").iterdir())
    study = ashtune.Study.load(tmp_path / "one").resume(
        stop=ashtune.Stop(total_resource=1000), workers=1, quiet=True
    )
    one = reports(study)
    assert before.items() <= one.items()
    assert StudyReader(study.directory).tally.failures.total == 0
    assert study.best.resource == 8
    assert is_each_epoch_reported_once(study)
    common = one.keys() & two.keys()
    assert len(common) > 20
    for key in common:
        assert one[key] == two[key], key


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have two threads, and give those that were back."""
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "2,1")
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_torch_trial_trained_alone_continues_from_its_checkpoint(threads: None) -> None:
    config = {"learning_rate": 0.01, "width": 5}
    function, whole, first = (
        objective(optimizer="adam"),
        TrialAlone(config, 9),
        TrialAlone(config, 4),
    )
    function(whole)
    function(first)
    second = TrialAlone(config, 9, first.saved, 4)
    function(second)
    assert first.losses + second.losses == whole.losses
    assert len(whole.losses) == 9
    assert torch.get_num_threads() == 2
    with pytest.raises(FloatingPointError):
        objective()(TrialAlone({**config, "learning_rate": 1e38}, 1))


def test_an_invalid_setting_of_fused_torch_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(words: str, **more: Any) -> None:
        with pytest.raises(AshtuneError, match=words) as raised:
            objective(**more)
        assert "\n" not in str(raised.value)

    refused("lanes=0 is not a whole number of at least 1", lanes=0)
    refused("optimizer='lion' is unknown; give one of sgd, adam", optimizer="lion")
    refused("batch_size='batch' is not in static", batch_size="batch")
    refused("batch_size=0 is not a whole number", batch_size=0)
    refused("train is a ndarray; give a tuple", train=data(0)[0])
    refused(
        r"the arrays of validation have \[81, 82\] examples",
        validation=(data(1)[0], data(1)[1][1:]),
    )
    gradient = torch.zeros(EXAMPLES, FEATURES, requires_grad=True)
    refused(
        r"train\[0\] cannot be converted to a tensor: Can't call numpy\(\)",
        train=(gradient, data(0)[1]),
    )
    monkeypatch.setattr(
        "ashtune._src.training.fused.torch.torch_objective.find_spec", lambda name: None
    )
    refused(r"needs PyTorch, which is not installed: pip install 'ashtune\[torch\]'")
