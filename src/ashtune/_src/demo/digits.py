"""The demo's data: 1,797 images of handwritten digits, 8 x 8 pixels each, always with the same
split.

Source: the test part of *Optical Recognition of Handwritten Digits*, E. Alpaydin and C. Kaynak,
1998,
https://doi.org/10.24432/C50P49, as scikit-learn packages it (``sklearn.datasets.load_digits``).
Nothing is downloaded.
"""

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ashtune._src.core.errors import ObjectiveError

_VALIDATION = 597
_BRIGHTEST = 16


@dataclass(frozen=True)
class Digits:
    """The images and labels, split into training and validation.

    Attributes:
        train_images: (1200, 64) float32, pixels row by row, divided by the largest pixel value,
            minus the mean of each pixel over the training images.
        train_labels: (1200,) int64, from 0 to 9.
        validation_images: (597, 64) float32, scaled and centred like the training images.
        validation_labels: (597,) int64, from 0 to 9.
    """

    train_images: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    validation_images: NDArray[np.float32]
    validation_labels: NDArray[np.int64]


@cache
def load() -> Digits:
    """Return the digits as read-only arrays. Each process reads the file only once.

    Raises:
        ObjectiveError: If scikit-learn is not installed.
    """
    pixels, labels = _read()
    images = (pixels / _BRIGHTEST).astype(np.float32)
    train, validation = _split(labels)
    images -= images[train].mean(axis=0)
    digits = Digits(images[train], labels[train], images[validation], labels[validation])
    # All trials of a process share these arrays, so no trial may change them.
    for array in vars(digits).values():
        array.setflags(write=False)
    return digits


def _split(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of the training images (1200,) and validation images (597,), stratified by
    class.

    The images are shuffled with seed 0, because the file is sorted by the writers of the digits.
    """
    order = np.random.RandomState(0).permutation(len(labels))
    mixed = order[np.argsort(labels[order], kind="stable")]  # sorted by class
    rank = np.arange(len(mixed))
    # Validation images are at equal distances: rank * _VALIDATION / len(mixed) passes a whole
    # number exactly _VALIDATION times.
    chosen = (rank + 1) * _VALIDATION // len(mixed) > rank * _VALIDATION // len(mixed)
    return mixed[~chosen], mixed[chosen]


def _read() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pixels (1797, 64), from 0 to 16, and the labels (1797,),
    in the order of the file.
    """
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise ObjectiveError(
            "the demo reads its digits from scikit-learn, which is not installed: pip install "
            "'ashtune[demo]'"
        )
    # Reading only the file takes 20 ms. Each worker would need about a second to import
    # scikit-learn.
    path = Path(spec.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    if path.is_file():
        table = np.loadtxt(path, delimiter=",", dtype=np.int64)
        return table[:, :-1], table[:, -1]
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return pixels.astype(np.int64), labels.astype(np.int64)
