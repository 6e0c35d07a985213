"""Who may see the page and send commands: who knows its address, and asks by a known name, from the page itself.

Who is refused:

- another user of the machine, who can connect to its port, but does not know the secret part of the address;
- another site in the same browser, whose name was made to lead here (DNS rebinding): its name is not known;
- another page in the same browser, which has the browser ask here (cross-site requests): the browser says so. A command
  needs a header too that the browser lets no other page send.

Rule 1: a wrong address is answered like one that never was.
Rule 2: no part of an address is decoded: what is served has plain names, and what is not exactly one of them is none.
"""

import hmac
import secrets
from collections.abc import Iterable
from email.message import Message

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.plaintext import one_line, shown
from ashtune._src.dashboard.messages import Forbidden, NothingThere

TOKEN_BYTES = 24
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
FROM_HERE = ("", "same-origin", "none")
"""Values of ``Sec-Fetch-Site``: of a program that is no browser, of the page itself, of an address that was typed."""
HEADER, VALUE = "X-Ashtune", "1"
"""What the page sends with a command."""


class Admission:
    """Compares what comes with a request with what is known.

    Args:
        host_names: More names by which the page may be asked for, as that of a proxy.
        token: The secret part of the address; by default a new one.

    Raises:
        SettingsError: If one is no name of a host.
    """

    def __init__(self, host_names: Iterable[str] = (), token: str = "") -> None:
        self.token = token or secrets.token_urlsafe(TOKEN_BYTES)
        self._names = {*LOOPBACK, *(_host_name(name) for name in host_names)}

    def path_below(self, path: str) -> str | None:
        """Return what of a path stands below the secret part; None for the secret part without the slash behind it.

        Raises:
            NothingThere: If the secret part is not in its place.
        """
        head, slash, rest = path.removeprefix("/").partition("/")
        if not path.startswith("/") or not hmac.compare_digest(head.encode(), self.token.encode()):
            raise NothingThere("nothing is here; the whole address is what ashtune watch has printed")
        return rest if slash else None

    def check_host(self, host: str) -> None:
        """Refuse a name that nobody has made known.

        Raises:
            Forbidden: If it is none of them.
        """
        name = _without_port(host.strip().lower())
        if name not in self._names:
            raise Forbidden(
                f"the name {shown(name)} is not known here; start ashtune watch with --host-name {one_line(name, 60)}, "
                "if this is how you reach it"
            )

    def check_origin(self, site: str, mode: str, destination: str, *, is_page: bool) -> None:
        """Refuse what another page lets the browser ask; a person who follows a link to the page is let in.

        Args:
            site, mode, destination: The headers ``Sec-Fetch-...``, "" if there is none.
            is_page: Whether it is asked for the page itself.

        Raises:
            Forbidden: If another page asks.
        """
        if site in FROM_HERE:
            return
        if not (is_page and mode == "navigate" and destination in ("", "document")):
            raise Forbidden("another page asks for this; open the address that ashtune watch has printed")

    def check_command(self, headers: Message) -> None:
        """Refuse a command that the page itself has not sent.

        Raises:
            Forbidden: If another page or another program sends it.
        """
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if headers.get(HEADER) != VALUE or kind != "application/json":
            raise Forbidden(f"a command is JSON (Content-Type: application/json) with the header {HEADER}: {VALUE}")
        if headers.get("Sec-Fetch-Site", "") not in ("", "same-origin"):
            raise Forbidden("another page sends this command; only the page of this address may")
        if (origin := headers.get("Origin")) is not None:
            self.check_host(origin.partition("://")[2])


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _host_name(name: str) -> str:
    """Return the name of a host in small letters, without a port."""
    plain = _without_port(name.strip().lower())
    letters = plain.removeprefix("[").removesuffix("]").replace(":", "") if plain.startswith("[") else plain
    if not plain or len(plain) > 253 or not all(letter.isalnum() or letter in ".-_" for letter in letters):
        raise SettingsError(f"--host-name {shown(name)} is no name of a host; give one, as hub.example.org")
    return plain
