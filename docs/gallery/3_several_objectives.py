"""
Several objectives
==================

A network should be accurate and small. No single trial is the best in both. The front holds the
trials that no other trial dominates.
"""

from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

import ashtune

X, y = load_digits(return_X_y=True)


def train(trial):
    model = trial.restore() or MLPClassifier(
        (trial["width"],), learning_rate_init=trial["rate"], random_state=0
    )
    for _ in trial.epochs():
        model.partial_fit(X[:1000] / 16, y[:1000], classes=range(10))
        trial.report(
            accuracy=model.score(X[1000:] / 16, y[1000:]), multiply_adds=74 * trial["width"]
        )
    trial.save(model)


study = ashtune.tune(
    train,
    {"width": (2, 128, "log"), "rate": (1e-4, 1e-1, "log")},
    metric=["accuracy", "multiply_adds"],
    mode=["max", "min"],
    constraints={"accuracy": ">= 0.5"},
    trials=40,
    max_resource=9,
    quiet=True,
)
study.front

# %%
# The front among the other results of its rung:

study.plot_front()

# %%
# ``study.best`` is one trial of the front: its knee, or the trial that your weights prefer.

study.best

# %%

study.front.best({"accuracy": 0.9, "multiply_adds": 0.1})
