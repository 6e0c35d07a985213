"""MNIST-sized images: a study of plain PyTorch against the same network fused by JAX, two workers,
one thread each.

60,000 images of 784 pixels, a hidden layer of 64 or 128 units, batches of 128, SGD with momentum;
64 configurations, rungs at 1, 2 and 4 epochs; validated on the 10,000 test images. The fused study
begins with an empty cache of programs.

    python benchmarks/fused_mnist.py MNIST_FOLDER [--trials 64] [--json FILE]

The folder holds the four idx files, packed or not (``train-images-idx3-ubyte.gz``); without them it
says so and ends.
"""

import gzip
import os
import sys
import tempfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.events import JobFinished
from ashtune._src.demo import lanes
from ashtune._src.study.journal import NAME, read_events
from table import show

PIXELS, CLASSES, TOP = 784, 10, 4
FOLDER = "ASHTUNE_MNIST"


def read(name: str, start: int) -> npt.NDArray[np.uint8]:
    """Return the bytes of an idx file after its header."""
    folder = Path(os.environ[FOLDER])
    packed = folder / f"{name}.gz"
    data = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes()
    return np.frombuffer(data, np.uint8)[start:]


_loaded: list[Any] = []  # by this process


def load() -> list[Any]:
    """Return images (m, 784) in [0, 1] as float32 and labels (m,), to train
    on and to validate on.
    """
    if not _loaded:
        for part in ("train", "t10k"):
            images = read(f"{part}-images-idx3-ubyte", 16).reshape(-1, PIXELS)
            labels = read(f"{part}-labels-idx1-ubyte", 8)
            _loaded.extend([images.astype(np.float32) / 255, labels.astype(np.int64)])
    return _loaded


def plain(trial: ashtune.Trial) -> None:
    """Train as any user of PyTorch would write it."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    x, y, vx, vy = map(torch.from_numpy, load())
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(PIXELS, trial["width"]), nn.ReLU(), nn.Linear(trial["width"], CLASSES)
    )
    optimizer = torch.optim.SGD(
        model.parameters(), lr=trial["learning_rate"], momentum=trial["momentum"]
    )
    if (state := trial.restore()) is not None:
        model.load_state_dict(state[0])
        optimizer.load_state_dict(state[1])
    for epoch in trial.epochs():
        order = torch.from_numpy(np.random.default_rng(epoch).permutation(len(x)))
        for batch in torch.split(order, trial["batch_size"]):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            trial.report(accuracy=float((model(vx).argmax(dim=1) == vy).float().mean()))
    trial.save((model.state_dict(), optimizer.state_dict()))


def init(key: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """Draw the initial weights as the demo does, for more pixels."""
    import jax
    import jax.numpy as jnp

    sizes = list(pairwise([PIXELS, config["width"], CLASSES]))
    keys = jax.random.split(key, len(sizes))
    weights = [
        (jax.random.normal(drawn, size) * jnp.sqrt(2 / size[0]), jnp.zeros(size[1]))
        for drawn, size in zip(keys, sizes, strict=True)
    ]
    return {"weights": weights, "velocities": jax.tree.map(jnp.zeros_like, weights)}


def fused() -> Any:
    """Return the same network as lanes of compiled programs."""
    x, y, vx, vy = load()
    return ashtune.fused(
        init, lanes.step, lanes.evaluate, train=(x, y), validation=(vx, vy),
        batch_size="batch_size",
        static=["width", "batch_size"],
    )  # fmt: skip


def space() -> dict[str, Any]:
    """Return the space of both."""
    return {
        "learning_rate": (1e-3, 1.0, "log"),
        "momentum": (0.0, 0.95),
        "weight_decay": [0.0],
        "width": [64, 128],
        "batch_size": [128],
    }


def measured(name: str, function: Any, trials: int) -> list[Any]:
    """Run a study and return its row."""
    with tempfile.TemporaryDirectory(prefix="ashtune-") as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        study = ashtune.tune(
            function, space(), metric="accuracy", mode="max", trials=trials, max_resource=TOP,
            workers=2,
            engine=ashtune.Local(threads=1), quiet=True, directory=Path(folder, "study"),
        )  # fmt: skip
        tally = StudyReader(study.directory).tally
        best = study.best_at_any_rung
        first = [
            event.time
            for event in read_events(study.directory / NAME)
            if isinstance(event, JobFinished) and (event.metrics["accuracy"] or 0) >= 0.97
        ]
    seconds = tally.wall_seconds
    return [
        name, trials, seconds, tally.epochs, tally.epochs / seconds,
        tally.training_seconds / tally.epochs,
        tally.compile_seconds, min(first, default=float("nan")),
        best.metrics["accuracy"] if best else float("nan"),
    ]  # fmt: skip


def main() -> None:
    """Measure and print."""
    if (
        len(sys.argv) < 2
        or sys.argv[1].startswith("--")
        or not list(Path(sys.argv[1]).glob("train-images*"))
    ):
        print("skipped: give the folder with MNIST's four idx files")
        return
    os.environ[FOLDER] = str(Path(sys.argv[1]).absolute())
    trials = int(sys.argv[sys.argv.index("--trials") + 1]) if "--trials" in sys.argv else 64
    rows = [measured("plain PyTorch", plain, trials), measured("fused by JAX", fused(), trials)]
    columns = [
        "",
        "models",
        "seconds",
        "epochs",
        "epochs/s",
        "s an epoch",
        "s compiling",
        "to 0.97",
        "best",
    ]
    show("MNIST-sized images, two workers", columns, rows)


if __name__ == "__main__":
    main()
