"""
A loop of your own
==================

Where ashtune cannot call what trains, as a robot, a laboratory, or a queue of its own, the script asks for a trial,
trains it as it likes, and tells its result. Here an oven stands for it.
"""

import ashtune
from ashtune import NextStep


def bake(config, minutes):
    """Return how far the bread is from a good one."""
    return abs(config["heat"] - 60) / 40 + config["draught"] / minutes


space = {"heat": (20.0, 90.0), "draught": (0.01, 1.0, "log")}
goal = {"metric": "error", "mode": "min", "trials": 30, "max_resource": 9, "resource": "minute"}

# %%
# Each trial is to be trained from ``trial.start`` to ``trial.target``. What comes next is decided when it is told.

with ashtune.open_study(space, **goal, quiet=True) as opened:
    while trial := opened.ask():
        opened.tell(trial, error=bake(trial.config, trial.target))

study = opened.read()
study.best

# %%
# With ``go_on=True`` the answer may be that the same trial is promoted and goes on at once, and what is told before its
# target is its learning curve.

with ashtune.open_study(space, **goal, quiet=True) as opened:
    while trial := opened.ask():
        minutes, answer = trial.restore() or 0, NextStep.GO_ON
        while answer is NextStep.GO_ON:
            minutes += 1
            trial.save(minutes)
            answer = opened.tell(trial, resource=minutes, error=bake(trial.config, minutes), go_on=True)

opened.read().plot_curves()
