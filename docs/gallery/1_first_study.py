"""
A first study
=============

This study tunes a network of scikit-learn on handwritten digits. The training function restores its
model, trains to its rung, reports in each epoch, and saves the model.
"""

from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

import ashtune

X, y = load_digits(return_X_y=True)


def train(trial):
    model = trial.restore() or MLPClassifier(
        (trial["width"],),
        learning_rate_init=trial["learning_rate"],
        alpha=trial["alpha"],
        random_state=0,
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
# With ``max_resource=9`` trials are compared after 1, 3 and 9 epochs. At each of these rungs the
# best trials continue.

study = ashtune.tune(
    train, space, metric="accuracy", mode="max", trials=32, max_resource=9, quiet=True
)
study.best

# %%
# The five best trials, with the origin of each configuration. The first ten configurations are
# random.

study.top(5)

# %%
# The report says what was found and where the time went; ``ashtune report`` prints the same:

study.report()

# %%
# The model of the best trial is kept. You can also train the same configuration again, longer:

model = study.best.load()
print(model.score(X[1200:] / 16, y[1200:]))

again = study.train(study.best, 20)
print(again.metrics)
