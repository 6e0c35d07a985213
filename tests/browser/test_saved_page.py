"""The page of a study as one file, beside the live page of the same study, in a real browser."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ashtune
from ashtune._src.dashboard.saved import MOST_TRIALS
from tests.browser.watched_page import PHONE, TALL, VIEWS, Page, RunningStudy, watched
from tests.helpers.chromium import CHROMIUM
from tests.helpers.saved_page import answer, saved

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
    pytest.mark.timeout(600),
]

SECTIONS = ("summary", "answers", *VIEWS, "report")
IS_ANSWERED = (
    "!document.querySelector('[aria-busy]') && document.querySelectorAll('#report table').length "
    "> 2"
)
SHOWN = "[...document.querySelectorAll('.overview > section:not([hidden])')].map(({ id }) => id)"
HIDE_WHAT_ASKS = "document.documentElement.dataset.saved = ''"
LOOKS = {"light, desk": ("light", TALL), "dark, phone": ("dark", {**PHONE, "height": 20_000})}


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a study that is complete, with its page."""
    study = RunningStudy(
        tmp_path_factory.mktemp("complete") / "letters", trials=120, epoch_seconds=0.005
    )
    study.wait()
    ashtune.Study.load(study.directory).report_html(study.directory / "page.html")
    return study.directory


@pytest.fixture(scope="module")
def address(complete: Path) -> Iterator[str]:
    """The address of its live page."""
    with watched(complete) as address:
        yield address


@pytest.mark.parametrize(("theme", "size"), LOOKS.values(), ids=LOOKS)
def test_every_section_of_the_saved_page_matches_the_live_page(
    browser: "Browser", complete: Path, address: str, theme: str, size: dict[str, int]
) -> None:
    look = {"viewport": size, "color_scheme": theme}
    chosen = "?chosen=" + "-".join(
        str(row["trial"]) for row in answer(complete / "page.html", "trials")["rows"][:3]
    )
    with Page(browser, **look) as live, Page(browser, **look) as file:
        live.open(address + chosen, "Complete")
        file.open((complete / "page.html").as_uri() + chosen, "Complete")
        live.page.evaluate(HIDE_WHAT_ASKS)
        live.wait(IS_ANSWERED)
        for section in SECTIONS:
            expected = file.page.evaluate("(id) => seenIn(id)", section)
            live.wait("([id, expected]) => seenIn(id) === expected", [section, expected])
        assert (
            sorted(file.page.evaluate(SHOWN))
            == sorted(live.page.evaluate(SHOWN))
            == sorted(SECTIONS)
        )
        assert file.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert file.console == []
        assert [each[:5] for each in file.asked if not each.startswith("data:")] == ["file:"]


def test_a_saved_page_names_a_requested_trial_that_it_does_not_contain(
    browser: "Browser", complete: Path
) -> None:
    rows = [row["trial"] for row in answer(complete / "page.html", "trials")["rows"]]
    with Page(browser) as page:
        page.open((complete / "page.html").as_uri(), "Complete")
        page.page.click("button:has-text('Next')")
        assert page.text("#trials [role=status]") == f"26 to 50 of {len(rows)} trials"
        page.show_trial(rows[MOST_TRIALS - 1])
        assert page.page.locator(".trial canvas").count() == 2, "of each metric"
        paths = saved(complete / "page.html")["answers"]
        other = next(trial for trial in rows if f"api/studies/0/trials/{trial}" not in paths)
        page.page.evaluate("(trial) => { location.hash = `#trial/${trial}`; }", other)
        page.wait(
            "document.querySelector('.trial .remark').textContent.includes('is not in the saved "
            "page')"
        )
        page.page.locator(".trial .links .chooser").check()
        page.page.click(".trial .links >> text=See the chosen trials")
        page.page.wait_for_selector(
            f"#chosen p >> text=Trial {other}: this is not in the saved page; see it with"
        )
        page.page.reload()
        page.page.wait_for_selector(
            f"#chosen p >> text=Trial {other}: this is not in the saved page; see it with"
        )
        page.page.fill("#chosen-trial", str(rows[0]))
        page.page.click("#chosen >> text=Add it")
        page.page.wait_for_selector("#chosen canvas")
        assert page.console == []


def test_the_saved_page_of_a_running_study_shows_the_time_of_saving(
    browser: "Browser", tmp_path: Path
) -> None:
    study = RunningStudy(tmp_path / "running")
    try:
        with watched(study.directory) as address, Page(browser) as live:
            live.open(address)
        ashtune.Study.load(study.directory).report_html(tmp_path / "page.html")
        with Page(browser) as page:
            page.open((tmp_path / "page.html").as_uri())
            assert page.text("#connection").startswith("Saved while the study ran, on ")
            ran = page.text(".tile.state .detail.quiet")
            page.page.wait_for_timeout(2000)
            assert page.text(".tile.state .detail.quiet") == ran
    finally:
        study.kill()


def test_a_live_page_whose_server_has_ended_names_the_saved_page(
    browser: "Browser", complete: Path
) -> None:
    owner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with (
        watched(complete, options=("--until-exit", str(owner.pid))) as address,
        Page(browser) as page,
    ):
        page.open(address, "Complete")
        owner.communicate()
        said = "(file) => document.getElementById('connection').innerText.includes(file)"
        page.wait(said, f"open {complete}/page.html")


def _unsaved(trial: ashtune.Trial) -> None:
    for _ in trial.epochs():
        trial.report(loss=trial["x"])


def test_whatif_on_a_saved_page_starts_with_the_settings_of_the_study(
    browser: "Browser", tmp_path: Path
) -> None:
    study = ashtune.tune(
        _unsaved, {"x": (0.0, 1.0), "y": 1}, metric="loss", mode="min", trials=12,
        directory=tmp_path / "own",
        scheduler=ashtune.Ash(rungs=[1, 5, 25]), workers=3, quiet=True,
    )  # fmt: skip
    study.report_html(tmp_path / "page.html")
    with Page(browser) as page:
        page.open((tmp_path / "page.html").as_uri(), "Complete")
        page.wait(
            "document.querySelector('#whatif .prediction').textContent.startsWith('On 3 workers "
            "with ')"
        )
        assert page.text("output[for=slider-reduction-factor]") == "5"
        shown = page.page.evaluate(SHOWN)
        assert "contour" not in shown
        # no trial failed: its card has an answer, and no section to go to
        assert "failures" not in shown
        linked = "(to) => document.querySelector(`.card[data-to=${to}]`).hasAttribute('href')"
        assert page.page.evaluate(linked, "best")
        assert not page.page.evaluate(linked, "failures")


def test_the_page_of_a_study_without_trials_finishes_loading(
    browser: "Browser", tmp_path: Path
) -> None:
    ashtune.open_study(
        {"x": (0.0, 1.0)},
        metric="loss",
        mode="min",
        trials=4,
        max_resource=4,
        directory=tmp_path / "none",
    ).close()
    ashtune.Study.load(tmp_path / "none").report_html(tmp_path / "page.html")
    with Page(browser) as page:
        page.open((tmp_path / "page.html").as_uri(), "Stopped")
        page.wait("!document.querySelector('.overview > .blank:not([hidden], .answers)')")
        assert page.text("#trials [role=status]") == "no trial yet"
        assert page.console == []


DIFFERING = """
    async (sources) => {
        const pixels = [];
        for (const source of sources) {
            const image = new Image();
            image.src = source;
            await image.decode();
            const { naturalWidth: width, naturalHeight: height } = image;
            const scale = sources[0] === source ? 2 : 1; // the PNG has two pixels for each of the SVG
            const canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [scale * width, scale * height];
            const context = canvas.getContext("2d");
            context.drawImage(image, 0, 0, canvas.width, canvas.height);
            pixels.push(context.getImageData(0, 0, canvas.width, canvas.height));
        }
        const [{ data: one, width, height }, { data: other }] = pixels;
        const isOther = (_, at) => [0, 1, 2].some((part) => Math.abs(one[4 * at + part] - other[4 * at + part]) > 48);
        return Array.from({ length: width * height }, isOther).filter(Boolean).length / (width * height);
    }
"""
"""The share of pixels that differ between an SVG and a PNG of the same picture."""
RECORD_TEXTS = """
    const { fillText } = CanvasRenderingContext2D.prototype;
    window.written = [];
    CanvasRenderingContext2D.prototype.fillText = function (text, ...more) {
        if (!this.canvas.isConnected) written.push(text);
        fillText.call(this, text, ...more);
    };
"""
MOST_DIFFERING = 0.02
"""Of pixels at the edges of letters and lines: an SVG places letters at
other fractions of a pixel.
"""


def test_every_figure_looks_the_same_when_saved_as_png_and_svg(
    browser: "Browser", complete: Path
) -> None:
    with Page(browser) as file, Page(browser) as blank:
        file.page.add_init_script(RECORD_TEXTS)
        file.open((complete / "page.html").as_uri(), "Complete")
        file.page.evaluate(
            "for (const each of document.querySelectorAll('figure details')) each.open = true"
        )
        figures = [
            each
            for each in file.page.locator("figure:has(canvas)").all()
            if each.locator("text=Save as PNG").is_visible()
        ]
        drawn = {each.get_attribute("aria-label") for each in figures}
        assert {
            "The ladder",
            "The best over time",
            "Lanes",
            "Learning curves",
            "Contours",
        } <= drawn
        for figure in figures:
            file.page.evaluate("written.length = 0")
            saved_as = {}
            for kind in ("PNG", "SVG"):
                with file.page.expect_download() as saving:
                    figure.locator(f"text=Save as {kind}").click()
                saved_as[kind] = saving.value.path().read_bytes()
            texts = [
                each.text or ""
                for each in ET.fromstring(saved_as["SVG"]).iter("{http://www.w3.org/2000/svg}text")
            ]
            name = figure.get_attribute("aria-label")
            assert name in texts
            assert len(texts) > 2
            assert sorted(set(texts)) == sorted(set(file.page.evaluate("written"))), name
            kinds = {"SVG": "svg+xml", "PNG": "png"}
            pictures = [
                f"data:image/{kinds[kind]};base64,{b64encode(saved_as[kind]).decode()}"
                for kind in kinds
            ]
            assert blank.page.evaluate(DIFFERING, pictures) < MOST_DIFFERING, name
        assert file.console == []
