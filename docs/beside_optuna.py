"""Take the pictures of one study on ashtune's page and in optuna-dashboard:
``python docs/beside_optuna.py [FOLDER]``.

It takes two minutes on two cores, a Chromium, and the extra ``test-integrations``.
"""

import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from watch_screenshots import DOCS, chromium, process

import ashtune

PORT = 8765
DESK: Any = {"width": 1280, "height": 800}
LETTERS = 26
TRAINED = slice(20000)
VALIDATED = slice(20000, 24000)
SPACE = {
    "layers": (1, 3),
    "width": [64, 128, 256],
    "solver": ["adam", "sgd"],
    "momentum": ashtune.When("solver", "sgd", (0.0, 0.99)),
    "learning_rate": (1e-4, 1.0, "log"),
    "weight_decay": (1e-6, 1e-1, "log"),
    "batch_size": [64, 128, 256],
}


@cache
def data() -> Any:
    """Return 16 made-up features of each letter, and which letter it is."""
    from sklearn.datasets import make_classification

    return make_classification(
        VALIDATED.stop,
        16,
        n_informative=16,
        n_redundant=0,
        n_classes=LETTERS,
        class_sep=1.6,
        random_state=0,
    )


def train_on_letters(trial: Any) -> None:
    """Train a network, and fail where it only guesses."""
    from sklearn.metrics import log_loss
    from sklearn.neural_network import MLPClassifier

    x, y = data()
    chosen = trial.config
    network = trial.restore() or MLPClassifier(
        [chosen["width"]] * chosen["layers"], solver=chosen["solver"],
        momentum=chosen.get("momentum", 0.9),
        learning_rate_init=chosen["learning_rate"], alpha=chosen["weight_decay"],
        batch_size=chosen["batch_size"],
        random_state=0,
    )  # fmt: skip
    for _ in trial.epochs():
        network.partial_fit(x[TRAINED], y[TRAINED], classes=range(LETTERS))
        accuracy = network.score(x[VALIDATED], y[VALIDATED])
        if accuracy < 1.3 / LETTERS:
            raise FloatingPointError("the network only guesses: choose another learning rate")
        trial.report(
            accuracy=accuracy, loss=log_loss(y[VALIDATED], network.predict_proba(x[VALIDATED]))
        )
    trial.save(network)


def take(folder: Path) -> None:
    """Tune in a folder, and take a picture of the ended study on each of the two pages."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    place = tempfile.mkdtemp()
    study = ashtune.tune(
        train_on_letters, SPACE, metric="accuracy", mode="max", trials=120, max_resource=27,
        min_resource=1,
        reduction_factor=3, workers=2, directory=f"{place}/letters",
    )  # fmt: skip
    study.export("optuna", f"{place}/study.log")
    dashboard = f"from optuna_dashboard import run_server; run_server('study.log', port={PORT})"
    with (
        process("-m", "ashtune", "watch", "letters", folder=place) as watch,
        process("-c", dashboard, folder=place),
        sync_playwright() as playwright,
    ):
        assert watch.stdout is not None
        browser = chromium(playwright)
        page = browser.new_page(viewport=DESK)
        for name, address in (
            ("ashtune", watch.stdout.readline().strip()),
            ("optuna", f"http://127.0.0.1:{PORT}/dashboard/studies/0"),
        ):
            page.goto(address)
            page.wait_for_timeout(10000)
            file = folder / f"beside-{name}.png"
            page.screenshot(path=file)
            Image.open(file).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(
                file, optimize=True
            )
        browser.close()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    take(Path(sys.argv[1]).resolve() if sys.argv[1:] else DOCS)
