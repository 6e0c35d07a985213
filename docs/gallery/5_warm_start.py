"""
Results from before
===================

What a former study, Optuna, Ray or a table knows is known to the search from its first proposal on. Such results are no
trials of the new study: they rank nowhere.
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
# A dozen results of the same function that somebody has measured, each trained to the top:

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
# The study that knows them proposes from the first trial on. The other one begins with random draws.

for name, study in (("with them", warm), ("without", cold)):
    print(name, [trial.origin for trial in study.trials[:4]])

# %%
# ``warm_start=`` takes a DataFrame, a csv file, the directory of a study, or a study of Optuna as well. On the command
# line it is ``--warm-start results.csv``.
