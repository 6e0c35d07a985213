"""The live and the saved page of a study whose names, values and words are made to break it, in a
real browser.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

import ashtune
from ashtune.testing.section_suite import HOSTILE
from tests.browser.watched_page import DESK, PHONE, Page, watched
from tests.helpers.chromium import CHROMIUM

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
    pytest.mark.timeout(600),
]

MARKUP = "</script><script>document.pwned=1</script><img src=x onerror=document.pwned=2>"
METRIC = "<b onclick=document.pwned=3>score</b>"
QUOTES = "a\"b'c`d,e:f;g&amp;h\\i%j{k}$l"
LONG = "long" * 49
RIGHT_TO_LEFT = "שיעור הלמידה"
ENDLESS = "word" * 500
SIZES = {"desk": DESK, "phone": PHONE}
SCRIPTS = {"live": 1, "saved": 3}
"""How many scripts a page has by itself."""


def train(trial: Any) -> None:
    """Fail, refuse and print with hostile words."""
    trial.restore()
    rate, choice = trial[QUOTES], trial[MARKUP]
    print(HOSTILE, choice)
    if trial.number % 7 == 3:
        raise ValueError(HOSTILE)
    if trial.number % 7 == 5:
        raise ashtune.InvalidConfiguration(ENDLESS)
    for epoch in trial.epochs():
        trial.report(**{METRIC: rate * epoch, RIGHT_TO_LEFT: 1.0})
    trial.save(epoch)


def hostile_space() -> Any:
    """Return a space of ConfigSpace, which takes any text for a name."""
    from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer

    space = ConfigurationSpace()
    space.add(
        [
            Float(QUOTES, (1e-3, 1.0), log=True),
            Categorical(MARKUP, [HOSTILE, ENDLESS, RIGHT_TO_LEFT]),
            Float(LONG, (0.0, 1.0)),
            Integer(RIGHT_TO_LEFT, (1, 9)),
        ]
    )
    return space


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    saved = tmp_path_factory.mktemp("saved") / "page.html"
    directory = (
        tmp_path_factory.mktemp("hostile") / f"{MARKUP.replace('/', '')} {RIGHT_TO_LEFT} {'x' * 60}"
    )
    study = ashtune.tune(
        train, hostile_space(), metric=METRIC, mode="max", trials=100, max_resource=4,
        min_resource=1,
        reduction_factor=2, search="random", workers=2, directory=directory, quiet=True,
    )  # fmt: skip
    study.report_html(saved)
    with watched(directory, directory) as address:
        yield {"live": address, "saved": saved.as_uri()}


@pytest.fixture(scope="module", params=[f"{kind}, {size}" for kind in SCRIPTS for size in SIZES])
def kind_and_page(
    request: pytest.FixtureRequest, browser: "Browser", addresses: dict[str, str]
) -> Iterator[tuple[str, Page]]:
    """The kind of a page, and the page, with all sections shown and all that can be opened open."""
    kind, size = request.param.split(", ")
    with Page(browser, viewport=SIZES[size]) as page:
        page.open(f"{addresses[kind]}?chosen=0-3-5", "Complete")
        page.show_all()
        page.page.wait_for_selector("#chosen .differs")
        page.page.evaluate(
            "for (const each of document.querySelectorAll('details')) each.open = true"
        )
        yield kind, page


def seen(page: Page) -> tuple[object, int, int, bool]:
    """Return what a script of the study would have left, how many scripts and images there are, and
    whether it fits.
    """
    found: list[Any] = page.page.evaluate(
        """() => [
            document.pwned ?? null,
            document.querySelectorAll("script").length,
            document.querySelectorAll("img, iframe, object").length,
            document.documentElement.scrollWidth <= innerWidth,
        ]"""
    )
    return tuple(found)  # type: ignore[return-value]  # four of them


def test_html_in_the_names_of_a_study_is_shown_only_as_text(
    kind_and_page: tuple[str, Page],
) -> None:
    kind, page = kind_and_page
    assert seen(page) == (None, SCRIPTS[kind], 0, True)
    body = page.text("body")
    assert "document.pwned=1" in body, "it is there, as text"
    assert RIGHT_TO_LEFT in body
    assert [hidden for hidden in "\u202e\x1b\x07\u2028" if hidden in body] == []


def test_html_in_the_data_of_a_trial_is_shown_only_as_text(kind_and_page: tuple[str, Page]) -> None:
    kind, page = kind_and_page
    for trial in (0, 3, 5):
        page.show_trial(trial)
        assert seen(page) == (None, SCRIPTS[kind], 0, True)
        assert "document.pwned=1" in page.text(".trial")
    page.page.go_back()


def test_the_browser_console_shows_no_error_for_html_in_study_names(
    kind_and_page: tuple[str, Page],
) -> None:
    _, page = kind_and_page
    assert page.console == []
