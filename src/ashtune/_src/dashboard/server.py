"""Serves the page and its answers over HTTP, on a loopback port or a Unix socket, to clients that
know the address.

All paths start with a secret part. All addresses in the page are relative, so a tunnel or a proxy
with a prefix needs no setup. ``dashboard/routes.py`` answers the requests. The server sends changes
of a study as server-sent events. Each message has an id, so that a viewer can continue after its
last message.

Rule 1: GET and HEAD change nothing. POST sends a command, and is accepted only if the user allowed
commands.
Rule 2: the headers of every answer forbid a browser to store the answer, to show the page in a
frame of another site, and to run code of another site.
"""

# Theory of operation
# -------------------
# A request passes these steps, and the first that fails answers it:
#
#   step                          refusal   where
#   ----------------------------  --------  ----------------------------------------------
#   a whole request in 30 s       (closed)  timeout, await_request
#   GET, HEAD, or POST if allowed 405       do_GET, do_POST, send_error
#   a known host name             403       Admission.check_host
#   the secret part of the path   404       Admission.path_below
#   sent by the page, or typed    403       Admission.check_origin, check_command
#   an address that exists        404       PageServer.files, then Routes
#   valid parameters              400       Routes
#   an answer                     200       Routes. If there is none yet, as without a result, it
#                                           is {"error": ...}: the page shows the sentence
#
# The order matters. The host is checked before the secret, so that a page of another site, which
# can make a browser come here under a name of its own (DNS rebinding), cannot even test secrets.
#
# Decision 38 (docs/decisions/0038-the-live-page.md) says why http.server is used instead of a
# framework, and server-sent events instead of web sockets. A thread for each connection is enough,
# as a page has one stream and a few requests, and MOST_STREAMS and MOST_WAITING bound the threads
# that wait.
#
# What happens when
#
#   a browser goes away             the next write raises OSError: _guard() closes, and the stream's
#                                   place is free. A comment every SILENCE_SECONDS finds browsers
#                                   that have vanished
#   a connection is lost            the page connects again by itself, with its last id
#   a client sends nothing          its connection is closed after 30 s, or at once if it is the
#                                   oldest of more than MOST_WAITING
#   a client sends half a command   the same: a command's body waits in the same list
#   a command has no length,        refused before it is read: a body is held in memory
#   or a large one
#   a handler has a bug             500 with one line; other threads serve on
#   the page's process ends         studies are closed first, so each stream sends the event "end"
#                                   with the file of the saved page. close() waits for them a second
#                                   at most, as a browser that does not read must not keep the
#                                   process
#
# A Unix socket is made under a umask. With chmod alone, others could connect before it.

import os
import socket
import socketserver
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.core.errors import AshtuneError, SettingsError, instead_of_os_error
from ashtune._src.core.plaintext import error_line, one_line
from ashtune._src.dashboard.admission import Admission
from ashtune._src.dashboard.followed_study import FollowedStudy, Message
from ashtune._src.dashboard.page_messages import BadQuestion, Refused, is_whole
from ashtune._src.dashboard.routes import (
    PAGE,
    TYPES,
    PageFile,
    Routes,
    Stream,
    page_files,
    parameters_of,
)
from ashtune._src.study.commands import MOST_BYTES

LOOPBACK = "127.0.0.1"
OWNER_ONLY = 0o600
DELTA_SECONDS = 0.5
"""The seconds between two messages to a viewer."""
SILENCE_SECONDS = 15.0
"""Seconds of silence after which a comment is sent to show that the connection works."""
REQUEST_SECONDS = 30.0
"""Seconds without input after which a connection is closed."""
MOST_STREAMS = 64
MOST_WAITING = 64
"""The largest number of connections without a whole request. A browser has about six."""
FAREWELL_SECONDS = 0.1
"""The length, in seconds, of one wait for open pages to get their last message."""
FAREWELLS = 10
"""The number of these waits. On a busy machine, a long delay uses only one of them."""
LOOK_SECONDS = 0.1
"""Seconds between two checks whether the server must end."""
_JSON = "application/json"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src "
    "'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class _PortServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A server on a port with one thread for each connection. The process can end while these
    threads run.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: Any, site: "PageServer") -> None:
        self.site = site
        self._waiting: dict[Any, None] = {}  # connections without a whole request, the oldest first
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.await_request(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.stop_awaiting(request)
        super().shutdown_request(request)

    def await_request(self, connection: Any) -> None:
        """Record a connection that has not sent its request yet. If there are more than
        MOST_WAITING, close the oldest.

        Otherwise a few hundred connections that send nothing would use all file descriptors of the
        process, and the owner would get no page until these connections are closed.
        """
        with self._lock:
            self._waiting.pop(connection, None)
            self._waiting[connection] = None
            oldest = next(iter(self._waiting))
            if len(self._waiting) <= MOST_WAITING:
                return
            del self._waiting[oldest]
        with suppress(OSError):
            oldest.shutdown(socket.SHUT_RDWR)  # its thread reads the end, and closes it

    def stop_awaiting(self, connection: Any) -> None:
        """Remove a connection that has sent its request, or is closed."""
        with self._lock:
            self._waiting.pop(connection, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing if a viewer disconnects during an answer."""


class _SocketServer(_PortServer):
    address_family = socket.AF_UNIX
    allow_reuse_address = False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_SECONDS
    wbufsize = 1 << 16
    server: _PortServer

    def version_string(self) -> str:
        return "ashtune"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Print no log."""

    def handle_one_request(self) -> None:
        self.server.await_request(self.connection)
        super().handle_one_request()

    def parse_request(self) -> bool:
        """Read the headers of a request, and return whether they are valid."""
        is_valid = super().parse_request()
        self.server.stop_awaiting(self.connection)
        return is_valid

    def do_GET(self) -> None:
        """Answer a request."""
        self._guard(self._answer)

    def _guard(self, answer: Callable[[], None]) -> None:
        """Answer a request. If ``answer`` raises, send the reason."""
        try:
            answer()
        except Refused as error:
            self._refuse(error.status, str(error))
        except AshtuneError as error:  # may change later, for example if there is no result yet
            self._send(HTTPStatus.OK, _JSON, self.server.site.routes.refusal(str(error)))
        except OSError:
            self.close_connection = True  # the viewer has disconnected
        except Exception as error:  # noqa: BLE001 - a study may be made to break whatever shows it; others are served
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, error_line(error))

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        if self.server.site.takes_commands:
            self._guard(self._command)
        else:
            self.send_error(HTTPStatus.NOT_IMPLEMENTED)

    def _command(self) -> None:
        site = self.server.site
        self.close_connection = True  # a request that is too long is not read
        length = self.headers.get("Content-Length", "")
        is_length = is_whole(length, 9) and int(length) <= MOST_BYTES
        if not is_length or "Transfer-Encoding" in self.headers:
            raise BadQuestion(
                f"a command needs a header Content-Length, of at most {MOST_BYTES:,} bytes"
            )
        self.server.await_request(self.connection)
        body = self.rfile.read(int(length))
        self.server.stop_awaiting(self.connection)
        site.admission.check_host(self.headers.get("Host", ""))
        below = site.admission.path_below(self.path)
        site.admission.check_command(self.headers)
        site.routes.command(below or "", body)
        self._send(HTTPStatus.OK, _JSON, b'{"ok":true}')

    def _answer(self) -> None:
        site = self.server.site
        admission = site.admission
        path, _, query = self.path.partition("?")
        admission.check_host(self.headers.get("Host", ""))
        below = admission.path_below(path)
        is_page = below in (None, "", PAGE)
        site_of, mode, destination = (
            self.headers.get(f"Sec-Fetch-{name}", "") for name in ("Site", "Mode", "Dest")
        )
        admission.check_origin(site_of, mode, destination, is_page=is_page)
        if below is None:
            to = f"{admission.token}/"
            if query:
                to += f"?{query}"
            self._send(HTTPStatus.PERMANENT_REDIRECT, TYPES[".txt"], b"", Location=to)
            return
        answer: bytes | Stream | PageFile | None = site.files.get(below or PAGE)
        if answer is None:
            answer = site.routes.answer(below, parameters_of(query))
        if isinstance(answer, Stream):
            self._stream(answer)
        elif isinstance(answer, PageFile):
            self._send(HTTPStatus.OK, answer.type, answer.data)
        else:
            self._send(HTTPStatus.OK, _JSON, answer)

    def _stream(self, stream: Stream) -> None:
        """Send the changes of a study until the viewer disconnects, or
        until the study is closed.
        """
        site = self.server.site
        if not site.streams.acquire(blocking=False):
            self._refuse(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{MOST_STREAMS} pages are open already; close one"
            )
            return
        try:
            self.close_connection = True
            self.send_response(HTTPStatus.OK)
            self._send_headers("text/event-stream; charset=utf-8")
            self.send_header("Connection", "close")
            # so that a proxy forwards each change immediately
            self.send_header("X-Accel-Buffering", "no")
            self.end_headers()
            if self.command == "HEAD":
                return
            self.wfile.write(b"retry: 1000\n\n")
            after = self.headers.get("Last-Event-ID") or stream.after
            self._send_changes(stream.study, stream.study.message(after))
        finally:
            site.streams.release()

    def _send_changes(self, study: FollowedStudy, message: Message) -> None:
        following: Message | None = message
        while True:
            if following is None:
                self.wfile.write(b": there is nothing new\n\n")
            else:
                message = following
                head = f"event: {message.event}\nid: {message.id}\n".encode()
                self.wfile.write(b"%bdata: %b\n\n" % (head, message.data))
            self.wfile.flush()
            if study.is_closing_within(DELTA_SECONDS):
                break
            following = study.next_message(message, SILENCE_SECONDS)
        end = msgspec.json.encode({"file": study.saved_as})
        self.wfile.write(b"event: end\ndata: %b\n\n" % end)
        self.wfile.flush()

    def _refuse(self, status: HTTPStatus, line: str) -> None:
        """Send the reason of a refusal as one line: as JSON if the client accepts JSON, or else as
        plain text.
        """
        if _JSON in self.headers.get("Accept", ""):
            self._send(status, _JSON, self.server.site.routes.refusal(line))
        else:
            self._send(status, TYPES[".txt"], f"{one_line(line)}\n".encode())

    def _send(self, status: HTTPStatus, kind: str, data: bytes, **more: str) -> None:
        self.send_response(status)
        self._send_headers(kind)
        for name, value in {"Content-Length": str(len(data)), **more}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _send_headers(self, kind: str) -> None:
        self.send_header("Content-Type", kind)
        for name, value in _HEADERS.items():
            self.send_header(name, value)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer an invalid request, or an unsupported method, with one
        line and the usual headers.
        """
        self.close_connection = True
        status = HTTPStatus(code)
        line = one_line(message or status.phrase, 100)
        if status is HTTPStatus.NOT_IMPLEMENTED:
            status = HTTPStatus.METHOD_NOT_ALLOWED
            line = "only GET and HEAD are answered"
        with suppress(OSError):
            self._send(status, TYPES[".txt"], f"{line}\n".encode())


class PageServer:
    """The server of the page, which runs from :meth:`start` to :meth:`close`.

    Args:
        port: The port on loopback; 0 for any free port.
        socket_path: The path of a Unix socket. If it is given, the server uses no port.

    Raises:
        SettingsError: If the port or the socket cannot be used.
    """

    def __init__(
        self,
        routes: Routes,
        admission: Admission,
        *,
        takes_commands: bool = False,
        port: int = 0,
        socket_path: Path | None = None,
    ) -> None:
        self.routes = routes
        self.admission = admission
        self.takes_commands = takes_commands
        self.files = page_files()
        self.streams = threading.BoundedSemaphore(MOST_STREAMS)
        self._socket_path = socket_path
        if socket_path is None:
            self._server = _at_port(self, port)
        else:
            self._server = _at_socket(self, socket_path)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            args=(LOOK_SECONDS,),
            name="ashtune-watch-server",
            daemon=True,
        )

    @property
    def port(self) -> int | None:
        """The server's port, or None if the server uses a Unix socket."""
        if self._socket_path is not None:
            return None
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        """The address of the page. If the server uses a Unix socket, the address is only a path."""
        path = f"/{self.admission.token}/"
        return path if self.port is None else f"http://{LOOPBACK}:{self.port}{path}"

    def start(self) -> None:
        """Start to serve the page in separate threads."""
        self._thread.start()

    def close(self) -> None:
        """Send the last message to open pages, and stop the server.

        The caller must close the studies first.
        """
        left = MOST_STREAMS
        times = FAREWELLS
        while left and times:
            if self.streams.acquire(timeout=FAREWELL_SECONDS):
                left -= 1
            else:
                times -= 1
        if self._thread.ident is not None:
            self._server.shutdown()
            self._thread.join()
        # before closing: later, the path may have another server's socket
        if self._socket_path is not None:
            with suppress(OSError):
                self._socket_path.unlink()
        self._server.server_close()


def _at_port(site: PageServer, port: int) -> _PortServer:
    with instead_of_os_error(
        SettingsError, f"--port {port}", "give another port, or leave --port out to use a free one"
    ):
        return _PortServer((LOOPBACK, port), site)


def _at_socket(site: PageServer, path: Path) -> _PortServer:
    """Open a Unix socket. From its creation on, only its owner can use the socket."""
    _remove_stale(path)
    before = os.umask(0o777 & ~OWNER_ONLY)
    try:
        server = _SocketServer(str(path), site)
    except OSError as error:
        raise SettingsError(
            f"--socket {path}: {error.strerror or error}; give another, shorter path"
        ) from None
    finally:
        os.umask(before)
    path.chmod(OWNER_ONLY)
    return server


def _remove_stale(path: Path) -> None:
    """Remove the socket of a killed server.

    Raises:
        SettingsError: If the path has a socket in use or another kind of file, which is not
            removed.
    """
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except OSError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        if is_socket and probe.connect_ex(str(path)):
            with suppress(OSError):  # another user's: then the address is in use
                path.unlink()
        else:
            raise SettingsError(f"--socket {path}: another file is at this path; give another path")
