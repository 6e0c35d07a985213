"""Your own loop: this process asks for trials and tells their results, and a pool of
processes trains them.
"""

from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import Any

from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

import ashtune

X, y = load_digits(return_X_y=True)
PROCESSES = 2
SPACE = {
    "width": [16, 32, 64],
    "learning_rate": (1e-4, 1e-1, "log"),
    "alpha": (0.0, 0.1),
}


def train(config: Mapping[str, Any], model: Any, epochs: int) -> tuple[Any, float]:
    """Train a network so many epochs more; it knows nothing of ashtune."""
    model = model or MLPClassifier(
        (config["width"],),
        learning_rate_init=config["learning_rate"],
        alpha=config["alpha"],
        random_state=0,
    )
    for _ in range(epochs):
        model.partial_fit(X[:1200] / 16, y[:1200], classes=range(10))
    return model, float(model.score(X[1200:] / 16, y[1200:]))


def tune(study: ashtune.OpenStudy, pool: ProcessPoolExecutor) -> None:
    """Keep all processes at work until the study has ended."""
    running: dict[Future[tuple[Any, float]], ashtune.Trial] = {}
    while True:
        while len(running) < PROCESSES and (trial := study.ask(wait=False)):
            epochs = trial.target - trial.start
            running[pool.submit(train, trial.config, trial.restore(), epochs)] = trial
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            trial = running.pop(future)
            try:
                model, accuracy = future.result()
            except Exception as error:  # noqa: BLE001 - whatever ends a training fails its trial
                study.fail(trial, error)
            else:
                trial.save(model)
                study.tell(trial, accuracy=accuracy)


if __name__ == "__main__":
    with (
        ashtune.open_study(
            SPACE, metric="accuracy", mode="max", trials=24, max_resource=9, workers=PROCESSES
        ) as opened,
        ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as processes,
    ):
        tune(opened, processes)
    best = opened.read().best
    print(best.config, best.metrics)
