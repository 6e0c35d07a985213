"""The section Control of the page in a real browser, by keyboard, beside a real study whose driver
takes commands.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from ashtune._src.core.events import (
    ConfigurationEnqueued,
    StopRequested,
    StudyContinued,
    StudyPaused,
    TrialsExtended,
)
from ashtune._src.dashboard.watching import LivePage
from ashtune._src.study.journal import NAME, read_events
from tests.browser.watched_page import Page
from tests.helpers.chromium import CHROMIUM
from tests.helpers.live_page import SlowStudy, patient_commands

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

STATE_IS = "(state) => document.querySelector('.tile.state .value').textContent === state"
SAYS = (
    "([role, text]) => document.querySelector(`#control [role=${role}]`).textContent.includes(text)"
)
FOCUS_IS = "(text) => document.activeElement.textContent === text"


@pytest.fixture(autouse=True)
def _patience() -> Iterator[None]:
    with patient_commands():
        yield


@pytest.fixture
def study(tmp_path: Path) -> Iterator[SlowStudy]:
    study = SlowStudy(tmp_path)
    study.run("--control")
    yield study
    study.kill()


def kinds(study: SlowStudy) -> list[type]:
    wanted = (ConfigurationEnqueued, StopRequested, StudyContinued, StudyPaused, TrialsExtended)
    return [
        type(event) for event in read_events(study.directory / NAME) if isinstance(event, wanted)
    ]


def test_a_user_can_pause_change_and_stop_a_study_by_keyboard(
    browser: Browser, study: SlowStudy
) -> None:
    with LivePage([study.directory], control=True) as live:
        opened = Page(browser)
        page = opened.page
        opened.open(live.address)
        opened.wait("!document.getElementById('control').hidden")
        assert "only what you send under Control" in opened.text("footer")

        pause = page.locator("#control button").first
        pause.press("Enter")
        opened.wait(STATE_IS, "Paused")
        opened.wait(SAYS, ["status", "Paused: no job begins"])
        opened.wait("document.querySelector('#control button').textContent === 'Continue'")
        pause.press("Space")
        opened.wait(SAYS, ["status", "The study continues"])
        opened.wait(STATE_IS, "Running")

        page.locator("#control-trials").fill("5")
        page.locator("#control-trials").press("Enter")
        opened.wait(SAYS, ["status", "5 trials more may be started"])
        page.locator("#control-workers").fill("90000")
        page.locator("#control-workers").press("Enter")
        opened.wait(SAYS, ["alert", "Refused: workers=90,000"])

        page.locator("#control summary").press("Enter")
        opened.wait("Number(document.getElementById('control-value-0')?.value) > 0")
        page.locator("#control-value-0").fill("0.123456789")
        page.get_by_role("button", name="Enqueue").press("Enter")
        opened.wait(SAYS, ["status", "The next new trial has this configuration"])

        axe = Axe().run(page, context="#control")
        assert [
            each["id"]
            for each in axe.response["violations"]
            if each["impact"] in ("serious", "critical")
        ] == []
        stop = page.get_by_role("button", name="Stop …")
        stop.press("Enter")
        opened.wait(FOCUS_IS, "Do not stop")
        page.keyboard.press("Escape")
        opened.wait(FOCUS_IS, "Stop …")
        assert StopRequested not in kinds(study)
        page.keyboard.press("Enter")
        page.keyboard.press("Shift+Tab")
        opened.wait(FOCUS_IS, "Stop the study")
        page.keyboard.press("Enter")
        opened.wait(STATE_IS, "Stopped")
        opened.wait("document.getElementById('control').hidden")
        assert opened.console == []
        opened.close()
    assert kinds(study) == [
        StudyPaused,
        StudyContinued,
        TrialsExtended,
        ConfigurationEnqueued,
        StopRequested,
    ]


def test_text_that_the_user_typed_stays_when_the_best_configuration_arrives_late(
    browser: Browser, study: SlowStudy
) -> None:
    with LivePage([study.directory], control=True) as live:
        opened = Page(browser)
        page = opened.page
        opened.open(live.address)
        asked = opened.hold("**/trials/*")
        opened.wait("!document.getElementById('control').hidden")
        page.locator("#control summary").press("Enter")
        number, choice = page.locator("#control-value-0"), page.locator("#control-value-1")
        number.fill("0.123456789")
        asked().continue_()
        opened.wait("document.getElementById('control-value-1').value !== ''")
        assert number.input_value() == "0.123456789"

        choice.select_option("")
        fill = page.get_by_role("button", name="Fill in the best so far")
        fill.press("Enter")
        request = asked()
        number.fill("0.25")
        request.continue_()
        opened.wait("document.getElementById('control-value-1').value !== ''")
        assert number.input_value() == "0.25"

        fill.press("Enter")
        asked().continue_()
        opened.wait("document.getElementById('control-value-0').value !== '0.25'")
        opened.close()


def test_the_page_says_that_a_command_was_not_sent(browser: Browser, study: SlowStudy) -> None:
    with LivePage([study.directory], control=True) as live:
        opened = Page(browser)
        page = opened.page
        opened.open(live.address)
        opened.wait("!document.getElementById('control').hidden")
        sent = opened.hold("**/control")
        page.locator("#control button").first.press("Enter")
        request = sent()
        page.get_by_role("button", name="Stop …").press("Enter")
        page.get_by_role("button", name="Stop the study").press("Enter")
        opened.wait(SAYS, ["alert", "Not sent"])
        request.continue_()
        opened.wait(SAYS, ["status", "Paused"])
        assert StopRequested not in kinds(study)
        opened.close()


def test_a_page_without_the_option_control_hides_the_control_section(
    browser: Browser, study: SlowStudy
) -> None:
    with LivePage([study.directory]) as live:
        opened = Page(browser)
        opened.open(live.address)
        assert not opened.page.locator("#control").is_visible()
        assert "nothing on it changes the study" in opened.text("footer")
        opened.close()
