"""
Results from before
===================

The search can use results of a former study, Optuna, Ray or a table from its first proposal on.
Earlier results do not become trials of the new study, and they do not count in any rung.
"""

import math

import ashtune


def loss(rate, layers, epochs):
    return math.log10(rate / 0.03) ** 2 + 0.05 * abs(layers - 3) + 1 / epochs


def train(trial):
    for epoch in trial.epochs():
        trial.report(loss=loss(trial["rate"], trial["layers"], epoch))


space = {"rate": (1e-5, 1.0, "log"), "layers": (1, 8)}
options = {"metric": "loss", "mode": "min", "trials": 12, "max_resource": 9, "quiet": True}

# %%
# This table has a dozen earlier results of the same function, each trained to the top:

before = [
    {"rate": rate, "layers": layers, "loss": loss(rate, layers, 9)}
    for rate in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    for layers in (2, 6)
]
warm = ashtune.tune(train, space, **options, warm_start=before)
cold = ashtune.tune(train, space, **options)

for name, study in (("with them", warm), ("without", cold)):
    print(f"{name}: {study.best.metrics['loss']:.4f}")

# %%
# The study with earlier results has proposals from the first trial on. The study without them
# begins with random draws.

for name, study in (("with them", warm), ("without", cold)):
    print(name, [trial.origin for trial in study.trials[:4]])

# %%
# ``warm_start=`` takes a DataFrame, a csv file, the directory of a study, or a study of Optuna as
# well. On the command line it is ``--warm-start results.csv``. Several sources of the same task are
# a list. Results of other data are ``other_tasks=["runs/a", "runs/b"]``: the best configurations of
# each study are then the first trials.
