"""Decides whether a client may see the page and send commands.

A client must use the secret address and a known host name. These clients are refused:

- another user of this machine, who can connect to the port but does not know the secret part of the
  address;
- another site in the same browser, whose unknown host name points to this machine (DNS rebinding);
- another page in the same browser that makes the browser send a request here (cross-site request).
  The browser marks a
cross-site request. A command also needs a header that the browser does not let other pages send.

Rule 1: the answer to a wrong secret is the same as the answer to an unknown address.
Rule 2: no part of an address is decoded, so an address with an escape is unknown. All valid
addresses are plain text.
"""

# Attacks, and what stops them
# ----------------------------
# The page shows a study's texts, and with --control it can stop the study. A loopback port is open
# to every user of the machine, and to every page in the owner's browser. Decision 38
# (docs/decisions/0038-the-live-page.md).
#
#   what is tried                             what stops it
#   ----------------------------------------  ------------------------------------------------------
#   to guess the secret                       24 random bytes; compare_digest() takes as long for a
#                                             near miss as for any other text
#   to read it from the list of processes     the browser is opened with a file of the owner
#                                             (``watching.opened_in_browser``)
#   to learn it from a link that was clicked  the header Referrer-Policy: no-referrer
#   an address of another site that means     check_host(): only loopback names and --host-name
#   127.0.0.1 (DNS rebinding)
#   <img src> or fetch() of another page      check_origin(): the browser says "cross-site". A link
#                                             may open the page, as people put it into notes
#   a form of another page that POSTs         check_command(): a form cannot send JSON or X-Ashtune.
#                                             fetch() would have to ask first by OPTIONS, which is
#                                             not answered
#   a page in a frame, to steer clicks        frame-ancestors 'self'
#   a study's name with markup                no inline script runs, and the page shows texts as
#                                             text
#
# Two kinds of requests have no Sec-Fetch-Site: requests of a program that is no browser, and a
# browser's requests to a plain http address that is not loopback. Requests of both kinds are
# accepted ("" in FROM_HERE), because they must know the secret. Everybody who has the whole address
# has the rights of the owner, so the user must allow control at the start (decision 42,
# docs/decisions/0042-control-from-the-page.md).

import hmac
import re
import secrets
from collections.abc import Iterable
from email.message import Message

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.plaintext import one_line, shown
from ashtune._src.dashboard.page_messages import Forbidden, NothingThere

TOKEN_BYTES = 24
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
FROM_HERE = ("", "same-origin", "none")
"""Accepted values of ``Sec-Fetch-Site``: from a program that is not a browser, from the page
itself, and from a typed address.
"""
HEADER = "X-Ashtune"
VALUE = "1"
"""The header that the page sends with a command."""
MOST_CHARACTERS = 253
"""The largest number of characters in a name of the domain name system."""
_HOST = re.compile(r"[\w.-]+|\[[\w.:-]*\]")


class Admission:
    """Checks the host name, the secret and the origin of a request.

    Args:
        host_names: Additional host names of the page, such as the host name of a proxy.
        token: The secret part of the address; by default a new secret.

    Raises:
        SettingsError: If a name is not a host name.
    """

    def __init__(self, host_names: Iterable[str] = (), token: str = "") -> None:
        self.token = token or secrets.token_urlsafe(TOKEN_BYTES)
        self._names = {*LOOPBACK, *(_host_name(name) for name in host_names)}

    def path_below(self, path: str) -> str | None:
        """Return the part of a path after the secret and the slash. If the slash is missing, return
        None.

        Raises:
            NothingThere: If the path does not start with the secret part.
        """
        head, slash, rest = path.removeprefix("/").partition("/")
        if not path.startswith("/") or not hmac.compare_digest(head.encode(), self.token.encode()):
            raise NothingThere(
                "there is no page at this address; open the whole address that ashtune watch "
                "printed"
            )
        return rest if slash else None

    def check_host(self, host: str) -> None:
        """Check the host name of a request.

        Raises:
            Forbidden: If the name is unknown.
        """
        name = _without_port(host.strip().lower())
        if name not in self._names:
            raise Forbidden(
                f"the host name {shown(name)} is not allowed; if you open the page by this name, "
                f"start ashtune watch with --host-name {one_line(name, 60)}"
            )

    def check_origin(self, site: str, mode: str, destination: str, *, is_page: bool) -> None:
        """Check the origin of a request. A link on another site may open only the page.

        Args:
            site, mode, destination: The headers ``Sec-Fetch-...``; "" if a header is missing.
            is_page: Whether the request is for the page itself.

        Raises:
            Forbidden: If another page sent the request.
        """
        if site in FROM_HERE:
            return
        if not (is_page and mode == "navigate" and destination in ("", "document")):
            raise Forbidden(
                "another web page sent this request; open the address that ashtune watch printed"
            )

    def check_command(self, headers: Message) -> None:
        """Check the origin of a command. Only the page itself may send a command.

        Raises:
            Forbidden: If another page or program sent the command.
        """
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if headers.get(HEADER) != VALUE or kind != "application/json":
            raise Forbidden(
                "a command must be JSON (Content-Type: application/json), with the header "
                f"{HEADER}: {VALUE}"
            )
        if headers.get("Sec-Fetch-Site", "") not in ("", "same-origin"):
            raise Forbidden(
                "another web page sent this command; only the page at this address may send "
                "commands"
            )
        origin = headers.get("Origin")
        if origin is not None:
            self.check_host(origin.partition("://")[2])


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _host_name(name: str) -> str:
    plain = _without_port(name.strip().lower())
    if len(plain) > MOST_CHARACTERS or not _HOST.fullmatch(plain):
        raise SettingsError(
            f"--host-name {shown(name)} is not the name of a host; give one, such as "
            "hub.example.org"
        )
    return plain
