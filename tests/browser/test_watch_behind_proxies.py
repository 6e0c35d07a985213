"""The page of ``ashtune watch`` behind a reverse proxy with a path prefix and behind
jupyter-server-proxy.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.proxies import HOST, JUPYTER, NGINX, SECRET, jupyter, nginx, port_of
from tests.browser.watched_page import Page, RunningStudy, watched
from tests.helpers.chromium import CHROMIUM

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
    pytest.mark.timeout(600),
]
PROXIES = [
    pytest.param(
        nginx, id="nginx", marks=pytest.mark.skipif(NGINX is None,
        reason="no nginx here: apt-get install nginx-light")
    ),
    pytest.param(
        jupyter, id="jupyter",
        marks=pytest.mark.skipif(not JUPYTER.exists(),
        reason="no jupyter-server-proxy here: make test-jupyter"),
    ),
]  # fmt: skip
Proxy = Callable[[Path, int], AbstractContextManager[str]]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudy]:
    running = RunningStudy(tmp_path_factory.mktemp("running") / "digits")
    yield running
    running.kill()


@pytest.mark.parametrize("proxy", PROXIES)
def test_the_page_updates_live_behind_a_proxy_with_a_prefix(
    browser: "Browser", study: RunningStudy, tmp_path: Path, proxy: Proxy
) -> None:
    with (
        watched(study.directory, options=("--host-name", HOST)) as direct,
        proxy(tmp_path, port_of(direct)) as prefix,
        Page(browser) as page,
    ):
        address = prefix + direct.split("/", 3)[3]
        page.open(f"{address}?token={SECRET}")  # of Jupyter; the page itself does not mind
        assert page.page.evaluate("location.host") == f"{HOST}:{port_of(address)}"
        for _ in range(3):
            page.wait_for_another_text(".tile.time-left")
        page.show("trials")
        page.show("importance")
        page.show_trial(0)
        assert [asked for asked in page.asked if not asked.startswith(address)] == []
        assert page.console == []


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_page_behind_an_unknown_proxy_names_the_option_host_name(
    browser: "Browser", study: RunningStudy, tmp_path: Path, proxy: Proxy
) -> None:
    with (
        watched(study.directory) as direct,
        proxy(tmp_path, port_of(direct)) as prefix,
        Page(browser) as page,
    ):
        page.page.goto(f"{prefix}{direct.split('/', 3)[3]}?token={SECRET}")
        assert f"--host-name {HOST}" in page.text("body")
