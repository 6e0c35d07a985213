"""A page in a real, headless browser without a network: what it logs, and what it made of the page."""

import os
import re
import shutil
import subprocess
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-unsafe-swiftshader", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


class Visit:
    """One look at a page.

    Args:
        page: The file.
        folder: For the browser's own files.
        width: Of the window, in pixels.
        script: JavaScript to append to the page, as its own reader would type it into the console.
    """

    def __init__(self, page: Path, folder: Path, *, width: int = 1200, script: str = "") -> None:
        if script:
            changed = folder / "page.html"
            changed.write_text(page.read_text().replace("</body>", f"<script>{script}</script></body>"))
            page = changed
        assert CHROMIUM is not None
        done = subprocess.run(
            [
                CHROMIUM, *QUIET, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900",
                "--virtual-time-budget=15000", "--enable-logging=stderr", "--log-level=0", "--dump-dom",
                page.absolute().as_uri(),
            ],
            capture_output=True, text=True, timeout=110, check=True, env={**os.environ, "HOME": str(folder)},
        )  # fmt: skip
        self.dom = done.stdout
        self.console = re.findall(r"INFO:CONSOLE[^\]]*\] \"(.*?)\", source:", done.stderr)

    @property
    def complaints(self) -> list[str]:
        """What the page logged as errors; remarks of a software GPU, and on a figure that is sized later, are none."""
        harmless = "GL Driver Message", "WebGL has been", "ResizeObserver loop"
        return [line for line in self.console if not any(each in line for each in harmless)]
