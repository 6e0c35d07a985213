"""The picture of the README: how near three searches come to the best, by work.

The figures are the means over all problems of ``search_worlds.py``, from the file that this
benchmark wrote last. Nothing is run.

    python benchmarks/search_figure.py docs/search.svg
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ashtune._src.figures.looks import BLUE, GREY, ORANGE

RESULTS = Path(__file__).parent / "results" / "search_worlds.json"
WORK = (3, 5, 10, 20, 40)
"""Full trainings: the columns of the benchmark's table."""
LINES = {
    "default": ("ashtune", BLUE),
    "TPE": ("Optuna's TPE", ORANGE),
    "random": ("random draws", GREY),
}
WIDTH = 860
HEIGHT = 330
LEFT = 60
RIGHT = 690
TOP = 50
BOTTOM = 275
# Both axes are logarithmic: the regrets differ by a factor of ten.
LOWEST = 0.05
HIGHEST = 0.7
TICKS = (0.05, 0.1, 0.2, 0.5)
INK = "#1f2933"
LINE = "#d8dde3"


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    tables = json.loads(RESULTS.read_text())["tables"]
    means = next(table for table in tables if table["title"].startswith("Mean over all"))
    given.file.write_text(picture({row["way"]: row for row in means["rows"]}))
    print(f"{given.file} shows {', '.join(name for name, _ in LINES.values())}")


def picture(means: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the picture as SVG.

    Args:
        means: By search: its mean regret, by columns such as ``at 10``.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="15" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        text(LEFT, 26, "Distance to the best loss (1 = a median configuration)", "start"),
    ]
    for tick in TICKS:
        parts += [line([(LEFT, up(tick)), (RIGHT, up(tick))], LINE, 1)]
        parts += [text(LEFT - 8, up(tick) + 5, f"{tick:g}", "end")]
    parts += [text(right(work), BOTTOM + 22, str(work), "middle") for work in WORK]
    parts += [text((LEFT + RIGHT) / 2, BOTTOM + 46, "full trainings in all", "middle")]
    for way, (name, colour) in LINES.items():
        regrets = [float(means[way][f"at {work}"]) for work in WORK]
        places = [(right(work), up(regret)) for work, regret in zip(WORK, regrets, strict=True)]
        parts += [line(places, colour, 3)]
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>' for x, y in places]
        words = f"{regrets[-1]:.2f} {name}"
        parts += [text(RIGHT + 14, places[-1][1] + 5, words, "start", colour)]
    return "\n".join([*parts, "</svg>\n"])


def right(work: float) -> float:
    """Return the horizontal place of a number of full trainings."""
    return LEFT + (RIGHT - LEFT) * math.log(work / WORK[0]) / math.log(WORK[-1] / WORK[0])


def up(regret: float) -> float:
    """Return the vertical place of a regret."""
    return BOTTOM - (BOTTOM - TOP) * math.log(regret / LOWEST) / math.log(HIGHEST / LOWEST)


def line(places: Sequence[tuple[float, float]], colour: str, width: float) -> str:
    """Return a line through places."""
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def text(x: float, y: float, words: str, anchor: str, colour: str = INK) -> str:
    """Return a text at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{words}</text>'


if __name__ == "__main__":
    main()
