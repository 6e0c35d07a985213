"""The page of ``ashtune watch`` in a real browser, beside a real study that runs, is killed and
continues.

What needs no study that runs is looked at on one that is complete: its answers are worked out once.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe

import ashtune
from ashtune import NoResultError
from ashtune._src.dashboard.parts.failures_part import FailuresPart
from ashtune._src.dashboard.watching import LivePage
from tests.browser.watched_page import DESK, PHONE, TALL, VIEWS, Line, Page, RunningStudy, watched
from tests.helpers.chromium import CHROMIUM
from tests.helpers.studies import tuned

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
    # a page asks questions that take seconds each, and the machine may be busy
    pytest.mark.timeout(600),
]


IS_PAINTED = """
    (id) => [...document.getElementById(id).querySelectorAll("canvas")].every((canvas) => {
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        return pixels.some((value, at) => at % 4 === 3 && value > 0);
    })
"""

STATE = "document.querySelector('.tile.state .value')?.textContent"
ANSWERED = {
    "best": "(card) => !card.innerText.includes('No result yet')",
    "workers": "(card) => card.innerText.includes('%')",
    "importance": "(card) => card.dataset.mood === 'good'",
    "failures": "(card) => card.innerText.includes(' failed')",
}
"""What is to be seen of an answer that takes some trials: whether they are enough depends on the
machine.
"""
QUESTIONS_AND_WORDS = """
    [...document.querySelectorAll(".answers .card")].map((card) =>
        [".question", "b"].map((part) => card.querySelector(part).innerText))
"""
OPEN = """
    for (const each of document.querySelectorAll("#ladder details, #parallel .body > details, #failures details"))
        each.open = true;
"""
"""One of each kind of what can be opened: tables of all figures are thousands of cells."""
LOOKS = {"light, desk": ("light", DESK), "dark, phone": ("dark", PHONE)}


def fails(trial: ashtune.Trial) -> None:
    """Fail at once."""
    raise ValueError("no data at all")


def reports_three(trial: ashtune.Trial) -> None:
    """Report two objectives and one more metric."""
    for epoch in trial.epochs():
        trial.report(score=trial["x"] * epoch, size=trial["x"], other=epoch)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudy]:
    """A study that runs until the end of these tests."""
    running = RunningStudy(tmp_path_factory.mktemp("running") / "digits")
    yield running
    running.kill()


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a study that is complete."""
    study = RunningStudy(
        tmp_path_factory.mktemp("complete") / "letters", trials=81, epoch_seconds=0.005
    )
    study.wait()
    return study.directory


@pytest.fixture(scope="module")
def address(study: RunningStudy, complete: Path) -> Iterator[str]:
    """The address of a page of both studies, which shows the one that runs."""
    with watched(study.directory, complete) as address:
        yield address


@pytest.fixture(scope="module")
def complete_address(address: str) -> str:
    """The address of the same page, which shows the study that is complete."""
    return f"{address}?study=1"


@pytest.fixture
def page(browser: "Browser", address: str) -> Iterator[Page]:
    """A page of the study that runs."""
    with Page(browser) as page:
        page.open(address)
        yield page


@pytest.fixture
def still(browser: "Browser", complete_address: str) -> Iterator[Page]:
    """A page of the study that is complete."""
    with Page(browser) as page:
        page.open(complete_address, "Complete")
        yield page


@pytest.fixture(scope="module", params=LOOKS.values(), ids=LOOKS)
def look(
    request: pytest.FixtureRequest, browser: "Browser", complete_address: str
) -> Iterator[Page]:
    """A page of the study that is complete, in a theme and a size, with a table, sliders and
    tracebacks open.
    """
    theme, size = request.param
    with Page(browser, viewport=size, color_scheme=theme, reduced_motion="reduce") as page:
        page.open(f"{complete_address}&chosen=0-1-2-999", "Complete")
        page.show_all()
        page.page.wait_for_selector("#chosen canvas")
        page.page.evaluate(OPEN)
        yield page


def test_every_section_shows_data_and_is_updated_while_the_study_runs(
    browser: "Browser", address: str
) -> None:
    with Page(browser, viewport=TALL) as page:
        page.open(address)
        for section, data in VIEWS.items():
            page.page.wait_for_selector(f"#{section} {data}", state="attached")
        assert [section for section in VIEWS if not page.page.evaluate(IS_PAINTED, section)] == []
        changing = [section for section in VIEWS if section != "chosen"]
        for section in changing:
            page.remember(section)
        for section in changing:
            page.wait_for_another_sight(section)


def test_the_tiles_and_the_question_cards_show_the_state_of_the_study(page: Page) -> None:
    assert page.text(".tile.state .value") == "Running"
    page.wait("Number(document.querySelector('.tile.best-value .value').textContent) > 0.5")
    assert "of 100,000 trials" in page.text(".tile.time-left")
    answered = [
        f"({each})(document.querySelector('.card[href=\"#{to}\"]'))"
        for to, each in ANSWERED.items()
    ]
    # at one moment: results keep coming
    answers = dict(page.wait(" && ".join([*answered, QUESTIONS_AND_WORDS])))
    assert list(answers) == [
        "Is it getting better?", "Are my workers busy?", "Which hyperparameter matters?",
        "Why did these fail?",
        "What next?",
    ]  # fmt: skip
    assert answers["Is it getting better?"] in ("Yes", "Slowly", "Not lately")
    assert answers["Are my workers busy?"].endswith("%")
    assert answers["Which hyperparameter matters?"] in (
        "learning_rate",
        "momentum",
        "optimizer",
        "depth",
        "batch_size",
    )
    assert answers["What next?"].startswith(("No advice", "Widen ", "Confirm the best "))


def test_the_browser_console_shows_no_message_in_light_or_dark_mode(
    browser: "Browser", address: str
) -> None:
    with Page(browser, viewport=TALL) as page:
        page.open(address)
        page.show_all()
        page.page.emulate_media(color_scheme="dark")
        page.page.click("#theme")
        page.show_trial(0)
        page.page.go_back()
        page.page.wait_for_selector("#ladder", state="visible")
        page.wait_for_another_text(".tile.time-left")
        assert page.console == []
        assert [asked for asked in page.asked if not asked.startswith(address)] == []


def problems(page: Page, within: str = "body") -> list[tuple[str, str, list[str]]]:
    """Return what axe holds against a part of a page, each with the first elements."""
    found = Axe().run(page.page, context=within).response["violations"]
    return [
        (each["id"], each["impact"], [node["html"] for node in each["nodes"]][:3]) for each in found
    ]


def width_of(page: Page) -> int:
    width: int = page.page.evaluate("document.documentElement.scrollWidth")
    return width


def failed_trial(page: Page) -> int:
    """Return the number of a trial that failed."""
    return int(
        page.page.locator("#failures [data-kind=failed] a")
        .first.inner_text()
        .removeprefix("trial ")
    )


def test_the_accessibility_checker_axe_finds_no_problem(look: Page) -> None:
    look.page.evaluate("location.hash = '#summary'")
    look.page.wait_for_selector("#ladder", state="visible")
    failed = failed_trial(look)
    assert problems(look) == []
    look.show_trial(failed)
    assert problems(look) == []


def test_no_element_is_wider_than_the_window(look: Page) -> None:
    look.page.evaluate("location.hash = '#summary'")
    look.page.wait_for_selector("#ladder", state="visible")
    window = look.page.viewport_size
    assert window is not None
    failed = failed_trial(look)
    assert width_of(look) <= window["width"]
    for trial in (0, failed):
        look.show_trial(trial)
        assert width_of(look) <= window["width"]


def test_every_control_can_be_reached_by_keyboard_with_visible_focus(still: Page) -> None:
    still.show_all()
    still.page.evaluate("scrollTo(0, 0)")
    reached = []
    for _ in range(400):
        still.page.keyboard.press("Tab")
        name, is_seen = still.page.evaluate(
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
    expected = [
        "bar A",
        "bar BUTTON",
        "answers A",
        "trials INPUT",
        "trials SELECT",
        "chosen INPUT",
        "whatif INPUT",
        "contour SELECT",
    ]
    figures = [
        "ladder",
        "best",
        "workers",
        "curves",
        "importance",
        "parallel",
        "contour",
        "whatif",
    ]
    assert [
        name
        for name in [*expected, *(f"{figure} SUMMARY" for figure in figures)]
        if name not in reached
    ] == []


def test_the_page_of_a_trial_is_opened_and_closed_by_keyboard(still: Page) -> None:
    still.show_down_to("trials")
    still.page.locator("#trials tbody a").first.focus()
    scrolled = still.page.evaluate("scrollY")
    still.page.keyboard.press("Enter")
    still.page.wait_for_selector(".trial .part")
    assert still.text(".trial h1").startswith("Trial ")
    still.page.wait_for_selector(".trial canvas")
    assert "learning_rate" in still.text(".trial .table")
    assert "epoch 1: accuracy" in still.text(".trial [aria-label=Log]")
    still.page.locator(".trial .links a").first.focus()
    still.page.keyboard.press("Enter")
    still.page.wait_for_selector("#trials", state="visible")
    still.wait("(scrolled) => Math.abs(scrollY - scrolled) < 300", scrolled)


def test_the_table_is_searched_sorted_and_filtered(still: Page) -> None:
    def wait_for_column(number: int, is_right: str) -> None:
        still.wait(
            "(number) => { const rows = [...document.querySelectorAll('#trials tbody tr')];"
            f" return rows.length && rows.map((row) => "
            f"row.children[number].textContent).every({is_right}); }}",
            number,
        )

    still.show("trials")
    wait_for_column(2, "(value, at, all) => !at || Number(value) <= Number(all[at - 1])")
    still.page.click("#trials thead button >> text=trial")
    wait_for_column(0, "(trial, at) => Number(trial) === at")
    still.page.select_option("#trials [aria-label=Status]", "failed")
    wait_for_column(1, "(state) => state.startsWith('failed')")
    still.page.select_option("#trials [aria-label=Status]", "")
    still.page.select_option("#trials [aria-label=Rung]", "2")
    wait_for_column(4, "(resource) => resource === '9'")
    still.page.fill("#trials input[type=search]", "adam")
    wait_for_column(8, "(optimizer) => optimizer === 'adam'")
    still.page.select_option(
        "#trials [aria-label='Hyperparameter or metric of the range']", "momentum"
    )
    still.page.fill("#trials [aria-label=From]", "0.5")
    still.page.click("#trials >> text=Add range")
    wait_for_column(7, "(momentum) => Number(momentum) >= 0.5")
    still.page.click("#trials [aria-label='Remove the range of momentum']")
    wait_for_column(8, "(optimizer) => optimizer === 'adam'")


def test_the_url_keeps_search_filter_and_order_of_the_table(still: Page) -> None:
    still.show("trials")
    still.page.fill("#trials input[type=search]", "trial 5")
    still.wait("document.querySelectorAll('#trials tbody tr').length === 1")
    still.page.fill("#trials input[type=search]", "adam")
    still.page.select_option("#trials [aria-label=Rung]", "0")
    still.page.click("#trials thead button >> text=momentum")
    still.wait("location.search.includes('momentum')")
    rows = "[...document.querySelectorAll('#trials tbody tr')].map((row) => row.innerText)"
    still.page.wait_for_timeout(1000)
    before = still.page.evaluate(rows)
    still.open(still.page.url, "Complete")
    still.wait(f"{STATE} === 'Complete'")
    still.show("trials")
    assert still.page.evaluate(rows) == before
    assert still.page.input_value("#trials input[type=search]") == "adam"
    assert still.page.input_value("#trials [aria-label=Rung]") == "0"
    number = still.page.locator("#trials tbody a").nth(1).inner_text()
    still.page.locator("#trials tbody tr").nth(1).locator("td").nth(3).click()
    still.page.wait_for_selector(f".trial h1 >> text='Trial {number}'")
    still.page.go_back()
    still.page.fill("#trials input[type=search]", "foo<3")
    still.page.wait_for_selector("#trials [role=status] >> text='foo' is not a column")


def test_a_group_of_failures_can_be_listed_in_the_trial_table(still: Page) -> None:
    still.show_down_to("failures")
    group = still.page.locator("#failures .group:has(a.asks)").first
    count = int(group.locator(".count").inner_text().split()[0])
    group.locator("a.asks").click()
    still.wait(
        "(count) => document.querySelector('#trials [role=status]').innerText.includes(`${count} "
        "trials`)",
        count,
    )
    still.page.click("#trials [aria-label='Show all reasons']")
    still.wait("!document.querySelector('#trials [role=status]').innerText.includes('that fit')")


@pytest.mark.parametrize("section", ["audit", "notes"])
def test_a_link_to_a_section_scrolls_to_the_section(
    browser: "Browser", complete_address: str, section: str
) -> None:
    with Page(browser) as page:
        page.open(f"{complete_address}#{section}", "Complete")
        page.page.wait_for_selector(f"#{section} {VIEWS[section]}", state="attached")
        page.page.wait_for_timeout(2000)
        assert (
            0
            <= page.page.evaluate(
                "(id) => document.getElementById(id).getBoundingClientRect().top", section
            )
            < 100
        )


def test_navigation_links_fit_the_window_and_question_cards_share_one_row(still: Page) -> None:
    assert (
        still.page.evaluate(
            "(() => { const nav = document.getElementById('nav'); return nav.scrollWidth - "
            "nav.clientWidth; })()"
        )
        <= 0
    )
    tops = (
        "[...document.querySelectorAll('.card .question')].map((each) => "
        "each.getBoundingClientRect().top)"
    )
    assert len(set(still.page.evaluate(tops))) == 1, "one row"


TRIALS = """async () => (await (await fetch("api/studies/1/trials?count=500&sort=value&order=desc")).json()).rows"""
COLOR = """
    (trial) => getComputedStyle(document.querySelector(`#chosen th:has([href="#trial/${trial}"]) i`)).backgroundColor
"""
IS_COMPARED = """
    (trials) => document.querySelector("#chosen:not([aria-busy])") && JSON.stringify(trials) === JSON.stringify(
        [...document.querySelectorAll("#chosen thead a")].map((link) => Number(link.innerText.slice(6))))
"""


def test_chosen_trials_are_compared_in_table_and_figures(still: Page) -> None:
    rows = still.page.evaluate(TRIALS)
    kinds = [
        [row for row in rows if row["configuration"]["optimizer"] == kind]
        for kind in ("adam", "sgd")
    ]
    first, second, third = (row["trial"] for row in (*kinds[0][:2], kinds[1][0]))
    still.show_all()
    marked = ("best", "curves", "slices", "parallel", "contour")
    for section in marked:
        still.show(section)
        still.remember(section)
    for trial in (first, second, third):
        still.page.fill("#trials input[type=search]", f"trial {trial}")
        still.page.locator(f"#trials [aria-label='Compare trial {trial}']").check()
        still.page.wait_for_selector("#trials tr:has(:checked)")
    still.page.fill("#trials input[type=search]", "")
    still.wait(
        "(chosen) => location.search === `?study=1&chosen=${chosen}`", f"{first}-{second}-{third}"
    )
    still.page.click("#trials >> text=See the chosen trials")
    still.wait(IS_COMPARED, [first, second, third])
    assert "≠ optimizer" in still.page.locator("#chosen th:has(.differs)").all_inner_texts()
    assert still.page.locator("#chosen figure .legend li").count() == 2 * 3, (
        "a curve of each, of two metrics"
    )
    for section in marked:
        still.show(section)
        still.wait_for_another_sight(section)
    still.page.evaluate("location.hash = '#chosen'")
    before = still.page.evaluate(COLOR, third)
    still.page.click(f"#chosen [aria-label='Remove trial {second}']")
    still.page.click(f"#chosen [aria-label='Remove trial {first}']")
    still.wait(IS_COMPARED, [third])
    still.page.fill("#chosen-trial", str(second))
    still.page.click("#chosen >> text=Add it")
    still.wait(IS_COMPARED, [second, third])
    still.page.reload()
    still.wait(f"{STATE} === 'Complete'")
    still.page.evaluate("document.getElementById('chosen').scrollIntoView()")
    still.wait(IS_COMPARED, [second, third])
    assert still.page.evaluate(COLOR, third) == before, "a trial keeps its colour"
    still.page.evaluate(
        "location.hash = '#trial/' + new "
        "URLSearchParams(location.search).get('chosen').split('-')[0]"
    )
    still.page.locator(f".trial .links [aria-label='Compare trial {second}']").uncheck()
    still.page.click(".trial .links >> text=See the chosen trials")
    still.wait(IS_COMPARED, [third])
    still.show_trial(first)
    still.page.locator(f".trial .links [aria-label='Compare trial {first}']").check()
    still.page.go_back()
    still.wait(
        "(chosen) => new URLSearchParams(location.search).get('chosen') === chosen",
        f"{first}--{third}",
    )
    assert still.console == []


def test_the_comparison_hides_equal_hyperparameters_and_accepts_at_most_eight_trials(
    browser: "Browser", complete_address: str, still: Page
) -> None:
    adams = [
        row["trial"]
        for row in still.page.evaluate(TRIALS)
        if row["configuration"]["optimizer"] == "adam"
    ]
    with Page(browser) as page:
        page.open(f"{complete_address}&chosen={'-'.join(map(str, adams[:8]))}#chosen", "Complete")
        page.wait(IS_COMPARED, adams[:8])
        page.page.click("#chosen summary >> text=1 hyperparameter is equal in all of them")
        assert page.text("#chosen details p") == "optimizer: adam"
        page.show("trials")
        assert page.page.locator("#trials .chooser:enabled").count() <= len(adams[:8])
        assert (
            page.page.locator("#trials .chooser:disabled")
            .first.get_attribute("title")
            .startswith("At most 8")
        )
        page.page.fill("#chosen-trial", str(adams[8]))
        page.page.click("#chosen >> text=Add it")
        page.page.wait_for_selector("#chosen [role=status] >> text=At most 8 trials")
        assert str(adams[8]) not in page.page.url.split("chosen=")[1].split("-")


def test_a_range_chosen_on_the_parallel_coordinates_filters_the_trial_table(still: Page) -> None:
    said = (
        "([section, words]) => document.querySelector(`#${section} "
        "[role=status]`).innerText.includes(words)"
    )
    still.show_all()
    still.show("parallel")
    still.page.click("#parallel summary >> text=Ranges by sliders")
    still.page.get_by_label("accuracy, from").fill("0.5")
    still.wait("location.search.includes('where=accuracy')")
    count = still.text("#parallel [role=status]").split()[0]
    still.page.click("#parallel >> text=See them in the table")
    still.wait(said, ["trials", f"{count} trials that fit"])
    still.page.reload()
    still.wait(f"{STATE} === 'Complete'")
    still.show_all()
    still.wait(said, ["parallel", f"{count} of "])
    still.page.click("#trials [aria-label='Remove the range of accuracy']")
    still.wait("!document.querySelector('#parallel [role=status]').innerText")
    assert "where=" not in still.page.url
    # with more digits than an axis, and an end beyond it
    range_of_accuracy = "where=accuracy%3A0.123456789%3A"
    still.open(f"{still.page.url.partition('#')[0]}&{range_of_accuracy}7", "Complete")
    still.show_all()
    still.page.click("#parallel summary >> text=Ranges by sliders")
    still.page.get_by_label("depth, from").fill("0.5")
    still.wait("location.search.includes('where=depth')")
    assert f"{range_of_accuracy}7&where=depth" in still.page.url, "another range is as it was"


def test_shift_click_on_a_curve_of_a_figure_chooses_the_trial(still: Page) -> None:
    still.show_down_to("curves")
    still.page.locator("#curves canvas").scroll_into_view_if_needed()
    box = still.page.locator("#curves canvas").bounding_box()
    assert box is not None
    still.page.keyboard.down("Shift")
    still.page.mouse.click(box["x"] + box["width"] - 65, box["y"] + 25)  # where the best curve ends
    still.page.keyboard.up("Shift")
    still.wait("location.search.includes('chosen=')")
    still.page.evaluate("document.getElementById('chosen').scrollIntoView()")
    still.wait(IS_COMPARED, [int(still.page.url.split("chosen=")[1].split("#")[0])])


def test_texts_over_bars_are_outlined_on_a_phone(still: Page) -> None:
    still.show("ladder")
    still.page.evaluate("""() => {
        window.outlined = [];
        const { strokeText } = CanvasRenderingContext2D.prototype;
        CanvasRenderingContext2D.prototype.strokeText = function (text, ...at) {
            window.outlined.push(text);
            strokeText.call(this, text, ...at);
        };
    }""")
    still.page.set_viewport_size(PHONE)
    still.wait("outlined.some((text) => text.includes(' trained'))")


def test_a_marker_at_the_end_of_an_axis_is_drawn_completely(still: Page) -> None:
    still.show("slices")
    below = """(() => {
        const canvas = document.querySelector("#slices canvas");
        const end = canvas.clientHeight - 42; // above the ticks and the name of the axis
        const row = canvas.getContext("2d").getImageData(0, end + 2, canvas.width, 1).data;
        return row.some((value, at) => at % 4 === 3 && value > 0);
    })()"""
    assert still.page.evaluate(below), "crosses are the trials that failed"


def test_a_figure_zooms_by_dragging_and_opens_trials_by_click(still: Page) -> None:
    still.show_down_to("curves")
    still.page.locator("#curves canvas").scroll_into_view_if_needed()
    box = still.page.locator("#curves canvas").bounding_box()
    assert box is not None
    mouse, left, top = still.page.mouse, box["x"] + box["width"] / 2, box["y"] + 20
    mouse.move(0, 0)
    still.remember("curves")
    mouse.move(left, top)
    mouse.down()
    mouse.move(left + 150, top)
    mouse.up()
    mouse.move(0, 0)
    still.wait_for_another_sight("curves")
    mouse.dblclick(left, top)
    mouse.move(0, 0)
    still.wait("remembered.curves === seenIn('curves')")
    mouse.move(box["x"] + box["width"] - 65, box["y"] + 25)  # where the best curve ends
    still.page.wait_for_selector("#curves .tip >> text=trial", state="visible")
    mouse.click(box["x"] + box["width"] - 65, box["y"] + 25)
    still.page.wait_for_selector(".trial .part")


def test_a_wide_page_uses_several_columns(browser: "Browser", complete_address: str) -> None:
    with Page(browser, viewport={"width": 1680, "height": 1000}) as page:
        page.open(complete_address, "Complete")
        page.show_all()
        top = "(id) => document.getElementById(id).getBoundingClientRect().top"
        for left, right in [("ladder", "workers"), ("curves", "importance"), ("audit", "whatif")]:
            assert page.page.evaluate(top, left) == page.page.evaluate(top, right)
        links = page.page.locator("#nav a").all()
        assert len({box["x"] for link in links if (box := link.bounding_box()) is not None}) == 1
        assert width_of(page) <= 1680
        assert problems(page) == []


@pytest.mark.parametrize(("width", "is_beside"), [(1280, True), (900, False)])
def test_a_wide_page_shows_a_trial_beside_its_study(
    browser: "Browser", complete_address: str, width: int, is_beside: bool
) -> None:
    with Page(browser, viewport={"width": width, "height": 800}) as page:
        page.open(complete_address, "Complete")
        page.show_down_to("trials")
        page.page.locator("#trials tbody tr").nth(1).scroll_into_view_if_needed()
        before = page.page.evaluate("scrollY")
        page.page.click("#trials tbody tr >> nth=1")
        page.page.wait_for_selector(".trial .part")
        assert page.page.locator("#trials").is_visible() == is_beside
        if is_beside:
            assert page.page.evaluate("scrollY") == before
            box = page.page.locator(".trial").bounding_box()
            assert box is not None
            assert box["x"] + box["width"] == width
        page.page.click(".trial >> text=back to the study")
        page.page.wait_for_selector(".trial", state="hidden")
        assert page.page.evaluate("scrollY") == before
        page.show_trial(0)
        page.page.set_viewport_size({"width": 2100 - width, "height": 800})
        page.wait(
            "(isThere) => (document.getElementById('trials').offsetHeight > 0) === isThere",
            not is_beside,
        )
        assert problems(page) == []


def test_a_figure_is_saved_as_a_picture(still: Page) -> None:
    still.show("ladder")
    still.page.click("#ladder summary")
    for kind, begin in {"png": b"\x89PNG", "svg": b"<svg "}.items():
        with still.page.expect_download() as saved:
            still.page.click(f"#ladder >> text=Save as {kind.upper()}")
        assert saved.value.suggested_filename == f"The ladder.{kind}"
        assert saved.value.path().read_bytes().startswith(begin)


def test_the_url_keeps_scales_and_chosen_hyperparameters(still: Page) -> None:
    still.show_down_to("contour")
    still.page.click("#curves figure summary")
    still.remember("curves")
    box = still.page.locator("#curves .tick:not([hidden]) input").last.element_handle()
    still.page.check("#curves >> text=y axis logarithmic")
    still.wait_for_another_sight("curves")
    assert box.evaluate("(box) => box.isConnected && box.checked"), (
        "a redrawn figure keeps its boxes, so that a click and the focus reach them"
    )
    still.page.select_option("#contour-x", "depth")
    still.page.select_option("#contour-y", "optimizer")
    still.open(still.page.url, "Complete")
    still.show_down_to("contour")
    still.page.click("#curves figure summary")
    assert still.page.is_checked("#curves >> text=y axis logarithmic")
    assert [still.page.input_value(f"#contour-{end}") for end in "xy"] == ["depth", "optimizer"]
    assert still.page.locator("#ladder .tick:not([hidden])").count() == 0, "bars begin at 0"


def test_moving_a_slider_updates_the_prediction(still: Page) -> None:
    still.show("whatif")
    still.wait("document.querySelector('.prediction').textContent.startsWith('On 2 workers')")
    still.page.focus("#slider-workers")
    still.page.keyboard.press("End")
    still.wait("document.querySelector('.prediction').textContent.startsWith('On 256 workers')")


def test_a_page_reconnects_without_a_reload(browser: "Browser", address: str) -> None:
    line = Line(address)
    with Page(browser) as page:
        page.open(line.address)
        page.page.evaluate("window.isTheSame = true")
        line.cut()
        page.page.wait_for_selector("#connection >> text=Connection lost, trying again")
        assert problems(page, "#connection") == []
        before = [".tile.time-left", page.text(".tile.time-left")]
        line.mend()
        page.page.wait_for_selector("#connection", state="hidden")
        page.wait(
            "([selector, text]) => document.querySelector(selector).innerText !== text", before
        )
        assert page.page.evaluate("window.isTheSame")
    line.close()


def test_a_page_whose_server_has_ended_names_the_watch_command(
    browser: "Browser", complete: Path
) -> None:
    with Page(browser) as page:
        with watched(complete) as address:
            page.open(address, "Complete")
        page.page.wait_for_selector(
            f"#connection >> text=its server has ended. See the study again: ashtune watch "
            f"{complete}"
        )
        assert problems(page, "#connection") == []


def test_the_page_compares_a_complete_study_with_a_running_study(page: Page) -> None:
    page.page.locator("#compare").scroll_into_view_if_needed()
    page.page.wait_for_selector("#compare canvas")
    names = (
        "[...document.querySelectorAll('#compare tbody a')].map((link) => link.textContent).join()"
    )
    page.wait(f"{names} === 'train · digits,train · letters'")
    with page.page.expect_navigation():
        page.page.select_option("#studies select", "1")
    page.wait(f"{STATE} === 'Complete'")
    page.show("ladder")
    assert "letters" in page.text(".about")
    assert page.console == []


def test_the_page_of_a_folder_links_to_the_page_of_each_study(
    browser: "Browser", complete: Path
) -> None:
    with LivePage([complete.parent]) as live, Page(browser) as page:
        page.page.goto(live.address)
        page.page.wait_for_selector("tbody tr >> text=complete")
        page.page.focus("h1")
        page.page.evaluate("window.before = document.querySelector('tbody')")
        page.wait("window.before !== document.querySelector('tbody')")
        assert page.page.evaluate("document.activeElement.tagName") == "H1"
        page.page.click("tbody a")
        page.wait(f"{STATE} === 'Complete'")
        page.page.select_option("#studies select", "")
        page.page.wait_for_selector("h1 >> text=Studies")
        assert page.console == []


def test_the_comparison_of_studies_updates_while_the_shown_study_is_idle(
    browser: "Browser", complete_address: str
) -> None:
    with Page(browser, viewport=TALL) as page:
        page.open(complete_address, "Complete")
        page.page.wait_for_selector("#compare tbody a")
        page.wait_for_another_text("#compare tbody")


def test_a_broken_section_does_not_affect_other_sections_of_the_page(
    browser: "Browser", complete: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("a fault of this part")

    monkeypatch.setattr(FailuresPart, "value", fails)
    with LivePage([complete]) as live, Page(browser) as page:
        page.open(live.address, "Complete")
        for section in ("ladder", "best", "workers", "curves"):
            page.show(section)
        said = "each.checkVisibility() && each.innerText.includes('could not make')"
        named = (
            f"[...document.querySelectorAll('section')].filter((each) => {said}).map(({{ id }}) "
            f"=> id)"
        )
        page.wait(f"{named}.join() === 'answers,failures'")
        assert page.console == []


def test_a_study_without_a_result_shows_its_failures_first(
    browser: "Browser", tmp_path: Path
) -> None:
    with pytest.raises(NoResultError):
        tuned(tmp_path, fails, trials=4)
    with LivePage([tmp_path / "study"]) as live, Page(browser) as page:
        page.open(live.address, "Ended without a result")
        assert page.page.get_attribute(".tile.state", "data-mood") == "bad"
        page.page.wait_for_selector("#answers + #failures pre >> text=no data at all")
        named = (
            "[...document.querySelectorAll('main section')].filter((each) => "
            "each.checkVisibility())"
        )
        shown = page.page.evaluate(f"{named}.map(({{ id }}) => id)")
        assert shown == [
            "summary",
            "answers",
            "failures",
            "ladder",
            "workers",
            "trials",
            "chosen",
            "audit",
            "notes",
            "report",
        ]
        assert [
            shown for link in ("best", "whatif") if page.page.is_visible(f"nav [href='#{link}']")
        ] == []


def test_the_page_of_several_objectives_shows_pareto_front_and_metrics(
    browser: "Browser", tmp_path: Path
) -> None:
    study = tuned(tmp_path, reports_three, metric=["score", "size"], mode=["max", "min"])
    with LivePage([study.directory]) as live, Page(browser) as page:
        page.open(live.address, "Complete")
        page.page.evaluate("document.getElementById('front').scrollIntoView()")
        page.page.wait_for_selector("#front canvas")
        for empty in ("#failures", "nav [href='#failures']"):
            assert not page.page.is_visible(empty), "nothing has failed"
        page.show("slices")
        page.remember("slices")
        page.page.select_option("#slices-value", "size")
        page.wait_for_another_sight("slices")
        assert page.page.url.endswith("slices-value=size")
        page.show("trials")
        heads = page.page.locator("#trials thead th").all_inner_texts()
        assert [head.split()[0] for head in heads[:5]] == [
            "trial",
            "state",
            "score",
            "size",
            "other",
        ]


def test_the_page_waits_until_the_directory_has_a_study(browser: "Browser", tmp_path: Path) -> None:
    with watched(tmp_path / "later") as address, Page(browser) as page:
        page.open(address, "No study yet")
        assert f"ashtune run … --directory {tmp_path / 'later'}" in page.text("#summary")
        assert page.page.locator("main section:visible").count() == 1
        RunningStudy(tmp_path / "later", trials=9, epoch_seconds=0.005).wait()
        page.wait(f"{STATE} === 'Complete'")
        page.show("ladder")
        assert page.console == []
