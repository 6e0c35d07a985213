"""Trials trained by a Trainer of Lightning, of both import roots, have the curve of one plain
``trainer.fit``.
"""

import os
import signal
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.helpers import curves

pytest.importorskip("lightning", reason="Lightning is not installed")
pytest.importorskip("torch", reason="PyTorch is not installed")
import torch

import ashtune
from ashtune._src.core.errors import ObjectiveError
from ashtune._src.core.jobs import derived_seed
from ashtune.integrations.lightning import fit

# Lightning's hints on workers of loaders and short epochs
pytestmark = pytest.mark.filterwarnings("ignore")

ROOTS = ["lightning.pytorch", "pytorch_lightning"]
TOP = 9
SCRIPT = """
    import os, time
    import ROOT as pl
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset
    import ashtune
    from ashtune.integrations.lightning import fit

    class Model(pl.LightningModule):
        def __init__(self, config):
            super().__init__()
            self.config = config
            self.layers = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))

        def training_step(self, batch, batch_idx):
            x, y = batch
            loss = (self.layers(x) - y).square().mean()
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.log("loss", (self.layers(x) - y).square().mean())

        def on_train_epoch_end(self):
            time.sleep(float(os.environ.get("PAUSE", "0")))
            self.log("step", float(self.trainer.global_step))
            self.log("rate", self.trainer.optimizers[0].param_groups[0]["lr"])

        def configure_optimizers(self):
            optimizer = torch.optim.Adam(self.parameters(), self.config["rate"])
            steps = self.trainer.estimated_stepping_batches
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.config["rate"], total_steps=steps)
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def made(config, seed, model=Model):
        torch.set_num_threads(1)  # sums depend on it
        pl.seed_everything(seed, verbose=False)
        x = torch.linspace(-1, 1, 80).reshape(20, 4)
        data = TensorDataset(x, x.sum(1, keepdim=True))
        return model(config), DataLoader(data, batch_size=5, shuffle=True), DataLoader(data, batch_size=20)

    SETTINGS = dict(
        accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )
    CALLS = []

    def train(trial):
        while "HOLD" in os.environ and trial.number >= int(os.environ["HOLD"]):
            time.sleep(0.05)
        CALLS.append(trial.number)
        fit(trial, pl.Trainer(**SETTINGS), *made(trial.config, trial.seed))

    OPTIONS = dict(
        metric="loss", mode="min", trials=9, max_resource=9, min_resource=1, reduction_factor=3, search="random",
        quiet=True,
    )
    SPACE = {"rate": (1e-3, 0.3, "log")}

    class Recorder(pl.callbacks.Checkpoint):  # as such it comes after the module's own hook
        def __init__(self):
            self.points = {}

        def on_train_epoch_end(self, trainer, pl_module):
            self.points[trainer.current_epoch + 1] = {n: v.item() for n, v in trainer.callback_metrics.items()}

    def whole(config, seed, model=Model, callbacks=(), **more):
        recorder = Recorder()
        trainer = pl.Trainer(max_epochs=9, **{**SETTINGS, **more})
        trainer.callbacks.extend([*callbacks, recorder])
        trainer.fit(*made(config, seed, model))
        return recorder.points

    if __name__ == "__main__":
        ashtune.tune(train, SPACE, workers=1, directory="s", **OPTIONS)
"""


def written(folder: Path, root: str) -> Path:
    path = folder / f"learn_by_{root.partition('.')[0]}.py"
    path.write_text(textwrap.dedent(SCRIPT).replace("ROOT", root))
    return path


@pytest.fixture(scope="module")
def learn(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return curves.imported(written(tmp_path_factory.mktemp("script"), ROOTS[0]))


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    """Leave no seed of Lightning's in the environment."""
    yield
    for name in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS"):
        os.environ.pop(name, None)


def tuned(directory: Path, learn: ModuleType, train: Any = None, **options: Any) -> ashtune.Study:
    """Tune in a thread of this process, which has imported what it takes."""
    settings = {
        "engine": "threads",
        "workers": 1,
        "directory": directory / "s",
        **learn.OPTIONS,
        **options,
    }
    return ashtune.tune(train or learn.train, learn.SPACE, **settings)


def check_unbroken(directory: Path, whole: Callable[[Any, int], curves.Points]) -> None:
    """Check that each trial has the curve, to the last bit, of one ``trainer.fit``."""
    study = ashtune.Study.load(directory)
    for trial, points in curves.of(directory).items():
        expected = whole(study.trials[trial].configuration, derived_seed(0, trial))
        assert points == {epoch: expected[epoch] for epoch in points}, f"trial {trial}"
        assert list(points) == list(range(1, len(points) + 1))


@pytest.mark.parametrize("root", ROOTS)
def test_promoted_lightning_trials_have_the_curve_of_uninterrupted_training(
    tmp_path: Path, root: str
) -> None:
    learn = curves.imported(written(tmp_path, root))
    study = tuned(tmp_path, learn)
    assert curves.taken_up(study.directory), "none was put aside and taken up"
    assert not curves.problems(study.directory)
    check_unbroken(study.directory, learn.whole)
    results = curves.results(study.directory)
    assert len(learn.CALLS) < len(results), (
        "a trial that is promoted at once continues in the same fit"
    )
    assert {e.metrics["step"] for e in results} == {4.0, 12.0, 36.0}, (
        "steps count on, four an epoch"
    )
    assert {len(points) for points in curves.of(study.directory).values()} == {1, 3, 9}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_lightning_trials_in_a_killed_study_continue_their_curves_exactly(tmp_path: Path) -> None:
    script = written(tmp_path, ROOTS[0])
    before = curves.killed_and_resumed(script, tmp_path / "s", after=5)
    after = curves.results(tmp_path / "s")
    assert [(e.trial, e.rung) for e in after[: len(before)]] == [(e.trial, e.rung) for e in before]
    assert len(after) > len(before)
    assert curves.taken_up(tmp_path / "s"), "none was put aside and taken up"
    assert not curves.problems(tmp_path / "s")
    check_unbroken(tmp_path / "s", curves.imported(script).whole)


def test_resumed_lightning_trials_restore_learning_rate_schedules_and_averaged_weights(
    tmp_path: Path, learn: ModuleType
) -> None:
    from lightning.pytorch.callbacks import EMAWeightAveraging

    class Plateau(learn.Model):  # type: ignore[misc, name-defined]  # of a script
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), self.config["rate"], momentum=0.9)
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, factor=0.5, patience=0, threshold=0.2
            )
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": schedule, "monitor": "loss"},
            }

    def train(trial: Any) -> None:
        trainer = learn.pl.Trainer(callbacks=[EMAWeightAveraging(decay=0.5)], **learn.SETTINGS)
        fit(trial, trainer, *learn.made(trial.config, trial.seed, Plateau))

    study = tuned(tmp_path, learn, train)
    assert curves.taken_up(study.directory)
    rates = {
        round(m["rate"] / p[1]["rate"], 6)
        for p in curves.of(study.directory).values()
        for m in p.values()
    }
    assert len(rates) > 2, "the schedule has stepped"
    check_unbroken(
        study.directory,
        lambda config, seed: learn.whole(
            config, seed, Plateau, callbacks=[EMAWeightAveraging(decay=0.5)]
        ),
    )


def test_a_trial_ends_if_another_lightning_callback_stops_training(
    tmp_path: Path, learn: ModuleType
) -> None:
    def train(trial: Any) -> None:
        stopping = learn.pl.callbacks.EarlyStopping(
            "epoch_number", stopping_threshold=1.5, mode="max"
        )
        fit(
            trial,
            learn.pl.Trainer(callbacks=[stopping], **learn.SETTINGS),
            *learn.made(trial.config, 0, Counting),
        )

    class Counting(learn.Model):  # type: ignore[misc, name-defined]  # of a script
        def on_train_epoch_end(self) -> None:
            self.log("epoch_number", float(self.current_epoch + 1))

    study = tuned(tmp_path, learn, train, trials=2, min_resource=9)
    assert [(e.resource, e.stopped) for e in curves.results(study.directory)] == [(2, True)] * 2


def test_lightning_runs_validation_at_the_epoch_of_each_rung(
    tmp_path: Path, learn: ModuleType
) -> None:
    every: list[int] = []

    def train(trial: Any) -> None:
        trainer = learn.pl.Trainer(
            check_val_every_n_epoch=4, num_sanity_val_steps=0, **learn.SETTINGS
        )
        fit(trial, trainer, *learn.made(trial.config, trial.seed))
        every.append(trainer.check_val_every_n_epoch)

    study = tuned(tmp_path, learn, train)
    epochs = {tuple(points) for points in curves.of(study.directory).values()}
    assert epochs == {(1,), (1, 3), (1, 3, 4, 8, 9)}
    assert set(every) == {4}


def stopped_after(learn: ModuleType, epochs: int) -> Callable[[Any], None]:
    """Return a training function that ends itself after some epochs, and validates each fourth."""

    class Ending(learn.Model):  # type: ignore[misc, name-defined]  # of a script
        def on_train_epoch_end(self) -> None:
            super().on_train_epoch_end()
            self.trainer.should_stop = self.current_epoch + 1 == epochs

    def train(trial: Any) -> None:
        trainer = learn.pl.Trainer(
            check_val_every_n_epoch=4, num_sanity_val_steps=0, **learn.SETTINGS
        )
        fit(trial, trainer, *learn.made(trial.config, trial.seed, Ending))

    return train


def test_a_stopped_lightning_trial_has_the_result_of_its_last_validation(
    tmp_path: Path, learn: ModuleType
) -> None:
    study = tuned(tmp_path, learn, stopped_after(learn, 5), trials=2, min_resource=9)
    assert [(e.resource, e.stopped) for e in curves.results(study.directory)] == [(4, True)] * 2


class Handed:
    """A trial of which nobody asks more than this."""

    number, start, target, max_resource, rank, world_size = 3, 0, 3, TOP, 0, 1

    def __init__(self, folder: Path) -> None:
        self.checkpoint_dir = folder

    def epochs(self) -> Iterator[int]:
        yield from ()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_epochs": 3}, r"Trainer\(max_epochs=3\).*so that every job has max_epochs=9"),
        ({"max_steps": 30}, r"Trainer\(max_steps=30\)"),
        ({"fast_dev_run": True}, r"Trainer\(fast_dev_run=True\)"),
        ({"min_epochs": 2}, r"Trainer\(min_epochs=2\)"),
        ({"min_steps": 2}, r"Trainer\(min_steps=2\)"),
        (
            {"reload_dataloaders_every_n_epochs": 2},
            r"Trainer\(reload_dataloaders_every_n_epochs=2\)",
        ),
        ({"max_time": {"hours": 1}}, r"max_time=.* give tune\(\) time_limit="),
        (
            {"check_val_every_n_epoch": None, "val_check_interval": 3},
            r"check_val_every_n_epoch=None\)",
        ),
        (
            {"devices": 2},
            r"Trainer\(devices=2, strategy='ddp'\) starts processes that cannot report to the study",
        ),
    ],
)
def test_a_lightning_trainer_with_unsuitable_settings_is_refused(
    tmp_path: Path, learn: ModuleType, settings: dict[str, Any], words: str
) -> None:
    trial: Any = Handed(tmp_path)
    with pytest.raises(ObjectiveError, match=words):
        fit(
            trial, learn.pl.Trainer(**{**learn.SETTINGS, **settings}), *learn.made({"rate": 0.1}, 0)
        )


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork", "ddp_notebook"])
def test_lightning_trainers_that_start_processes_are_refused(
    tmp_path: Path, root: str, devices: int, strategy: str
) -> None:
    learn = curves.imported(written(tmp_path, root))
    trial: Any = Handed(tmp_path)
    trial.world_size = devices
    trainer = learn.pl.Trainer(**{**learn.SETTINGS, "devices": devices, "strategy": strategy})
    with pytest.raises(ObjectiveError) as raised:
        fit(trial, trainer, *learn.made({"rate": 0.1}, 0))
    assert f"Trainer(devices={devices}, strategy={strategy!r})" in str(raised.value)
    assert "engine=ashtune.Local(processes_per_trial=N), and call trial.torch_distributed()" in str(
        raised.value
    )
    assert "\n" not in str(raised.value)


def test_lightning_ranks_without_environment_variables_are_refused(
    tmp_path: Path, learn: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning would start the script again for the ranks that are there."""
    monkeypatch.setattr("subprocess.Popen", None)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    trial: Any = Handed(tmp_path)
    trial.world_size = 2
    with pytest.raises(ObjectiveError, match=r"call trial\.torch_distributed\(\) before"):
        fit(
            trial,
            learn.pl.Trainer(**{**learn.SETTINGS, "devices": 2}),
            *learn.made({"rate": 0.1}, 0),
        )


def test_a_lightning_script_started_once_per_process_is_refused(
    tmp_path: Path, learn: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under srun: nothing is launched, as all processes are there."""
    trainer = learn.pl.Trainer(**{**learn.SETTINGS, "devices": 2, "strategy": "ddp"})
    monkeypatch.setattr(trainer.strategy, "_launcher", None)
    trial: Any = Handed(tmp_path)
    with pytest.raises(ObjectiveError):
        fit(trial, trainer, *learn.made({"rate": 0.1}, 0))


@pytest.mark.parametrize("name", ["last.ckpt", "random-0.pt"])
def test_a_link_in_place_of_a_lightning_checkpoint_file_is_refused(
    tmp_path: Path, learn: ModuleType, name: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / name).symlink_to(elsewhere)
    trial: Any = Handed(folder)
    trial.start = 1
    with pytest.raises(ObjectiveError):
        fit(trial, learn.pl.Trainer(**learn.SETTINGS), *learn.made({"rate": 0.1}, 0))


def test_a_learning_rate_schedule_whose_length_changed_is_refused(
    tmp_path: Path, learn: ModuleType
) -> None:
    def going_on(trial: Any) -> None:
        trial.checkpoint_dir = study.best.load()
        trial.start = 1
        fit(trial, learn.pl.Trainer(**learn.SETTINGS), *learn.made({"rate": 0.1}, 0))

    study = tuned(tmp_path, learn, trials=1, max_resource=1)
    with pytest.raises(ObjectiveError):
        going_on(Handed(tmp_path))


def test_the_error_for_an_unlogged_metric_lists_the_logged_metrics(
    tmp_path: Path, learn: ModuleType
) -> None:
    with pytest.raises(ObjectiveError):
        tuned(tmp_path, learn, metric="accuracy")


def test_lightning_does_not_handle_sigterm_in_a_worker(tmp_path: Path, learn: ModuleType) -> None:
    class Interrupted(learn.Model):  # type: ignore[misc, name-defined]  # of a script
        def on_train_epoch_end(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    def train(trial: Any) -> None:
        fit(
            trial,
            learn.pl.Trainer(**learn.SETTINGS),
            *learn.made(trial.config, trial.seed, Interrupted),
        )

    heard: list[int] = []
    study = tuned(tmp_path, learn, trials=1, max_resource=1)
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        again = study.train(0, 3, objective=train)  # in the main thread, as in a worker
    finally:
        signal.signal(signal.SIGTERM, before)
    assert again.resource == 3
    assert heard == [signal.SIGTERM] * 3


def test_loading_the_best_trial_gives_a_folder_with_a_lightning_checkpoint(
    tmp_path: Path, learn: ModuleType
) -> None:
    study = tuned(tmp_path, learn, trials=2, min_resource=9)
    found = study.best.load()
    model = learn.Model.load_from_checkpoint(found / "last.ckpt", config=study.best.config)
    _, _, others = learn.made(study.best.config, 0)
    (measured,) = learn.pl.Trainer(**learn.SETTINGS).validate(model, others, verbose=False)
    assert measured["loss"] == study.best.metrics["loss"]
