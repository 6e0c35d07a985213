"""A learner that trains in one go: the resource is the number of boosting rounds.

There is no loop over epochs: ``trial.start`` rounds are done, ``trial.target`` are wanted, and the
model is warm-started from its checkpoint.
"""

from sklearn.datasets import load_digits
from sklearn.ensemble import GradientBoostingClassifier

import ashtune

X, y = load_digits(return_X_y=True)


def train(trial: ashtune.Trial) -> float:
    model = trial.restore() or GradientBoostingClassifier(
        learning_rate=trial["learning_rate"],
        max_depth=trial["depth"],
        warm_start=True,
        random_state=0,
    )
    model.set_params(n_estimators=trial.target)
    model.fit(X[:600], y[:600])
    trial.save(model)
    return float(model.score(X[1200:], y[1200:]))


space = {"learning_rate": (1e-3, 1, "log"), "depth": (1, 5)}

study = ashtune.tune(
    train,
    space,
    metric="accuracy",
    mode="max",
    trials=24,
    min_resource=2,
    max_resource=32,
    resource="round",
)
print(study.best.config, study.best.metrics)
