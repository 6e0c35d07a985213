"""
A first study
=============

A network of scikit-learn on handwritten digits. The training function restores its model, trains
to its rung, reports in each epoch, and saves.
"""

from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

import ashtune

X, y = load_digits(return_X_y=True)


def train(trial):
    model = trial.restore() or MLPClassifier(
        (trial["width"],), learning_rate_init=trial["learning_rate"], alpha=trial["alpha"], random_state=0
    )
    for _ in trial.epochs():
        model.partial_fit(X[:1200] / 16, y[:1200], classes=range(10))
        trial.report(accuracy=model.score(X[1200:] / 16, y[1200:]))
    trial.save(model)


space = {
    "width": [16, 32, 64, 128],
    "learning_rate": (1e-4, 1e-1, "log"),
    "alpha": (0.0, 0.1),
}

# %%
# With ``max_resource=9`` trials are compared after 1, 3 and 9 epochs. At each of these rungs the best continue.

study = ashtune.tune(train, space, metric="accuracy", mode="max", trials=32, max_resource=9, quiet=True)
study.best

# %%
# The five best, with where each configuration comes from. The first ten are random; then a Gaussian process proposes.

study.top(5)

# %%
# What was found and where the time went, as ``ashtune report`` prints it:

study.report()

# %%
# The model of the best trial is kept, and the same configuration can be trained once more, longer:

model = study.best.load()
print(model.score(X[1200:] / 16, y[1200:]))

again = study.train(study.best, 20)
print(again.metrics)
