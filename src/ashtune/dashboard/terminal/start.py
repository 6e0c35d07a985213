"""Opens the page in the terminal that this process was started in."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ashtune.core import process
from ashtune.core.errors import ExtraMissing, SettingsError
from ashtune.core.plaintext import shown

if TYPE_CHECKING:
    from ashtune.dashboard.terminal.app import TerminalPage

NICE = 5
"""A page must not take the processor from a study on the same cores."""


def show_in_terminal(directories: Sequence[Path]) -> int:
    """Show a study, whether or not it is there yet, until the user leaves; return the exit status.

    Args:
        directories: Its directory, and no other.

    Raises:
        ExtraMissing: If Textual is not installed.
        SettingsError: If this process has no terminal that can show a page, or there are several directories.
    """
    _check(directories)
    from ashtune.dashboard.following import FollowedStudy
    from ashtune.dashboard.terminal.app import TerminalPage
    from ashtune.dashboard.terminal.colours import colours_of_the_terminal
    from ashtune.dashboard.terminal.followed import FollowedSource

    if process.is_our_command:
        os.nice(NICE)
    import numpy  # noqa: F401 - or the first part that needs it would seem to be slow to make, and be made seldom

    study = FollowedStudy(directories[0])
    study.start()
    try:
        page = TerminalPage(FollowedSource(study), study.shown, colours_of_the_terminal())
        asyncio.run(_run(page))
    finally:
        study.close()
    return page.return_code or 0


async def _run(page: "TerminalPage") -> None:
    """Run the page. A signal to end leaves the terminal as it was, as leaving by a key does."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, page.exit)
    await page.run_async()


def _check(directories: Sequence[Path]) -> None:
    try:
        import textual  # noqa: F401 - whether it is there
    except ImportError:
        raise ExtraMissing("textual", "terminal") from None
    if len(directories) != 1:
        raise SettingsError(f"--terminal shows one study, not {len(directories)}; give one DIR")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SettingsError(
            f"--terminal needs stdin and stderr to be a terminal; `ashtune report {directories[0]}` prints to anything"
        )
    if (kind := os.environ.get("TERM", "")) in ("", "dumb", "unknown"):
        raise SettingsError(f"--terminal cannot draw where TERM={shown(kind)}; set TERM, as to xterm-256color")
