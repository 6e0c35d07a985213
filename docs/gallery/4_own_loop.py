"""
Your own loop
==================

If ashtune cannot start your training (a robot, a laboratory, a queue), your script asks for a
trial, trains it, and tells its result. The example bakes bread in an oven.
"""

import ashtune
from ashtune import NextStep


def bake(config, minutes):
    """Return how far the bread is from a good one."""
    return abs(config["heat"] - 60) / 40 + config["draught"] / minutes


space = {"heat": (20.0, 90.0), "draught": (0.01, 1.0, "log")}
goal = {"metric": "error", "mode": "min", "trials": 30, "max_resource": 9, "resource": "minute"}

# %%
# Train each trial from ``trial.start`` to ``trial.target``. With each result the study decides
# which trial comes next.

with ashtune.open_study(space, **goal, quiet=True) as opened:
    while trial := opened.ask():
        opened.tell(trial, error=bake(trial.config, trial.target))

study = opened.read()
study.best

# %%
# With ``go_on=True`` a promoted trial may continue at once. Results before the target are its
# learning curve.

with ashtune.open_study(space, **goal, quiet=True) as opened:
    while trial := opened.ask():
        minutes, answer = trial.restore() or 0, NextStep.GO_ON
        while answer is NextStep.GO_ON:
            minutes += 1
            trial.save(minutes)
            answer = opened.tell(
                trial, resource=minutes, error=bake(trial.config, minutes), go_on=True
            )

opened.read().plot_curves()
