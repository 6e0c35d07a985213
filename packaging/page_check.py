"""Whether an installed ``ashtune watch`` serves its page: all files of the package, and a study
that has ended.
"""

import json
import signal
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

SERVED = (".html", ".js", ".css", ".svg")
PAGE = "index.html"
LIMIT = 60.0
"""Seconds for the command to name its address, and for each answer."""
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class PageError(Exception):
    """The page is not served as it should be."""


def check_page(command: str, study: Path, static: Path, variables: dict[str, str]) -> int:
    """Watch a study, fetch every file of the page and the study's state, and end the command by
    Ctrl-C.

    Args:
        command: The installed ``ashtune``.
        study: The directory of a study that has ended.
        static: The installed folder of the page's files.
        variables: The environment of the command.

    Returns:
        How many files were fetched.

    Raises:
        PageError: If a file is served otherwise than it is installed, or the state is another one,
            or the command does not end well.
    """
    words = [command, "watch", str(study)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words, stdout=pipe, stderr=pipe, text=True, cwd=study.parent, env=variables
    ) as watching:
        limit = threading.Timer(LIMIT, watching.kill)
        limit.start()
        try:
            assert watching.stdout is not None
            address = watching.stdout.readline().strip()
            limit.cancel()
            if not address:
                raise PageError(f"`ashtune watch` named no address: {watching.communicate()[1]}")
            number = _compared(address, static)
            _await_end(address)
            watching.send_signal(signal.SIGINT)
            _, said = watching.communicate(timeout=LIMIT)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PageError(f"`ashtune watch` does not serve or does not end: {error}") from error
        finally:
            limit.cancel()
            watching.kill()
    if watching.returncode != 0:
        raise PageError(f"`ashtune watch` ended with {watching.returncode}: {said}")
    return number


def _compared(address: str, static: Path) -> int:
    """Fetch the files of the page, compare them, and return their number."""
    files = [file for file in static.rglob("*") if file.suffix in SERVED]
    for file in files:
        name = file.relative_to(static).as_posix()
        with _OPENER.open(address + ("" if name == PAGE else name), timeout=LIMIT) as answer:
            if answer.read() != file.read_bytes():
                raise PageError(f"{name} is served otherwise than it is installed")
    return len(files)


def _await_end(address: str) -> None:
    """Follow the study's changes until it is complete. A line comes every
    fifteen seconds at least.
    """
    give_up, head = time.monotonic() + LIMIT, dict[str, str]()
    with _OPENER.open(f"{address}api/studies/0/events", timeout=LIMIT) as stream:
        for line in stream:
            if line.startswith(b"data: "):
                head = json.loads(line.removeprefix(b"data: "))["parts"].get("head") or head
            if head.get("state") == "complete":
                return
            if time.monotonic() > give_up:
                break
    raise PageError(
        f"the page shows the study as {head.get('state')}, not as complete: "
        f"{head.get('state_text')}"
    )
