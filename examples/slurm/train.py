"""The training function and its search space, for ``ashtune run train.py:train`` in
``tune.sbatch``.
"""

from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

import ashtune

X, y = load_digits(return_X_y=True)

space = {
    "width": [16, 32, 64, 128],
    "learning_rate": (1e-4, 1e-1, "log"),
    "alpha": (0.0, 0.1),
}


def train(trial: ashtune.Trial) -> None:
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
