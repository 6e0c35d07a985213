"""Ray Tune's ASHA on the digits: two trials at a time, one core each.

    python benchmarks/peers/ray_asha.py [--trials 256] [--seed 0] [--reports DIR] [--defaults]

``ASHAScheduler`` is the stopping form. Trials reuse processes, Ray's loggers of every result are
off and a trial is not saved at its end, which is many times faster; --defaults has all three as
they come.
"""

import os
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import BasicVariantGenerator

from reports import WORKERS, Options, measure, report
from space import CHOICES, INTERVALS, MAX_EPOCHS, sample
from training import Model, load


class Digits(tune.Trainable):
    """A trial: Ray asks it for one epoch after the other, and may give its process the next
    configuration.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Begin with a configuration."""
        self.model = Model(config, load())

    def step(self) -> dict[str, float]:
        """Train an epoch."""
        self.model.train_epoch()
        accuracy = self.model.accuracy()
        report(int(self.trial_id.rpartition("_")[2]), self.model.epoch, accuracy)
        return {"accuracy": accuracy}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save the model: Ray does at a trial's end, by default."""
        torch.save(self.model.state(), Path(checkpoint_dir, "model.pt"))

    def load_checkpoint(self, checkpoint: str) -> None:
        """Continue from a saved model; ASHA that stops never does."""
        self.model.load(torch.load(Path(checkpoint, "model.pt")))

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin again with another configuration."""
        self.setup(new_config)
        return True


def space() -> dict[str, Any]:
    """Return the search space in Ray's words."""
    drawn = {
        name: (tune.loguniform if i.log else tune.uniform)(i.low, i.high)
        for name, i in INTERVALS.items()
    }
    return drawn | {name: tune.choice(values) for name, values in CHOICES.items()}


def search(options: Options) -> None:
    """Start Ray on this machine, run the list of configurations and shut it down."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if not options.defaults:
        os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    ray.init(num_cpus=WORKERS, include_dashboard=False)
    configurations = [sample(number, options.seed) for number in range(options.trials)]
    results = tune.Tuner(
        tune.with_resources(Digits, {"cpu": 1}),
        param_space=space(),
        tune_config=tune.TuneConfig(
            metric="accuracy",
            mode="max",
            num_samples=options.trials,
            search_alg=BasicVariantGenerator(points_to_evaluate=configurations),
            scheduler=ASHAScheduler(grace_period=1, max_t=MAX_EPOCHS, reduction_factor=2),
            reuse_actors=not options.defaults,
        ),
        run_config=tune.RunConfig(
            storage_path=str(options.directory),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=options.defaults),
        ),
    ).fit()
    ray.shutdown()
    if results.num_errors:
        raise RuntimeError(
            f"{results.num_errors} of {options.trials} trials failed; Ray's messages above say why"
        )


if __name__ == "__main__":
    measure("Ray Tune ASHAScheduler", "ray", search)
