"""Take the pictures of page and terminal that these documents show:
``python docs/watch_screenshots.py [FOLDER]``.

A network is tuned on handwritten digits while the page is looked at; it fails where its loss is no
number. The study is stopped when the pictures are taken. It takes two minutes, a Chromium, and the
extra ``test``.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ashtune
from ashtune._src.demo import demo_objective as objective
from ashtune._src.demo import digits
from ashtune._src.demo.network import Mlp

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

DOCS = Path(__file__).resolve().parent
TRIALS = 1500
LOOKED_AT = 300
"""Number of trials at which pictures are taken."""
PATIENCE = 300.0
TRIED = "parseInt(document.querySelector('.tile.time-left .detail')?.textContent.replace(',', ''))"
TUNE = "tune"
DIRECTORY = "runs/digits"
DESK = {"width": 1280, "height": 1180}
PHONE = {"width": 400, "height": 860}
TERMINAL = (92, 34)
"""Columns and rows."""


def digits_network(trial: Any) -> None:
    """Train a network, and fail where it learns nothing any more."""
    data = digits.load()
    network = trial.restore() or Mlp(trial.config)
    for epoch in trial.epochs():
        network.train_epoch(data.train_images, data.train_labels, epoch)
        loss, accuracy = network.loss_and_accuracy(data.validation_images, data.validation_labels)
        if not loss < 100:
            raise FloatingPointError(
                "the loss is no number any more: the learning rate is too large for this momentum"
            )
        trial.report(accuracy=accuracy, loss=loss)
    trial.save(network)


def tune(directory: str) -> None:
    """Tune until the process is ended."""
    space = objective.space() | {"depth": [1, 2, 3, 4], "width": [64, 128, 256, 512]}
    with suppress(KeyboardInterrupt):
        ashtune.tune(
            digits_network, space, metric="accuracy", mode="max", trials=TRIALS, max_resource=27,
            min_resource=1,
            reduction_factor=3, directory=directory, quiet=True,
        )  # fmt: skip


@contextmanager
def process(*command: str, folder: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command of this Python in a folder, and end it."""
    started = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, text=True, cwd=folder
    )
    try:
        yield started
    finally:
        started.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            started.wait(timeout=30)
        started.kill()
        started.communicate()


def chromium(playwright: "Playwright") -> "Browser":
    """Start the Chromium of this machine."""
    found = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    return playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])


def wait(page: "Page", expression: str) -> None:
    """Wait until something is true on the page."""
    end = time.monotonic() + PATIENCE
    while not page.evaluate(expression):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {PATIENCE:g} s: {expression}")
        page.wait_for_timeout(500)


def show_all(page: "Page") -> None:
    """Show each section once, so that all are drawn, and go back to the top."""
    there = (
        "[...document.querySelectorAll('.overview > section')].filter((each) => each.offsetParent)"
    )
    for section in page.evaluate(f"{there}.map(({{ id }}) => id)"):
        page.evaluate(
            "(id) => document.getElementById(id).scrollIntoView({ block: 'center' })", section
        )
        wait(page, f"!document.querySelector('#{section}.blank, #{section}[aria-busy]')")
    page.evaluate("scrollTo(0, 0)")
    page.mouse.move(0, 0)
    page.wait_for_timeout(1500)  # bars move to where they belong


def draw_terminal(directory: Path, file: Path) -> None:
    """Write the frame that the terminal shows of a study as an SVG that loads nothing."""
    from rich.console import Console

    from ashtune._src.analysis.study_reader import StudyReader
    from ashtune._src.reports.terminal.frame import Frame

    os.chdir(directory.parents[1])
    study = StudyReader(directory.relative_to(Path.cwd()))
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(
            file=nowhere, record=True, width=TERMINAL[0], height=TERMINAL[1], force_terminal=True
        )
        console.print(Frame(study))
        picture = console.export_svg(title="python digits.py")
    file.write_text(re.sub(r"@font-face {.*?}\n?", "", picture, flags=re.DOTALL), "utf-8")


def main(folder: Path) -> None:
    """Tune, watch and take the pictures."""
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as place,
        process(str(Path(__file__).resolve()), TUNE, DIRECTORY, folder=place),
        process("-m", "ashtune", "watch", DIRECTORY, folder=place) as watch,
        sync_playwright() as playwright,
    ):
        assert watch.stdout is not None
        address = watch.stdout.readline().strip()
        browser = chromium(playwright)
        looks: dict[str, tuple[Any, float, str]] = {
            "light": (DESK, 1, "#summary"),
            "dark": (DESK, 1, "#importance"),
            "phone": (PHONE, 1.5, "#summary"),
        }
        for name, (size, scale, section) in looks.items():
            scheme: Any = "dark" if name == "dark" else "light"
            context = browser.new_context(
                viewport=size, device_scale_factor=scale, color_scheme=scheme
            )
            page = context.new_page()
            page.goto(address)
            wait(page, f"{TRIED} >= {LOOKED_AT}")
            show_all(page)
            page.evaluate("(to) => { if (to !== '#summary') location.hash = to; }", section)
            page.wait_for_timeout(1500)
            page.screenshot(path=folder / f"watch-{name}.png")
            print(
                f"{folder / f'watch-{name}.png'}: "
                f"{(folder / f'watch-{name}.png').stat().st_size / 1e3:.0f} KB"
            )
            context.close()
        browser.close()
        draw_terminal(Path(place, DIRECTORY).resolve(), folder / "terminal.svg")


if __name__ == "__main__":
    if sys.argv[1:2] == [TUNE]:
        tune(sys.argv[2])
    else:
        main(Path(sys.argv[1]).resolve() if sys.argv[1:] else DOCS)
