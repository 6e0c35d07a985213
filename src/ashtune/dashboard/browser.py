"""Opens the page in the browser of this machine, without telling its address to other users of the machine.

They see the arguments of every process, so the browser is given a file that only its owner can read, and that leads to
the address.
"""

import os
import sys
import tempfile
import webbrowser
from pathlib import Path


class OpenedInBrowser:
    """Opens an address in a browser; its file is there within the ``with`` block.

    Args:
        address: Of the page.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._file: Path | None = None

    def __enter__(self) -> None:
        try:
            self._open()
        except BaseException:  # Ctrl-C, too, while the browser starts
            self._delete()
            raise

    def __exit__(self, *_: object) -> None:
        self._delete()

    def _open(self) -> None:
        descriptor, name = tempfile.mkstemp(prefix="ashtune-watch-", suffix=".html")  # for its owner alone
        self._file = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(
                f'<!doctype html><meta http-equiv="refresh" content="0;url={self._address}"><title>ashtune</title>'
            )
        if not webbrowser.open(self._file.as_uri()):
            sys.stderr.write("there is no browser here; open the address yourself\n")

    def _delete(self) -> None:
        if self._file is not None:
            self._file.unlink(missing_ok=True)
