"""``trial.checkpoint``: objects of PyTorch continue as if they had never been left, and nothing in
them is executed.
"""

import io
import pickle
import random
import subprocess
import sys
import textwrap
import zlib
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.helpers import curves

pytest.importorskip("torch", reason="PyTorch is not installed")
import torch

import ashtune
from ashtune._src.core.errors import ObjectiveError
from ashtune._src.core.events import JobFailed, JobFinished, JobPaused, TrialReleased
from ashtune._src.core.jobs import Goal, TrialId, WorkerId, derived_seed
from ashtune._src.core.orders import Pause, Release
from ashtune._src.study import torch_states as states
from ashtune._src.study.checkpoints import END, MARK
from ashtune._src.training.runner import TrialRunner
from ashtune._src.training.worker_messages import (
    Assignment,
    Broken,
    FromWorker,
    Mailbox,
    Setup,
    Shutdown,
    ToWorker,
)

SCRIPT = """
    import os, random, time
    import numpy as np
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset
    import ashtune

    def batches():
        x = torch.linspace(-1, 1, 48).reshape(12, 4)
        return DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=4, shuffle=True)

    def train(trial):
        while "HOLD" in os.environ and trial.number >= int(os.environ["HOLD"]):
            time.sleep(0.05)
        torch.set_num_threads(1)  # sums depend on it
        torch.manual_seed(trial.seed)
        random.seed(trial.seed)
        np.random.seed(trial.seed)
        model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 1))
        optimizer = torch.optim.Adam(model.parameters(), trial["rate"])
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=trial.max_resource)
        order = torch.Generator().manual_seed(trial.seed)
        trial.checkpoint(model=model, optimizer=optimizer, scheduler=scheduler, order=order)
        for epoch in trial.epochs():
            time.sleep(float(os.environ.get("PAUSE", "0")))
            losses = []
            for x, y in batches():
                loss = (model(x) - y).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            scheduler.step()
            drawn = random.random() + np.random.rand() + torch.rand(1, generator=order).item()
            trial.report(loss=sum(losses), rate=scheduler.get_last_lr()[0], drawn=drawn)
        torch.rand(3)  # whatever comes after the loop is no part of the training
        model.eval()

    OPTIONS = dict(
        metric="loss", mode="min", trials=9, max_resource=9, min_resource=1, reduction_factor=3, search="random",
        quiet=True,
    )
    SPACE = {"rate": (1e-3, 0.3, "log")}

    if __name__ == "__main__":
        ashtune.tune(train, SPACE, workers=1, directory="s", **OPTIONS)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "learn_by_torch.py"
    path.write_text(textwrap.dedent(SCRIPT))
    return path


def all_as_unbroken(directory: Path, train: Callable[[Any], None]) -> bool:
    """Whether each trial has, to the last bit, the curve that it has when
    it is trained in one go.
    """
    study = ashtune.Study.load(directory)
    expected = {}
    for trial, points in curves.of(directory).items():
        whole = curves.Unbroken(
            study.trials[trial].configuration, derived_seed(0, trial), max(points), study.rungs[-1]
        )
        train(whole)
        expected[trial] = whole.points
    return expected == curves.of(directory)


def test_promoted_trials_have_the_curve_of_an_uninterrupted_training(script: Path) -> None:
    module = curves.imported(script)
    study = ashtune.tune(
        module.train,
        module.SPACE,
        engine="threads",
        workers=1,
        directory=script.parent / "s",
        **module.OPTIONS,
    )
    assert curves.taken_up(study.directory), "none was put aside and taken up"
    assert all_as_unbroken(study.directory, module.train)
    assert not curves.problems(study.directory)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_trials_of_a_killed_study_have_the_curve_of_an_uninterrupted_training(script: Path) -> None:
    before = curves.killed_and_resumed(script, script.parent / "s", after=5)
    after = curves.results(script.parent / "s")
    assert [(e.trial, e.rung) for e in after[: len(before)]] == [(e.trial, e.rung) for e in before]
    assert len(after) > len(before)
    assert curves.taken_up(script.parent / "s"), "none was put aside and taken up"
    assert all_as_unbroken(script.parent / "s", curves.imported(script).train)
    assert not curves.problems(script.parent / "s")


class Channel:
    """A worker's channel whose driver lets go of every result, and breaks off a job where it is
    told to.

    Args:
        keep: Whether trials may be wanted again.
        orders: What has come already.
    """

    def __init__(self, *, keep: bool = True, orders: tuple[ToWorker, ...] = ()) -> None:
        self.sent: list[FromWorker] = []
        self._inbox: deque[ToWorker] = deque(orders)
        self._keep = keep

    def send(self, message: FromWorker) -> None:
        self.sent.append(message)
        if isinstance(message, JobFinished) and message.held:
            self._inbox.append(Release(WorkerId(0), message.trial, self._keep))

    def wait(self) -> None:
        if not self._inbox:
            raise Shutdown

    def poll(self) -> ToWorker | None:
        return self._inbox.popleft() if self._inbox else None


def job(
    folder: Path,
    train: Callable[[Any], Any],
    *,
    start: int = 0,
    target: int = 2,
    trial: int = 0,
    **channel: Any,
) -> list[FromWorker]:
    """Carry out one job of a trial, and return what the driver heard."""
    own = Channel(**channel)
    setup = Setup(WorkerId(0), "", Goal("loss", "min"), str(folder), 0, [], max_resource=9)
    raw = msgspec.Raw(msgspec.msgpack.encode({}))
    TrialRunner(train, setup, Mailbox(own)).run(
        Assignment(WorkerId(0), TrialId(trial), 0, start, target, False, raw)
    )  # fmt: skip
    return own.sent


def saving(**objects: Any) -> Callable[[Any], None]:
    """Return a training function that keeps objects and trains nothing."""

    def train(trial: Any) -> None:
        train.done.append(trial.checkpoint(**objects))  # type: ignore[attr-defined]
        for epoch in trial.epochs():
            trial.report(loss=epoch)

    train.done = []  # type: ignore[attr-defined]
    return train


def model(value: float = 0.0) -> Any:
    linear = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(linear.weight, value)
    return linear


def failure(sent: list[FromWorker]) -> str:
    (failed,) = [message for message in sent if isinstance(message, JobFailed | Broken)]
    return failed.reason


def test_trial_checkpoint_returns_the_number_of_epochs_already_trained(tmp_path: Path) -> None:
    train = saving(model=model())
    job(tmp_path, train)
    job(tmp_path, train, start=2, target=4)
    assert train.done == [0, 2]  # type: ignore[attr-defined]


def test_a_model_trained_without_an_epoch_loop_is_saved_after_training(tmp_path: Path) -> None:
    def train(trial: Any) -> float:
        linear = model(trial.target)
        before = trial.checkpoint(model=linear)
        values.append((before, linear.weight.item()))
        torch.nn.init.constant_(linear.weight, trial.target + 0.5)
        return 1.0

    values: list[tuple[int, float]] = []
    job(tmp_path, train)
    job(tmp_path, train, start=2, target=4)
    assert values == [(0, 2.0), (2, 2.5)]


def test_a_paused_job_is_saved(tmp_path: Path) -> None:
    (event,) = job(tmp_path, saving(model=model(2.0)), orders=(Pause(WorkerId(0), TrialId(0)),))
    assert isinstance(event, JobPaused)
    assert event.checkpoint


def test_a_trial_saves_no_state_dict_if_its_checkpoint_is_not_needed(tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        saving(model=model())(trial)
        written.extend((tmp_path / "checkpoints").glob("*"))

    written: list[Path] = []
    *_, released = job(tmp_path, train, keep=False)
    assert isinstance(released, TrialReleased)
    assert (released.checkpoint, released.problem, written) == (None, "", [])


class Malicious:
    """Does harm when its pickle is loaded."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (torch.save, "none of its code was executed): it contains"),
        (pickle.dump, "was not saved by trial.checkpoint()"),
    ],
    ids=["torch", "pickle"],
)
def test_loading_a_checkpoint_never_executes_code_in_the_file(
    tmp_path: Path, write: Callable[[Any, Any], None], words: str
) -> None:
    """Also of one that somebody has put in the place of ours, check value and all."""
    job(tmp_path, saving(model=model()))
    harm, checkpoint = tmp_path / "harm", tmp_path / "checkpoints" / "0.2"
    file = io.BytesIO()
    write({"states": {"model": Malicious(harm)}, "random": None}, file)
    checkpoint.write_bytes(file.getvalue() + END.pack(MARK, zlib.crc32(file.getvalue())))
    reason = failure(job(tmp_path, saving(model=model()), start=2, target=4))
    assert words in reason
    assert not harm.exists()


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        (
            {"model": 3},
            "trial.checkpoint(model=3): this object has no state_dict and load_state_dict",
        ),
        (
            {"model": torch.nn.Linear},
            ": this object has no state_dict and load_state_dict; pass an object",
        ),
        (
            {"model": {"weight": 1.0}},
            "trial.checkpoint(model={'weight': 1.0}): this object has no state_dict",
        ),
    ],
)
def test_an_object_without_state_dict_is_refused(
    tmp_path: Path, objects: dict[str, Any], words: str
) -> None:
    assert words in failure(job(tmp_path, saving(**objects)))


def test_trial_checkpoint_refuses_a_checkpoint_made_by_trial_save(tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(loss=epoch)
        trial.save("something")

    job(tmp_path, train)
    assert "was not saved by trial.checkpoint()" in failure(
        job(tmp_path, saving(model=model()), start=2, target=4)
    )


def test_a_trial_with_a_missing_checkpoint_starts_again(tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        (tmp_path / "checkpoints" / "0.2").unlink(missing_ok=True)  # after the job has begun
        saving(model=model())(trial)

    job(tmp_path, saving(model=model()))
    *_, released = job(tmp_path, train, start=2, target=4)
    assert isinstance(released, TrialReleased)
    assert "trained again from the start" in released.problem


def test_loading_the_best_trial_returns_the_state_dicts_of_that_trial(
    tmp_path: Path, script: Path
) -> None:
    module = curves.imported(script)
    study = ashtune.tune(
        module.train,
        module.SPACE,
        engine="threads",
        workers=1,
        directory=tmp_path / "s",
        **module.OPTIONS,
    )
    loaded = study.best.load()
    assert list(loaded) == ["model", "optimizer", "scheduler", "order"]
    assert loaded["scheduler"]["last_epoch"] == 9
    again = study.train(study.best, 9)
    assert torch.equal(again.model["model"]["0.weight"], loaded["model"]["0.weight"])


def test_trial_max_resource_is_the_top_rung_unless_a_trial_trains_further(tmp_path: Path) -> None:
    tops: list[tuple[int, int]] = []

    def train(trial: Any) -> float:
        tops.append((trial.target, trial.max_resource))
        return float(trial["x"])

    study = ashtune.tune(
        train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=4, max_resource=4,
        min_resource=1,
        reduction_factor=2, engine="threads", workers=1, directory=tmp_path / "s", quiet=True,
    )  # fmt: skip
    assert {top for _, top in tops} == {4}
    assert {target for target, _ in tops} == {1, 2, 4}
    tops.clear()
    study.train(0, 2, objective=train)
    study.train(0, 8, objective=train)
    assert tops == [(2, 4), (8, 8)]
    study.resume(max_resource=8, trials=8, objective=train, engine="threads", workers=1)
    assert {top for _, top in tops[2:]} == {8}


def test_restored_random_states_repeat_the_draws() -> None:
    from ashtune._src.training.stateful import random_states, set_random_states

    def drawn() -> tuple[float, ...]:
        return (
            random.random(),
            np.random.rand(),
            np.random.normal(),
            torch.rand(1).item(),
            random.gauss(0, 1),
        )

    drawn()
    noted = random_states()
    file = io.BytesIO()
    states.dump(states.States({}, noted), file)
    first = drawn()
    file.seek(0)
    set_random_states(states.load(file, len(file.getvalue())).random)
    assert drawn() == first


def test_a_state_contains_only_tensors_and_plain_values() -> None:
    readable = {
        "a": [torch.ones(1), (1, 2.0, None), bytearray()],
        3: {"b": b"x", "c": torch.float32},
    }
    readable["d"] = torch.nn.Parameter(torch.ones(1))
    states.check(readable, "model")
    with pytest.raises(ObjectiveError):
        states.check({"c": job}, "model")


def test_importing_ashtune_does_not_import_torch() -> None:
    modules = "ashtune, ashtune._src.training.trial, ashtune._src.study.checkpoints"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
