"""Commands over HTTP: from the page itself, to a driver that takes them, and from nobody else."""

from collections.abc import Iterator

import pytest

from ashtune._src.study.commands import MOST_BYTES
from ashtune._src.study.journal import NAME as JOURNAL
from tests.helpers.live_page import TOKEN, Client, SlowStudy, served

pytestmark = pytest.mark.timeout(180)

PATH = "api/studies/0/control"
PAUSE, CONTINUE = b'{"command": "pause"}', b'{"command": "continue"}'


def journal(study: SlowStudy) -> str:
    return (study.directory / JOURNAL).read_text()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlowStudy]:
    """A study that accepts commands."""
    study = SlowStudy(tmp_path_factory.mktemp("running"))
    study.run("--control")
    yield study
    study.kill()


@pytest.fixture(scope="module")
def page(running: SlowStudy) -> Iterator[Client]:
    """A page of it that may send them."""
    with served(running.directory, control=True) as client:
        with client.watch() as viewer:
            viewer.until(lambda parts: parts["head"]["control"] and parts["head"]["tried"])
        yield client


def test_a_command_sent_by_the_page_reaches_the_driver(running: SlowStudy, page: Client) -> None:
    with page.watch() as viewer:
        answer = page.post(PATH, PAUSE)
        assert (answer.status, answer.json) == (200, {"ok": True})
        head = viewer.until(lambda parts: parts["head"]["paused"])["head"]
        assert (head["state"], head["state_text"]) == (
            "running",
            "paused: no job begins until the study is continued",
        )
        viewer.until(lambda parts: parts["head"]["busy"] == 0)
        assert page.post(PATH, CONTINUE).json == {"ok": True}
        viewer.until(lambda parts: not parts["head"]["paused"] and parts["head"]["busy"])
    assert '"study_paused"' in journal(running)


def test_a_command_refused_by_the_driver_is_answered_in_one_line(page: Client) -> None:
    answer = page.post(PATH, b'{"command": "enqueue", "configuration": {"x": 7, "kind": "a"}}')
    assert answer.status == 200
    assert "x=7" in answer.json["error"]
    assert "\n" not in answer.json["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[1]",
        b'{"command": "reboot"}',
        b'{"command": "stop", "x": 1}',
        b"\xff",
        b'"' * 100,
    ],
)
def test_a_malformed_command_is_refused(page: Client, body: bytes) -> None:
    answer = page.post(PATH, body, Accept="application/json")
    assert answer.status == 400
    assert "send one of pause, continue, stop, extend, workers, enqueue" in answer.json["error"]


REFUSED = [
    ({"X_Ashtune": ""}, "X-Ashtune"),
    ({"X_Ashtune": "0"}, "X-Ashtune"),
    ({"Sec_Fetch_Site": "cross-site"}, "another web page"),
    ({"Sec_Fetch_Site": "same-site"}, "another web page"),
    ({"Sec_Fetch_Site": "none"}, "another web page"),
    ({"Content_Type": "text/plain"}, "application/json"),
    ({"Content_Type": "application/x-www-form-urlencoded"}, "application/json"),
    ({"Content_Type": ""}, "application/json"),
    ({"Origin": "https://evil.example"}, "evil.example"),
    ({"Origin": "null"}, "is not allowed"),
    ({"Origin": ""}, None),
    ({"Origin": "http://localhost:8000"}, None),
    ({"Host": "evil.example"}, "evil.example"),
]


@pytest.mark.parametrize(("headers", "why"), REFUSED)
def test_only_the_page_itself_may_send_commands(
    running: SlowStudy, page: Client, headers: dict[str, str], why: str | None
) -> None:
    before = journal(running).count('"stop_requested"')
    answer = page.post(PATH, b'{"command": "extend", "trials": 0}', **headers)
    if why is None:
        assert "trials=0" in answer.json["error"], "it has come to the driver"
    else:
        assert answer.status == 403
        assert why in answer.text
    assert journal(running).count('"stop_requested"') == before


@pytest.mark.parametrize(
    "path",
    [
        "api/studies/1/control", "api/studies/-1/control", "api/studies/00000000/control",
        "api/studies/0/control/",
        "api/studies/0/control?x=1", "api/studies/0/../0/control", "api/studies/0/trials",
        "api/studies", "",
        "index.html",
        "api/studies/0%2fcontrol", "api/studies/0/control%00", "control", "../control",
    ],
)  # fmt: skip
def test_a_command_sent_to_a_wrong_path_is_answered_with_status_404(
    page: Client, path: str
) -> None:
    answer = page.post(path, PAUSE)
    assert answer.status == 404, answer.text


@pytest.mark.parametrize("token", ["wrong", TOKEN[:-1], ""])
def test_a_command_without_the_token_is_refused(
    running: SlowStudy, page: Client, token: str
) -> None:
    raw = (
        f"POST /{token}/{PATH} HTTP/1.1\r\nHost: localhost\r\nX-Ashtune: 1\r\nContent-Type: "
        f"application/json\r\n"
        f"Content-Length: {len(PAUSE)}\r\n\r\n"
    )
    assert b" 404 " in page.raw(raw.encode() + PAUSE)


@pytest.mark.parametrize(
    "length", ["", "Content-Length: -1", "Content-Length: x", f"Content-Length: {MOST_BYTES + 1}",
               "Content-Length: " + "9" * 5000, "Transfer-Encoding: chunked",
               "Content-Length: \u0661"],
)  # fmt: skip
def test_a_request_body_of_unknown_or_excessive_length_is_refused(
    page: Client, length: str
) -> None:
    raw = f"POST /{TOKEN}/{PATH} HTTP/1.1\r\nHost: localhost\r\nX-Ashtune: 1\r\n{length}\r\n\r\n"
    assert b" 400 " in page.raw(raw.encode())


def test_a_page_without_the_option_control_refuses_commands(running: SlowStudy) -> None:
    with served(running.directory) as client:
        with client.watch() as viewer:
            assert not viewer.until_state("running")["head"]["control"]
        answer = client.post(PATH, PAUSE)
    assert (answer.status, answer.text) == (405, "only GET and HEAD are answered\n")


def test_a_command_to_a_dead_driver_is_refused(slow_study: SlowStudy) -> None:
    slow_study.run("--control")
    with served(slow_study.directory, control=True) as client, client.watch() as viewer:
        viewer.until(lambda parts: parts["head"]["control"])
        slow_study.kill()
        head = viewer.until_state("died")["head"]
        assert (head["control"], head["paused"]) == (False, False)
        assert (
            "no driver on this machine accepts commands" in client.post(PATH, PAUSE).json["error"]
        )
