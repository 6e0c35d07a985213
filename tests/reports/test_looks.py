"""How a study looks: one table for all views, whose colours people see who cannot tell red from
green.
"""

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

import ashtune
from ashtune._src.figures import looks

PACKAGE = Path(ashtune.__file__).parent
COLOR = re.compile(r"#[0-9a-fA-F]{6}\b|\brgba?\(\s*\d|\bhsla?\(\s*\d")
PAPERS = ("#ffffff", "#14181d")
SEEN = {
    "all colours": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "without red cones": (
        (0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116,
        1.051998),
    ),
    "without green cones": (
        (0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940,
        0.968881),
    ),
}  # fmt: skip
"""Machado, Oliveira, Fernandes, *A Physiologically-based Model for Simulation of Color Vision
Deficiency*, IEEE Transactions on Visualization and Computer Graphics 15(6), 2009, at full severity;
on linear red, green and blue.
"""
Vector = Sequence[float]


def linear(color: str) -> Vector:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def product(matrix: Sequence[Vector], vector: Vector) -> Vector:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def lab(rgb: Vector) -> Vector:
    """Return a linear colour in CIELAB: its lightness from 0 to 100, and two axes of colour."""
    x, y, z = product(
        ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)), rgb
    )
    x, y, z = (max(part, 1e-9) ** (1 / 3) for part in (x / 0.9505, y, z / 1.0888))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG counts it, from 1 to 21."""
    low, high = sorted(
        product([(0.2126, 0.7152, 0.0722)], linear(color))[0] for color in (one, other)
    )
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("eye", SEEN)
@pytest.mark.parametrize("rungs", range(2, 8))
def test_the_colours_of_up_to_seven_rungs_are_distinguishable(rungs: int, eye: str) -> None:
    seen = [lab(product(SEEN[eye], linear(color))) for color in looks.rung_colors(rungs)]
    assert min(math.dist(one, other) for one, other in itertools.combinations(seen, 2)) > 10
    assert [light for light, _, _ in seen] == sorted(light for light, _, _ in seen)


def test_the_colour_of_each_rung_has_contrast_on_light_and_dark_backgrounds() -> None:
    assert min(contrast(color, paper) for color in looks.rung_colors(7) for paper in PAPERS) > 2.2


def test_every_trial_state_and_every_trial_kind_looks_different() -> None:
    patterns = {name: look.pattern for name, look in looks.STATES.items()}
    assert [name for name, pattern in patterns.items() if not pattern] == ["training"]
    assert len({(look.pattern, look.color) for look in looks.STATES.values()}) == len(looks.STATES)
    for field in ("glyph", "plain", "pattern", "color", "style"):
        assert len({getattr(look, field) for look in looks.TRIALS.values()}) == len(looks.TRIALS)


def test_colours_are_defined_in_one_file_only() -> None:
    files = [path for kind in ("py", "js", "css", "html") for path in PACKAGE.rglob(f"*.{kind}")]
    others = [path for path in files if path != Path(looks.__file__)]
    named = {str(path.relative_to(PACKAGE)): COLOR.findall(path.read_text()) for path in others}
    assert {path: colors for path, colors in named.items() if colors} == {}


def test_rung_colours_are_interpolated_between_colours_of_the_scale() -> None:
    assert looks.rung_colors(len(looks.SCALE)) == list(looks.SCALE)
    assert looks.rung_colors(1) == [looks.SCALE[0]]
    assert looks.faded("#ff8000", 0.25) == "rgba(255,128,0,0.25)"
