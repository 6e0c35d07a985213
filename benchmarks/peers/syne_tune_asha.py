"""Syne Tune's ASHA on the digits: its local backend with two workers, a new process for every
trial.

    python benchmarks/peers/syne_tune_asha.py [--trials 256] [--seed 0] [--reports DIR] [--defaults]

``ASHA`` is the stopping form, the only one that Syne Tune 0.16 has. The tuner looks for results
every 10 ms and does not save itself; --defaults has both as they come: every 5 s, and saved.
"""

import os
from pathlib import Path
from typing import Any

from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.config_space import choice, loguniform, uniform
from syne_tune.optimizer.baselines import ASHA
from syne_tune.optimizer.scheduler import TrialSuggestion

from reports import WORKERS, Options, measure
from space import CHOICES, INTERVALS, MAX_EPOCHS, sample

FAST = {"sleep_time": 0.01, "save_tuner": False}


class Listed(ASHA):
    """ASHA that ends with its list of configurations; by itself it would continue with others."""

    def __init__(self, options: Options) -> None:
        self._left = options.trials
        super().__init__(
            space(),
            metric="accuracy",
            do_minimize=False,
            time_attr="epoch",
            max_t=MAX_EPOCHS,
            grace_period=1,
            reduction_factor=2,
            random_seed=options.seed,
            points_to_evaluate=[sample(number, options.seed) for number in range(options.trials)],
        )

    def suggest(self) -> TrialSuggestion | None:
        """Return the next configuration of the list, or None after the last."""
        self._left -= 1
        return super().suggest() if self._left >= 0 else None


def space() -> dict[str, Any]:
    """Return the search space in Syne Tune's words."""
    drawn = {
        name: (loguniform if i.log else uniform)(i.low, i.high) for name, i in INTERVALS.items()
    }
    return drawn | {name: choice(values) for name, values in CHOICES.items()}


def search(options: Options) -> None:
    """Run the list of configurations."""
    os.environ["SYNETUNE_FOLDER"] = str(options.directory)
    script = Path(__file__).with_name("syne_tune_trial.py")
    Tuner(
        # else it counts GPUs by a file in this folder
        trial_backend=LocalBackend(str(script), rotate_gpus=False),
        scheduler=Listed(options),
        stop_criterion=StoppingCriterion(),
        n_workers=WORKERS,
        max_failures=0,
        **({} if options.defaults else FAST),
    ).run()


if __name__ == "__main__":
    measure("Syne Tune ASHA", "syne-tune", search)
