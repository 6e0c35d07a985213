"""The page of ``ashtune watch`` in a real browser, beside a real study that runs, is killed and goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from chromium import CHROMIUM
from playwright.sync_api import Browser, sync_playwright
from watching import DESK, PHONE, VIEWS, Line, Page, RunningStudy, watched

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
    pytest.mark.slow,
    pytest.mark.timeout(300),  # a page asks questions that take seconds each, and the machine may be busy
]

SEEN = """
    ([id, before]) => {
        const section = document.getElementById(id);
        const pictures = [...section.querySelectorAll("canvas")].map((canvas) => canvas.toDataURL());
        const drawings = [...section.querySelectorAll("svg")].map((each) => each.outerHTML);
        const seen = JSON.stringify([section.innerText, drawings, pictures]);
        return before === undefined ? seen : seen !== before;
    }
"""
"""What there is to see in a section, its text and its pictures; or whether that is something else than before."""

IS_PAINTED = """
    (id) => [...document.getElementById(id).querySelectorAll("canvas")].every((canvas) => {
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        return pixels.some((value, at) => at % 4 === 3 && value > 0);
    })
"""

STATE = "document.querySelector('.tile.state .value').textContent"
HAS_CHANGED = "([selector, text]) => document.querySelector(selector).innerText !== text"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudy]:
    running = RunningStudy(tmp_path_factory.mktemp("running") / "digits")
    yield running
    running.kill()


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = RunningStudy(tmp_path_factory.mktemp("complete") / "letters", trials=81)
    study.wait()
    return study.directory


@pytest.fixture(scope="module")
def address(study: RunningStudy) -> Iterator[str]:
    with watched(study.directory) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    opened = Page(browser)
    opened.open(address)
    yield opened
    opened.close()


@pytest.mark.parametrize("section", VIEWS)
def test_a_view_has_data_and_changes_while_the_study_runs(page: Page, section: str) -> None:
    page.show(section)
    assert page.page.evaluate(IS_PAINTED, section)
    page.wait(SEEN, [section, page.page.evaluate(SEEN, [section])], seconds=90)


def test_the_first_tiles_and_the_five_answers_say_how_the_study_stands(page: Page) -> None:
    assert page.text(".tile.state .value") == "Running"
    assert float(page.text(".tile.best-value .value")) > 0.5
    assert "of 100,000 trials" in page.text(".tile.time-left")
    page.wait("document.querySelector('.card[href=\"#importance\"] b').textContent.includes('_')", seconds=60)
    cards = page.page.locator(".answers .card").all()
    answers = {card.locator(".question").inner_text(): card.locator("b").inner_text() for card in cards}
    assert list(answers) == [
        "Is it getting better?", "Are my workers busy?", "Which hyperparameter matters?", "Why did these fail?",
        "How long still?",
    ]  # fmt: skip
    assert answers["Is it getting better?"] in ("Yes", "Slowly", "Not lately")
    assert answers["Are my workers busy?"].endswith("%")
    assert answers["Why did these fail?"].endswith("failed")
    assert answers["How long still?"].startswith("About")


def test_the_console_stays_without_a_message_in_light_and_dark(page: Page) -> None:
    page.show_all()
    page.page.emulate_media(color_scheme="dark")
    page.page.click("#theme")
    page.show_all()
    page.page.evaluate("location.hash = '#trial/0'")
    page.page.wait_for_selector(".trial pre")
    assert page.console == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_serious(browser: Browser, address: str, theme: str, size: dict[str, int]) -> None:
    page = Page(browser, viewport=size, color_scheme=theme, reduced_motion="reduce")
    page.open(address)
    page.show_all()
    page.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    problems = Axe().run(page.page).response["violations"]
    page.page.evaluate("location.hash = '#trial/0'")
    page.page.wait_for_selector(".trial pre")
    problems += Axe().run(page.page).response["violations"]
    page.close()
    found = [(each["id"], each["impact"], [node["html"] for node in each["nodes"]][:3]) for each in problems]
    assert [each for each in found if each[1] in ("serious", "critical")] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(browser: Browser, address: str, theme: str) -> None:
    page = Page(browser, viewport=PHONE, color_scheme=theme)
    page.open(address)
    page.show_all()
    assert page.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.page.evaluate("location.hash = '#trial/0'")
    page.page.wait_for_selector(".trial pre")
    assert page.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.close()


def test_all_that_can_be_used_is_reached_by_keyboard_and_the_focus_is_seen(page: Page) -> None:
    page.show_all()
    page.page.evaluate("scrollTo(0, 0)")
    reached = []
    for _ in range(400):
        page.page.keyboard.press("Tab")
        name, is_seen = page.page.evaluate(
            """() => {
                const at = document.activeElement;
                const style = getComputedStyle(at);
                const within = at.closest("section, header, article");
                const name = at === document.body ? "" : `${within?.id || within?.className || ""} ${at.tagName}`;
                return [name, style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0];
            }"""
        )
        if not name:
            break
        assert is_seen, name
        reached.append(name)
    expected = ["bar A", "bar BUTTON", "answers A", "trials INPUT", "trials SELECT", "whatif INPUT", "contour SELECT"]
    figures = ["ladder", "best", "workers", "curves", "importance", "slices", "parallel", "contour", "whatif"]
    assert [name for name in [*expected, *(f"{figure} SUMMARY" for figure in figures)] if name not in reached] == []


def test_the_focus_stays_where_it_is_while_the_page_changes(page: Page) -> None:
    page.show("trials")
    page.page.select_option("#trials [aria-label=Status]", "running")
    page.wait("document.querySelectorAll('#trials tbody tr').length <= 2")
    page.page.focus("#trials thead button")
    for _ in range(3):
        page.wait(SEEN, ["trials", page.page.evaluate(SEEN, ["trials"])], seconds=60)
    assert page.page.evaluate("document.activeElement.dataset.key") == "sort number"


def test_a_trial_is_opened_and_left_by_keyboard(page: Page) -> None:
    page.show("trials")
    page.page.locator("#trials tbody a").first.focus()
    scrolled = page.page.evaluate("scrollY")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector(".trial .part")
    assert page.text(".trial h1").startswith("Trial ")
    page.page.wait_for_selector(".trial canvas")
    assert "learning_rate" in page.text(".trial .table")
    assert "epoch 1: accuracy" in page.text(".trial [aria-label=Log]")
    page.page.locator(".trial .links a").first.focus()
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector("#trials", state="visible")
    page.wait("(scrolled) => Math.abs(scrollY - scrolled) < 300", scrolled)


def test_a_trial_that_failed_shows_why_and_where(page: Page) -> None:
    page.show("failures")
    page.page.click("#failures [data-kind=failed] a")
    page.page.wait_for_selector(".trial .bad")
    assert "the loss is not finite with sgd" in page.text(".trial .bad")
    assert "in train" in page.text(".trial [aria-label=Traceback]")


def test_the_table_is_searched_sorted_and_filtered(page: Page) -> None:
    def wait_for_column(number: int, is_right: str) -> None:
        page.wait(
            "(number) => [...document.querySelectorAll('#trials tbody tr')]"
            f".map((row) => row.children[number].textContent).every({is_right})",
            number,
        )

    page.show("trials")
    wait_for_column(2, "(value, at, all) => !at || Number(value) <= Number(all[at - 1])")
    page.page.click("#trials thead button >> text=trial")
    wait_for_column(0, "(trial, at) => Number(trial) === at")
    page.page.select_option("#trials [aria-label=Status]", "failed")
    wait_for_column(1, "(state) => state === 'failed'")
    page.page.select_option("#trials [aria-label=Status]", "")
    page.page.select_option("#trials [aria-label=Rung]", "2")
    wait_for_column(3, "(resource) => resource === '9'")
    page.page.fill("#trials input[type=search]", "adam")
    wait_for_column(7, "(optimizer) => optimizer === 'adam'")
    page.page.select_option("#trials [aria-label='Hyperparameter or metric of the range']", "momentum")
    page.page.fill("#trials [aria-label=From]", "0.5")
    page.page.click("#trials >> text=Add range")
    wait_for_column(6, "(momentum) => Number(momentum) >= 0.5")
    page.page.click("#trials [aria-label='Remove the range of momentum']")
    wait_for_column(7, "(optimizer) => optimizer === 'adam'")


def test_the_curve_of_a_chosen_trial_is_added_and_removed(page: Page) -> None:
    page.show("curves")
    page.page.fill("#curve-trial", "1")
    page.page.click("#curves >> text=Add its curve")
    page.page.wait_for_selector("#curves .legend >> text='trial 1'")
    page.page.click("#curves [aria-label='Remove the curve of trial 1']")
    page.page.wait_for_selector("#curves .legend >> text='trial 1'", state="detached")


def test_brushed_lines_are_counted_and_listed_in_the_table(page: Page) -> None:
    page.show("parallel")
    every = page.text("#parallel [role=status]")
    axis = page.page.locator("#parallel canvas").bounding_box()
    assert axis is not None
    page.page.mouse.move(axis["x"] + 46, axis["y"] + 60)
    page.page.mouse.down()
    page.page.mouse.move(axis["x"] + 46, axis["y"] + 150)
    page.page.mouse.up()
    page.wait(HAS_CHANGED, ["#parallel [role=status]", every])
    assert "within the ranges" in page.text("#parallel [role=status]")
    page.page.click("#parallel >> text=Clear all ranges")
    page.page.click("#parallel summary >> text=Ranges by sliders")
    page.page.locator("#parallel input[aria-label='momentum, from']").fill("0.5")
    page.page.click("#parallel >> text=List them in the table")
    page.page.wait_for_selector("#trials .chips >> text=momentum from")


def test_a_slider_of_what_if_asks_again(page: Page) -> None:
    page.show("whatif")
    page.wait("document.querySelector('.prediction').textContent.startsWith('On 2 workers')", seconds=90)
    page.page.focus("#slider-workers")
    page.page.keyboard.press("End")
    page.wait("document.querySelector('.prediction').textContent.startsWith('On 256 workers')", seconds=90)


def test_a_page_whose_connection_drops_goes_on_without_a_reload(browser: Browser, address: str) -> None:
    line = Line(address)
    page = Page(browser)
    page.open(line.address)
    page.page.evaluate("window.isTheSame = true")
    line.cut()
    page.page.wait_for_selector("#connection >> text=Connection lost, trying again")
    before = page.text(".tile.time-left")
    line.mend()
    page.page.wait_for_selector("#connection", state="hidden")
    page.wait(HAS_CHANGED, [".tile.time-left", before])
    assert page.page.evaluate("window.isTheSame")
    page.close()
    line.close()


def test_a_reader_who_wants_less_motion_gets_none(browser: Browser, address: str) -> None:
    page = Page(browser, reduced_motion="reduce")
    page.open(address)
    page.show("ladder")
    page.page.evaluate(
        """() => {
            window.moved = 0;
            new MutationObserver(() => { window.moved += document.getAnimations().length; })
                .observe(document.getElementById("ladder"), { subtree: true, attributes: true, childList: true });
        }"""
    )
    page.wait(SEEN, ["ladder", page.page.evaluate(SEEN, ["ladder"])])
    assert page.page.evaluate("window.moved + document.getAnimations().length") == 0
    page.close()


def test_a_complete_study_is_called_so_and_compared_with_one_that_runs(
    browser: Browser, study: RunningStudy, complete: Path
) -> None:
    with watched(study.directory, complete) as address:
        page = Page(browser)
        page.open(address)
        page.page.locator("#compare").scroll_into_view_if_needed()
        page.page.wait_for_selector("#compare canvas")
        assert page.page.locator("#compare tbody tr").count() == 2
        page.page.select_option("#studies select", "1")
        page.wait(f"document.querySelector('.tile.state .value') && {STATE} === 'Complete'")
        page.show_all()
        assert page.console == []
        page.close()


def test_a_directory_without_a_study_says_so_until_there_is_one(browser: Browser, tmp_path: Path) -> None:
    with watched(tmp_path / "later") as address:
        page = Page(browser)
        page.open(address)
        assert page.text(".tile.state .value") == "No study yet"
        RunningStudy(tmp_path / "later", trials=9).wait()
        page.wait(f"{STATE} === 'Complete'")
        page.show("ladder")
        assert page.console == []
        page.close()


def test_a_killed_driver_is_said_within_5_seconds_and_a_resumed_study_goes_on(page: Page, study: RunningStudy) -> None:
    study.kill()
    page.wait(f"{STATE} === 'Died'", seconds=5)
    assert "ashtune resume" in page.text(".tile.state")
    assert page.text(".card[href='#ladder'] b") == "It died"
    before = page.text(".tile.time-left")
    study.start()
    page.wait(f"{STATE} === 'Running'")
    page.wait(HAS_CHANGED, [".tile.time-left", before])
    assert page.console == []
