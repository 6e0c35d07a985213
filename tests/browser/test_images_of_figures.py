"""Figures as PNG and SVG, by kaleido and a real Chromium without a network."""

import struct
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.performance.roofline import Roof, Roofs
from ashtune._src.reports.roofline_section import Placed, keep
from tests.helpers.chromium import CHROMIUM
from tests.helpers.studies import tuned

pytest.importorskip("kaleido", reason="kaleido is not installed: pip install 'ashtune[test]'")
pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
    pytest.mark.timeout(300),
]
SPACE = {"rate": (1e-3, 1.0, "log"), "width": [16, 32, 64], "depth": (1, 4)}
SVG = "{http://www.w3.org/2000/svg}"


def train(trial: Any) -> None:
    for epoch in trial.epochs():
        error = trial["rate"] / epoch + 0.1 / trial["depth"]
        trial.report(score=1 - error, size=float(trial["width"]))


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every figure of a study, by the method that returns it."""
    two = {"metric": ["score", "size"], "mode": ["max", "min"]}
    profiled = ashtune.Local(profile=True)
    study = tuned(
        tmp_path_factory.mktemp("images"), train, SPACE, trials=100, max_resource=4, engine=profiled
    )
    keep(Placed(machine=Roofs(roofs=[Roof(peak=80e9, bandwidth=20e9)])), study.directory)
    names = {name for name in dir(ashtune.Study) if name.startswith("plot_")} - {"plot_front"}
    drawn = {name: getattr(study, name)() for name in sorted(names)}
    front = tuned(tmp_path_factory.mktemp("front"), train, SPACE, trials=24, max_resource=4, **two)
    return drawn | {
        "whatif": study.whatif(workers=[1, 2], draws=0).plot(),
        "plot_front": front.plot_front(),
    }


@pytest.fixture(scope="module")
def images(figures: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a PNG and an SVG of each figure."""
    import plotly.io

    folder = tmp_path_factory.mktemp("images")
    heights = [figure.layout.height for figure in figures.values()]
    for ending in ("png", "svg"):
        files = [folder / f"{name}.{ending}" for name in figures]
        plotly.io.write_images(fig=list(figures.values()), file=files, width=700, height=heights)
    return folder


def pixels_of(png: bytes) -> tuple[int, int, set[bytes]]:
    """Return the width and the height of a PNG, and the different lines of its picture, as they are
    stored.
    """
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    data, at = b"", 8
    while at < len(png):
        (length,), kind = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        data += png[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    raw = zlib.decompress(data)
    step = len(raw) // height
    return width, height, {raw[line * step : (line + 1) * step] for line in range(height)}


def test_every_figure_is_a_png_that_is_not_blank(figures: dict[str, Any], images: Path) -> None:
    for name, figure in figures.items():
        width, height, lines = pixels_of((images / f"{name}.png").read_bytes())
        assert (width, height) == (700, figure.layout.height), name
        assert len(lines) > height / 4, f"{name} is nearly blank"


def test_every_figure_is_an_svg_with_titles_and_paths(
    figures: dict[str, Any], images: Path
) -> None:
    for name, figure in figures.items():
        root = ET.fromstring((images / f"{name}.svg").read_text())
        assert root.tag == f"{SVG}svg"
        text = " ".join("".join(element.itertext()) for element in root.iter(f"{SVG}text"))
        for title in filter(None, (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text)):
            assert title.split("<br>")[0].replace("&lt;", "<") in text, name
        drawn = sum(
            1 for kind in ("path", "rect", "image", "polygon") for _ in root.iter(SVG + kind)
        )
        assert drawn >= len(figure.data), name
