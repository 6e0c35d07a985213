"""Who is kept out of the page, and what a study made to break it cannot do."""

import contextlib
import http.client
import os
import re
import select
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.events import (
    JobFailed,
    SessionStarted,
    TrialStarted,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.dashboard.admission import Admission
from ashtune._src.dashboard.server import MOST_WAITING
from ashtune._src.dashboard.watching import LivePage
from ashtune._src.space.space import Space
from ashtune._src.study.journal import NAME
from ashtune._src.study.journal_writer import Journal, create
from ashtune.testing.section_suite import HOSTILE
from tests.helpers.live_page import TOKEN, Client, served
from tests.helpers.made_up import result, settings_of

pytestmark = pytest.mark.timeout(180)


ASKED = (
    "",
    "index.html",
    "api/studies",
    "api/studies/0/trials",
    "api/studies/0/importance",
    "api/studies/0/events",
)


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize(
    "token",
    ["", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), quote(TOKEN[:3]) + "%2d" + TOKEN[4:]],
)
def test_an_address_without_the_secret_token_is_not_found(
    client: Client, path: str, token: str
) -> None:
    answer = client.get(whole_path=f"/{token}/{path}")
    assert answer.status == 404
    assert answer.text.count("\n") == 1
    assert TOKEN not in answer.text


@pytest.mark.parametrize(
    "path",
    ["/", "//", "/favicon.ico", "/api/studies", f"/x/{TOKEN}/", f"//{TOKEN}/../", "*", "http://a/"],
)
def test_paths_outside_the_page_are_not_found(client: Client, path: str) -> None:
    answer = client.get(whole_path=path)
    assert answer.status == 404
    assert TOKEN not in answer.text


def half_open(
    client: Client, connections: contextlib.ExitStack, beginning: bytes = b"GET /"
) -> socket.socket:
    """Open a connection that sends the beginning of a request."""
    connection = connections.enter_context(socket.create_connection(client._place, timeout=60))
    connection.sendall(beginning)
    return connection


def test_the_oldest_connections_that_sent_no_request_are_closed(client: Client) -> None:
    """Otherwise, connections that send nothing would use all descriptors, and keep the owner out of
    the page.
    """
    with contextlib.ExitStack() as connections:
        opened = [half_open(client, connections) for _ in range(MOST_WAITING + 40)]
        assert [connection.recv(1) for connection in opened[:40]] == [b""] * 40
        opened[-1].settimeout(0.2)
        with pytest.raises(TimeoutError):
            opened[-1].recv(1)  # it may still send its request
        assert client.get().status == 200


def test_the_oldest_connections_that_sent_no_request_body_are_closed(finished_study: Path) -> None:
    beginning = b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"
    with served(finished_study, control=True) as client, contextlib.ExitStack() as connections:
        opened = [half_open(client, connections, beginning) for _ in range(MOST_WAITING + 40)]
        until = time.monotonic() + 20
        closed = []
        while len(closed) < 40:
            assert time.monotonic() < until, f"only {len(closed)} are closed"
            closed = select.select(opened, [], [], 0.1)[0]
        assert len(closed) < len(opened)
        assert client.get().status == 200


def test_every_page_server_creates_a_new_long_token() -> None:
    tokens = {Admission().token for _ in range(20)}
    assert len(tokens) == 20
    assert min(map(len, tokens)) >= 32


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:80",
        "10.0.0.7",
        "",
        "[::2]",
        "0.0.0.0",
    ],
)
def test_an_unknown_host_name_is_refused(client: Client, host: str, path: str) -> None:
    answer = client.get(path, Host=host)
    assert answer.status == 403
    assert "--host-name" in answer.text
    assert b"studies" not in answer.body


@pytest.mark.parametrize("name", ["", "a b", "a/b", "<b>", "a\nb", "x" * 300])
def test_a_malformed_host_name_is_refused(name: str) -> None:
    with pytest.raises(SettingsError):
        Admission([name])


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize(
    ("mode", "destination"),
    [("no-cors", "image"), ("cors", "empty"), ("no-cors", "script"), ("navigate", "iframe")],
)
def test_requests_from_pages_of_other_sites_are_refused(
    client: Client, site: str, path: str, mode: str, destination: str
) -> None:
    answer = client.get(path, Sec_Fetch_Site=site, Sec_Fetch_Mode=mode, Sec_Fetch_Dest=destination)
    assert answer.status == 403
    assert b"studies" not in answer.body


@pytest.mark.parametrize("path", ["api/studies", "api/studies/0/trials"])
def test_a_link_on_another_site_opens_the_page_but_reads_no_data(client: Client, path: str) -> None:
    followed = {
        "Sec_Fetch_Site": "cross-site",
        "Sec_Fetch_Mode": "navigate",
        "Sec_Fetch_Dest": "document",
    }
    # 404 where the page's files are not there
    assert client.get("", **followed).status in (200, 404)
    assert client.get(path, **followed).status == 403


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_requests_from_the_page_and_from_a_typed_address_are_answered(
    client: Client, site: str
) -> None:
    assert client.get("api/studies", Sec_Fetch_Site=site, Sec_Fetch_Mode="cors").status == 200


TRICKS = [
    "../server.py",
    "..%2fserver.py",
    "%2e%2e/server.py",
    "%2e%2e%2fserver.py",
    "..\\server.py",
    "./server.py",
    "/etc/passwd",
    "static/index.html",
    "index.html%00.js",
    "index.html/",
    "api/../server.py",
    "api/studies/0/../0/trials",
    "api/studies/00000000/trials",
    "api/studies/-1/trials",
    "api/studies/1/trials",
    "api/studies/0/trials/-1",
    "api/studies/0/trials/99999999999",
    "api/studies/0/log",
    "api/studies/0/importance/3",
    "api/studies/0",
    "api",
    "routes.py",
    "__init__.py",
    "static",
    "vendor",
    "%",
    "%zz",
    "a" * 5000,
]


@pytest.mark.parametrize("path", TRICKS)
def test_no_request_path_opens_a_file_on_disk(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status == 404, answer.text
    assert b"import " not in answer.body
    assert b"root:" not in answer.body


@pytest.mark.parametrize(
    "line",
    [
        b"GET /%b/../server.py HTTP/1.1",
        b"GET /%b/\0 HTTP/1.1",
        b"GET /%b/index.html\0.js HTTP/1.1",
        b"GET http://127.0.0.1/%b/ HTTP/1.1",
        b"GET /%b/\xff\xfe HTTP/1.1",
    ],
)
def test_malformed_request_lines_are_answered_without_a_traceback(
    client: Client, line: bytes
) -> None:
    answer = client.raw(
        line.replace(b"%b", TOKEN.encode()) + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    assert re.match(rb"HTTP/1\.[01] 40[04] ", answer)
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n",
        b"x\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 500 + b"\r\n",
    ],
)
def test_a_malformed_request_does_not_stop_the_server(client: Client, sent: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        assert b"Traceback" not in client.raw(sent)
    assert client.get("api/studies").status == 200


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "BREW"]
)
def test_the_server_answers_only_get_and_head_requests(client: Client, method: str) -> None:
    answer = client.get("api/studies", method=method)
    assert answer.status == 405
    assert answer.text == "only GET and HEAD are answered\n"


@pytest.mark.parametrize("path", ["", *ASKED[2:5], "nothing", "api/studies?x=%ff"])
def test_every_answer_has_strict_security_headers(client: Client, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; ")
    assert "frame-ancestors 'self'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "Python" not in headers.get("Server", "")
    assert "Access-Control-Allow-Origin" not in headers


def test_the_server_listens_only_on_the_loopback_address(finished_study: Path) -> None:
    with LivePage([finished_study]) as page:
        assert page.port is not None
        bound = page._server._server.socket.getsockname()
        assert bound == ("127.0.0.1", page.port)
        others = {
            entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
        } - {"127.0.0.1"}
        for address in [other for other in others if not other.startswith("127.")]:
            with pytest.raises(OSError), socket.create_connection((address, page.port), timeout=2):
                pass


@contextlib.contextmanager
def over(path: Path) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(60)
    connection.sock.connect(str(path))
    with contextlib.closing(connection):
        yield connection


def test_the_socket_file_is_private_and_deleted_with_the_server(
    finished_study: Path, tmp_path: Path
) -> None:
    place = tmp_path / "page.sock"
    with LivePage([finished_study], socket_path=place, token=TOKEN) as page:
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        assert (page.port, page.address) == (None, f"/{TOKEN}/")
        for path, status in ((f"/{TOKEN}/api/studies", 200), ("/wrong/api/studies", 404)):
            with over(place) as connection:
                connection.request("GET", path)
                assert connection.getresponse().status == status
        with pytest.raises(SettingsError):
            LivePage([finished_study], socket_path=place)
    assert not place.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_another_user_cannot_open_the_page_without_the_token(
    finished_study: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import subprocess

    # the path of a socket must be short
    folder = Path(tempfile.mkdtemp(prefix="ashtune-test-", dir="/tmp"))
    folder.chmod(0o755)
    place = folder / "page.sock"
    ask = (
        "import os, socket, sys\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "path, port = sys.argv[1], int(sys.argv[2])\n"
        "try:\n"
        "    socket.socket(socket.AF_UNIX).connect(path)\n"
        "    print('open')\n"
        "except PermissionError:\n"
        "    print('refused')\n"
        "with socket.socket() as there:\n"
        "    there.connect(('127.0.0.1', port))\n"
        "    there.sendall(b'GET /guess/api/studies HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n')\n"
        "    print(there.makefile('rb').readline().split()[1].decode())\n"
    )
    try:
        with LivePage([finished_study], socket_path=place), LivePage([finished_study]) as page:
            command = [sys.executable, "-c", ask, str(place), str(page.port)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.stdout.split() == ["refused", "404"], done.stderr
    finally:
        folder.rmdir()


def test_only_the_socket_file_of_a_dead_server_is_replaced(
    finished_study: Path, tmp_path: Path
) -> None:
    left, file = tmp_path / "left.sock", tmp_path / "file"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(left))
    file.write_text("precious")
    with LivePage([finished_study], socket_path=left):
        assert stat.S_IMODE(left.stat().st_mode) == 0o600
    with pytest.raises(SettingsError):
        LivePage([finished_study], socket_path=file)
    assert file.read_text() == "precious"
    with pytest.raises(SettingsError):
        LivePage([finished_study], socket_path=tmp_path / ("x" * 200))


def test_a_port_that_is_taken_is_refused_in_one_line(finished_study: Path) -> None:
    with (
        LivePage([finished_study]) as page,
        pytest.raises(SettingsError, match=f"--port {page.port}: "),
    ):
        LivePage([finished_study], port=page.port or 0)


@pytest.fixture(scope="module")
def hostile_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("hostile")
    space = dict(Space.parse({"x": ["plain", HOSTILE], "y": (0.0, 1.0)}).to_record())
    changes = {"ashtune": HOSTILE, "name": HOSTILE, "goal": Goal(HOSTILE, "max"), "space": space}
    create(directory / NAME, settings_of(Ladder(1, 4, 2), **changes))
    with Journal(directory / NAME) as journal:
        journal.add(SessionStarted(0, 0, HOSTILE, HOSTILE, 1, trials=30))
        journal.add(WorkerJoined(0, WorkerId(0), host=HOSTILE))
        for number in range(30):
            trial = TrialId(number)
            journal.add(
                TrialStarted(
                    0, trial, {"x": ["plain", HOSTILE][number % 2], "y": number / 30}, HOSTILE
                )
            )
            common: dict[str, Any] = {"time": 1.0 + number, "worker": WorkerId(0), "seconds": 1e18}
            if number % 5 == 4:
                journal.add(
                    JobFailed(**common, trial=trial, rung=0, reason=HOSTILE, traceback=HOSTILE)
                )
            else:
                metrics = {HOSTILE: [1e308, -1e308, None, 0.5][number % 4], f"{HOSTILE}2": 0.5}
                journal.add(result(trial, 0, 1, metrics, curve=[(1, metrics)], **common))
        journal.add(WorkerLost(time=99.0, worker=WorkerId(0), reason=HOSTILE, last_words=HOSTILE))
    logs = directory / "logs"
    logs.mkdir()
    (logs / "worker-0.log").symlink_to("/etc/passwd")
    (logs / "worker-1.log").write_text("")
    return directory


UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def texts(value: object) -> Iterator[str]:
    """Yield the texts of an answer that are for a person, not names and choices that are given back
    as they are.
    """
    if isinstance(value, dict):
        for name, each in value.items():
            if name not in (
                "space",
                "configuration",
                "columns",
                "objectives",
                "metrics",
                "values",
                "metric",
                "choices",
            ):
                yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, str):
        yield value


def test_invisible_characters_in_the_texts_of_a_study_are_never_sent(hostile_study: Path) -> None:
    with served(hostile_study) as client, client.watch() as viewer:
        parts = viewer.until(
            lambda parts: parts["head"]["started"] == 30 and parts["head"]["state"] != "reading"
        )
        assert None not in parts.values()
        answers = [
            client.get(f"api/studies/0/{path}").json
            for path in ("trials?count=30", "trials/4", "trials/3", "audit")
        ]
    assert "pwned" in parts["head"]["name"]
    for text in texts([dict(parts), *answers]):
        assert not UNSEEN.search(text.replace("\n", "")), text


def test_answers_are_never_sent_as_html(hostile_study: Path) -> None:
    with served(hostile_study) as client:
        for path in (
            "api/studies",
            "api/studies/0/trials",
            "api/studies/0/trials/0",
            "api/compare",
        ):
            assert client.get(path).headers["Content-Type"] == "application/json"
        bad = client.get("api/studies/0/trials?sort=" + quote("<script>alert(1)</script>"))
        assert bad.status == 400
        assert bad.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert bad.headers["X-Content-Type-Options"] == "nosniff"


def test_a_log_or_checkpoint_that_is_a_link_is_not_read(
    hostile_study: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"\n--- above: printed by trial 0, trained from 0 on ---\n")
    with served(hostile_study) as client:
        page = client.ask("api/studies/0/trials/0")
    assert page["log"] == ""
    assert "root:" not in msgspec.json.encode(page).decode()
