"""The data of the tasks, split the same way for every tuner and seed."""

import gzip
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
    """Rows to train on, to choose by, and to see how good the choice was."""

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]

    def standardized(self) -> "Split":
        """Return it with inputs of mean 0 and variance 1 in the training part."""
        middle, spread = self.train[0].mean(axis=0), self.train[0].std(axis=0) + 1e-9
        return Split(*(((x - middle) / spread, y) for x, y in self))


def split(x: np.ndarray, y: np.ndarray, train: int, validation: int, test: int) -> Split:
    """Return so many rows of each kind, drawn without replacement."""
    order = np.random.default_rng(0).permutation(len(x))[: train + validation + test]
    parts = np.split(order, [train, train + validation])
    return Split(*((x[part], y[part]) for part in parts))


def letter(folder: Path, train: int) -> Split:
    """Return the 26 letters, 16 numbers each (UCI)."""
    table = np.load(folder / "tabular" / "letter.npz", allow_pickle=False)
    _, labels = np.unique(table["y"], return_inverse=True)
    return split(table["X"].astype(np.float64), labels, train, 2000, 2000)


def diamonds(folder: Path, train: int) -> Split:
    """Return the diamonds of ggplot2: 9 properties, and the logarithm of the price."""
    table = np.load(folder / "tabular" / "diamonds.npz", allow_pickle=False)
    return split(
        table["X"].astype(np.float64), np.log(table["y"].astype(np.float64)), train, 3000, 8000
    )


def protein(folder: Path, train: int) -> Split:
    """Return the proteins' tertiary structures (UCI): 9 properties, and the
    deviation in Angstrom.
    """
    table = np.load(folder / "tabular" / "protein_rmsd.npz", allow_pickle=False)
    return split(table["X"].astype(np.float64), table["y"].astype(np.float64), train, 3000, 8000)


def digits() -> Split:
    """Return scikit-learn's digits, 8 x 8 pixels."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return split(x / 16, y, 900, 450, 447)


def mnist(folder: Path, train: int) -> Split:
    """Return handwritten digits of 14 x 14 pixels, averaged from 28 x 28; the test part is of the
    official one.
    """
    images, labels = (
        _idx(folder / "mnist" / f"train-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1")
    )
    known = split(_small(images), labels, train, 2000, 0)
    images, labels = (
        _idx(folder / "mnist" / f"t10k-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1")
    )
    return Split(known.train, known.validation, (_small(images)[:4000], labels[:4000]))


def _small(images: np.ndarray) -> np.ndarray:
    halves = images.reshape(len(images), 14, 2, 14, 2).mean(axis=(2, 4)) / 255
    return halves.reshape(len(images), -1).astype(np.float32)


def _idx(path: Path) -> np.ndarray:
    raw = gzip.decompress(path.read_bytes())
    rank = raw[3]
    shape = np.frombuffer(raw, ">u4", rank, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)
