"""What it takes to look at the page of ``ashtune watch``: studies that run, the command, a
connection that can break, and a page in a browser.
"""

import contextlib
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Route

SCRIPT = Path(__file__).with_name("running_study.py")
MILLISECONDS = 1000
"""In a second: Playwright counts in them."""
PATIENCE = 200.0
"""Seconds to wait for what the page does at once on an idle machine."""
LOOK = 0.1
"""Seconds from one look at the page to the next, while a test waits."""
PHONE = {"width": 400, "height": 850}
DESK = {"width": 1280, "height": 900}
TALL = {"width": 1280, "height": 12_000}
"""All sections are on the screen at once."""
VIEWS = {
    "ladder": "canvas",
    "best": "canvas",
    "workers": ".plot[aria-label] canvas",
    "curves": "canvas",
    "trials": "tbody tr",
    "chosen": "form",
    "importance": "canvas",
    "slices": "canvas",
    "parallel": ".plot[aria-label] canvas",
    "contour": ".plot[aria-label] canvas",
    "failures": ".group",
    "audit": "tbody tr",
    "whatif": "canvas",
    "notes": ".history li",
}
"""Each section of a study, and what is in it once it has data."""

_SEEN = """
    window.remembered = {};
    window.seenIn = (id) => {
        const section = document.getElementById(id);
        const pictures = [...section.querySelectorAll("canvas")].map((canvas) => canvas.toDataURL());
        const drawings = [...section.querySelectorAll("svg")].map((each) => each.outerHTML);
        return JSON.stringify([section.innerText, drawings, pictures]);
    };
"""
"""What there is to see in a section: its text, its drawings and its pictures."""


class RunningStudy:
    """A study whose driver is its own process.

    Args:
        directory: Of the study.
        trials: How many it tries; many by default, so that it runs until it is killed.
        epoch_seconds: What an epoch takes.
    """

    def __init__(
        self, directory: Path, *, trials: int = 100_000, epoch_seconds: float = 0.15
    ) -> None:
        self.directory = directory
        self._options = (str(trials), str(epoch_seconds))
        self.start()

    def start(self) -> None:
        """Start the study, or continue with it."""
        command = [sys.executable, str(SCRIPT), str(self.directory), *self._options]
        self._driver = subprocess.Popen(command, start_new_session=True, cwd=self.directory.parent)

    def wait(self) -> None:
        """Wait until it is complete."""
        assert self._driver.wait(timeout=PATIENCE) == 0

    def kill(self) -> None:
        """Kill the driver; its workers end by themselves."""
        if self._driver.poll() is None:
            self._driver.send_signal(signal.SIGKILL)
        self._driver.wait()


@contextlib.contextmanager
def watched(*directories: Path, options: tuple[str, ...] = ()) -> Iterator[str]:
    """Run ``ashtune watch`` on studies and yield the address of its page."""
    command = [sys.executable, "-m", "ashtune", "watch", *map(str, directories), *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE)
        server.stdout.close()


class Line:
    """A connection to a server that can be cut and mended: bytes go through it until then.

    Args:
        address: Of the page behind it.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        assert parts.port is not None
        self._server = ("127.0.0.1", parts.port)
        self._listener = self._bound(0)
        self._listener.listen()
        self._port = self._listener.getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}{parts.path}"
        self._ends: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._is_over = False
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Break all connections, and refuse new ones. The port stays taken: nobody else can be
        given it meanwhile.
        """
        with self._lock:
            held = self._bound(self._port)
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = held
            for end in list(self._ends):
                self._drop(end)

    def mend(self) -> None:
        """Let new connections through."""
        with self._lock:
            self._listener.listen()
            self._selector.register(self._listener, selectors.EVENT_READ)

    def close(self) -> None:
        """End it."""
        self._is_over = True
        self._thread.join()
        with self._lock:
            for end in list(self._ends):
                self._drop(end)
            self._listener.close()
            self._selector.close()

    @staticmethod
    def _bound(port: int) -> socket.socket:
        """Return a socket at a port, beside one that listens there: until it listens itself, it
        refuses all.
        """
        bound = socket.socket()
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind(("127.0.0.1", port))
        return bound

    def _carry(self) -> None:
        while not self._is_over:
            ready = self._selector.select(0.05)
            with self._lock:
                for key, _ in ready:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._ends:
                        self._pass_on(key.fileobj)

    def _accept(self) -> None:
        one, _ = self._listener.accept()
        other = socket.create_connection(self._server)
        for end, far in ((one, other), (other, one)):
            self._ends[end] = far
            self._selector.register(end, selectors.EVENT_READ)

    def _pass_on(self, end: socket.socket) -> None:
        try:
            data = end.recv(1 << 16)
            if data:
                self._ends[end].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(end)

    def _drop(self, end: socket.socket) -> None:
        if end not in self._ends:
            return
        for each in (end, self._ends[end]):
            self._ends.pop(each, None)
            self._selector.unregister(each)
            each.close()


class Page:
    """A page in a browser that keeps what it logs and what it asks for.

    Args:
        browser: Where it is opened.
        options: Of Playwright's contexts, as ``color_scheme``.
    """

    def __init__(self, browser: Browser, **options: Any) -> None:
        self._context = browser.new_context(**{"viewport": DESK, **options})
        self.page = self._context.new_page()
        self.page.set_default_timeout(PATIENCE * MILLISECONDS)
        self.page.add_init_script(_SEEN)
        self.console: list[str] = []
        """Messages, and errors that nobody caught."""
        self.asked: list[str] = []
        """The addresses of all requests."""
        self.page.on("console", lambda message: self.console.append(message.text))
        self.page.on("pageerror", lambda error: self.console.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, address: str, state: str = "Running") -> None:
        """Open the page and wait until the study is in a state; one that runs has a result then."""
        self.page.goto(address)
        self.wait(
            "(state) => document.querySelector('.tile.state .value')?.textContent === state", state
        )
        if state == "Running":
            self.wait("Number(document.querySelector('.tile.best-value .value').textContent) > 0")

    def wait(self, expression: str, of: Any = None) -> Any:
        """Wait until an expression of JavaScript is true, or a function of ``of``; return what it
        is then.

        Playwright's own way evaluates it within the page, which the page's content policy forbids.
        """
        deadline = time.monotonic() + PATIENCE
        while not (found := self.page.evaluate(expression, of)):
            assert time.monotonic() < deadline, f"not within {PATIENCE:g} s, of {of}: {expression}"
            self.page.wait_for_timeout(LOOK * MILLISECONDS)
        return found

    def wait_for_another_text(self, selector: str) -> None:
        """Wait until the text of the first element of a selector has become another one."""
        before = [selector, self.text(selector)]
        self.wait(
            "([selector, text]) => document.querySelector(selector).innerText !== text", before
        )

    def remember(self, section: str) -> None:
        """Remember what there is to see in a section now."""
        self.page.evaluate("(id) => { remembered[id] = seenIn(id); }", section)

    def wait_for_another_sight(self, section: str) -> None:
        """Wait until there is something else to see in a section than what was remembered last."""
        self.wait("(id) => remembered[id] !== seenIn(id)", section)

    def show(self, section: str) -> None:
        """Go to a section and wait for its data."""
        self.page.evaluate("(id) => document.getElementById(id).scrollIntoView()", section)
        self.page.wait_for_selector(f"#{section} {VIEWS[section]}", state="attached")
        self.wait("(id) => !document.getElementById(id).hasAttribute('aria-busy')", section)

    def show_down_to(self, section: str) -> None:
        """Go to each section from the first to this one: nothing that arrives above it moves it any
        more.
        """
        for each in list(VIEWS)[: list(VIEWS).index(section) + 1]:
            self.show(each)

    def show_all(self) -> None:
        """Go to each section and wait for its data."""
        for section in VIEWS:
            self.show(section)

    def show_trial(self, trial: int) -> None:
        """Go to the page of a trial and wait for what it shows."""
        self.page.evaluate("(trial) => { location.hash = `#trial/${trial}`; }", trial)
        self.wait(
            "(trial) => document.querySelector('.trial h1')?.textContent === `Trial ${trial}`",
            trial,
        )
        self.page.wait_for_selector(".trial .part")

    def hold(self, addresses: str, times: int | None = None) -> Callable[[], Route]:
        """Hold requests back from now on, all or so many; return what waits for the next one."""
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        def wait_for_one() -> Route:
            while not held:
                self.page.wait_for_timeout(LOOK * MILLISECONDS)
            return held.pop(0)

        self.page.route(addresses, hold, times=times)
        return wait_for_one

    def text(self, selector: str) -> str:
        """Return the text of the first element of a selector."""
        return self.page.locator(selector).first.inner_text()

    def close(self) -> None:
        """Close it."""
        self._context.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
