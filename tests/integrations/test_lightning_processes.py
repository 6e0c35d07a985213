"""A trial over two processes that Lightning trains: rank 0 asks the study, and the other rank
follows.
"""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.helpers import curves

pytest.importorskip("lightning", reason="Lightning is not installed")

import ashtune
from ashtune._src.core.errors import ObjectiveError

pytestmark = [pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]

SCRIPT = """
    import json, os, warnings
    import lightning.pytorch as pl
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset
    import ashtune
    from ashtune.integrations.lightning import fit

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")

    class Model(pl.LightningModule):
        def __init__(self, config):
            super().__init__()
            self.config = config
            self.layers = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 1))

        def training_step(self, batch, batch_idx):
            x, y = batch
            return (self.layers(x) - y).square().mean()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            own = (self.layers(x) - y).square().mean()
            self.log("mean", own, sync_dist=True)
            self.log("loss", own + 100 * self.trainer.global_rank)  # each rank has another

        def on_train_epoch_end(self):
            with open(f"epochs-{self.trainer.global_rank}", "a") as file:
                print(self.current_epoch + 1, file=file)

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), self.config["rate"])

    def made(config):
        pl.seed_everything(7, verbose=False)
        x = torch.linspace(-1, 1, 80).reshape(20, 4)
        data = TensorDataset(x, x.sum(1, keepdim=True))
        return Model(config), DataLoader(data, batch_size=5, shuffle=True), DataLoader(data, batch_size=10)

    def trainer(strategy, **more):
        return pl.Trainer(
            accelerator="cpu", devices=2, strategy=strategy, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, **more,
        )

    def train(trial):
        trial.torch_distributed()
        fit(trial, trainer("ddp"), *made(trial.config))

    class Recorder(pl.callbacks.Checkpoint):
        def __init__(self):
            self.points = {}

        def on_train_epoch_end(self, trainer, pl_module):
            self.points[trainer.current_epoch + 1] = {n: v.item() for n, v in trainer.callback_metrics.items()}

        def on_train_end(self, trainer, pl_module):
            if trainer.is_global_zero:
                with open("whole.json", "w") as file:
                    json.dump(self.points, file)

    if __name__ == "__main__":
        config = json.loads(os.environ["CONFIG"])
        t = trainer("ddp_fork", max_epochs=2)
        t.callbacks.append(Recorder())
        t.fit(*made(config))
"""


@pytest.fixture
def learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    script = tmp_path / "learn_together.py"
    script.write_text(textwrap.dedent(SCRIPT))
    monkeypatch.syspath_prepend(tmp_path)  # so that the worker finds it
    monkeypatch.chdir(tmp_path)
    return curves.imported(script)


def tuned(learn: ModuleType, **options: Any) -> ashtune.Study:
    """Tune with one worker, whose trials have two processes."""
    settings: dict[str, Any] = {"metric": "loss", "min_resource": 1, "max_resource": 2, **options}
    return ashtune.tune(
        learn.train, {"rate": (1e-3, 0.3, "log")}, mode="min", workers=1, reduction_factor=2,
        search="random",
        directory="s", quiet=True, engine=ashtune.Local(processes_per_trial=2), **settings,
    )  # fmt: skip


@pytest.mark.slow
def test_all_lightning_ranks_stop_at_the_epoch_chosen_by_rank_0(
    tmp_path: Path, learn: ModuleType
) -> None:
    study = tuned(learn, trials=6)
    assert curves.taken_up(study.directory), "none was put aside and taken up"
    assert not curves.problems(study.directory)
    results = curves.results(study.directory)
    assert {e.resource for e in results} == {1, 2}
    assert all(e.metrics["loss"] < 100 for e in results), "rank 0's"
    ranks = [(tmp_path / f"epochs-{rank}").read_text() for rank in (0, 1)]
    assert ranks[0] == ranks[1]
    trial = next(trial for trial, epoch in curves.taken_up(study.directory) if epoch == 1)
    environment = {**os.environ, "CONFIG": json.dumps(study.trials[trial].configuration)}
    subprocess.run(
        [sys.executable, "learn_together.py"],
        cwd=tmp_path,
        env=environment,
        timeout=250,
        check=True,
    )
    expected = {
        int(epoch): metrics
        for epoch, metrics in json.loads((tmp_path / "whole.json").read_text()).items()
    }
    assert curves.of(study.directory)[trial] == expected, "of two ranks, with dropout on each"


@pytest.mark.slow
def test_the_error_about_a_wrong_metric_name_ends_all_lightning_ranks(
    tmp_path: Path, learn: ModuleType
) -> None:
    words = (
        "the training function reports 'mean', 'loss', but not 'accuracy', which the study needs"
    )
    with pytest.raises(ObjectiveError, match=words):
        tuned(learn, trials=1, metric="accuracy")
