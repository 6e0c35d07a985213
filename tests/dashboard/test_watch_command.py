"""``ashtune watch`` as a command, and ``watch=True``."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ashtune._src.dashboard import watching
from ashtune._src.study.journal import NAME, studies_in
from tests.helpers.commands import ashtune, refused
from tests.helpers.live_page import Client, served
from tests.helpers.ports import free_port
from tests.helpers.saved_page import answer

pytestmark = pytest.mark.timeout(180)
TUNE = """
    import sys
    import ashtune

    def train(trial):
        for epoch in trial.epochs():
            trial.report(loss=trial["x"] / epoch)

    options = dict(metric="loss", mode="min", trials=6, max_resource=4, workers=2, quiet=True, watch=True)
    study = ashtune.tune(train, {"x": (0.0, 1.0)}, directory="study", **options)
    print("tuned", flush=True)
    sys.stdin.readline()
    study.resume(trials=8, quiet=True, watch=True)
    print("resumed", flush=True)
    sys.stdin.readline()
"""


class Watching:
    """``ashtune watch`` in its own process."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ashtune", "watch", *arguments],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None and self._process.stderr is not None
        self.address = self._process.stdout.readline().strip()
        self._advice = "" if "--until-exit" in arguments else self._process.stderr.readline()

    def end(self, number: int) -> tuple[int, str]:
        """End it by a signal; return its exit status and its stderr."""
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        """Wait for its end."""
        _, errors = self._process.communicate(timeout=60)
        return self._process.returncode, self._advice + errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watch_serves_its_page_until_the_process_receives_a_signal(
    finished_study: Path, tmp_path: Path, number: int
) -> None:
    watching = Watching(tmp_path, str(finished_study))
    with Client(watching.address).watch() as viewer:
        assert viewer.until_state("complete")["head"]["directory"] == str(finished_study)
    status, errors = watching.end(number)
    assert status == 0
    assert "ssh -L" in errors
    assert "Traceback" not in errors


def test_watch_uses_the_given_port_and_host_name(finished_study: Path, tmp_path: Path) -> None:
    port = free_port()
    watching = Watching(
        tmp_path, str(finished_study), "--port", str(port), "--host-name", "hub.example.org"
    )
    assert f":{port}/" in watching.address
    assert Client(watching.address, host="hub.example.org").ask("api/studies")["studies"]
    assert Client(watching.address, host="other.example.org").get("api/studies").status == 403
    watching.end(signal.SIGINT)


def test_watch_serves_its_page_on_a_socket_file_and_deletes_the_file(
    finished_study: Path, tmp_path: Path
) -> None:
    watching = Watching(tmp_path, str(finished_study), "--socket", "page.sock")
    assert watching.address.startswith("/")
    assert stat.S_IMODE((tmp_path / "page.sock").stat().st_mode) == 0o600
    status, errors = watching.end(signal.SIGTERM)
    assert status == 0
    assert str(tmp_path / "page.sock") in errors
    assert not (tmp_path / "page.sock").exists()


def test_watch_ends_when_the_process_named_by_the_option_until_exit_ends(
    finished_study: Path, tmp_path: Path
) -> None:
    owner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    directory = shutil.copytree(finished_study, tmp_path / "study")
    watching = Watching(
        tmp_path, str(directory), str(tmp_path / "none"), "--until-exit", str(owner.pid)
    )
    assert Client(watching.address).ask("api/studies")["studies"]
    owner.communicate()
    assert watching.wait() == (0, "")
    assert answer(directory / "page.html", "events")["parts"]["head"]["state"] == "complete"
    assert not (tmp_path / "none").exists()


def test_watch_lists_the_studies_of_a_folder_and_adds_new_studies(
    finished_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "FIND_SECONDS", 0.0)
    folder = tmp_path / "runs"
    folder.mkdir()
    with served(folder) as client:
        assert not client.ask("api/studies")["is_folder"]
        shutil.copytree(finished_study, folder / "b")
        assert [each["id"] for each in client.ask("api/studies")["studies"]] == [1]
        with client.watch(1) as viewer:
            viewer.until_state("complete")
        shutil.copytree(finished_study, folder / "deeper" / "a")
        listed = client.ask("api/studies")
        assert listed["is_folder"]
        assert [Path(each["directory"]).name for each in listed["studies"]] == ["b", "a"]
        first = listed["studies"][0]
        assert (first["id"], first["state"]) == (1, "complete")
        assert first["result"].startswith("best ")
        assert first["wall_seconds"] > 0
        assert first["began"]
        assert first["goal"]
        assert listed["note"] == ""


def test_only_the_newest_studies_of_a_folder_are_followed(
    finished_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST_FOUND", 2)
    for place, name in enumerate("cabd"):
        os.utime(shutil.copytree(finished_study, tmp_path / "runs" / name) / NAME, (place, place))
    with served(tmp_path / "runs") as client:
        listed = client.ask("api/studies")
    assert [Path(each["directory"]).name for each in listed["studies"]] == ["b", "d"]
    assert listed["note"] == (
        "Studies that this page does not show: 2. To see one, run ashtune watch with its directory."
    )
    with served(*(tmp_path / "runs" / name for name in "abc")) as client:  # each of these was given
        assert len(client.ask("api/studies")["studies"]) == 3


def test_watch_follows_a_study_once_if_the_study_is_given_twice(
    finished_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished_study, tmp_path / "runs" / "a")
    monkeypatch.chdir(tmp_path)
    with served(tmp_path / "runs", Path("runs/a"), Path("runs")) as client:
        assert len(client.ask("api/studies")["studies"]) == 1


def test_a_folder_is_searched_only_once_for_several_requests(
    finished_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[Path] = []
    monkeypatch.setattr(
        watching, "studies_in", lambda folder: searched.append(folder) or studies_in(folder)
    )
    with served(shutil.copytree(finished_study, tmp_path / "a")) as client:
        for _ in range(3):
            client.ask("api/studies")
    assert len(searched) == 1


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        (["--port", "70000"], ["--port=70000"]),
        (["--port", "-1"], ["--port"]),
        (["--socket", "a", "--port", "5"], ["--socket a", "--port", "leave --socket out"]),
        (["--socket", "a", "--open"], ["--open"]),
        (["--host-name", "a b"], ["--host-name"]),
        (["--nothing"], ["--nothing"]),
        (["--socket", "x" * 300], ["--socket"]),
    ],
)
def test_watch_refuses_wrong_arguments(
    finished_study: Path, tmp_path: Path, arguments: list[str], texts: list[str]
) -> None:
    refused(ashtune(tmp_path, "watch", str(finished_study), *arguments), *texts)


def test_watch_without_a_directory_is_refused(tmp_path: Path) -> None:
    refused(ashtune(tmp_path, "watch"), "DIR")
    refused(ashtune(tmp_path, "watch", ""), "directory=''")


def test_tune_with_the_option_watch_serves_its_page_until_the_process_ends(tmp_path: Path) -> None:
    script = tmp_path / "tune.py"
    script.write_text(textwrap.dedent(TUNE))
    process = subprocess.Popen(
        [sys.executable, script.name], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    errors = process.stderr.readline()
    assert errors.startswith("live page: http://127.0.0.1:")
    address = errors.split()[2]
    assert process.stdout.readline() == "tuned\n"
    client = Client(address)
    with client.watch() as viewer:
        assert viewer.until_state("complete")["head"]["tried"] == 6
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "resumed\n"
        assert viewer.until(lambda parts: parts["head"]["tried"] == 8)["head"]["sessions"] == 2
        assert process.stderr.readline().split()[2] == address, "the study has its page already"
        process.communicate("\n", timeout=60)
        with pytest.raises((EOFError, ConnectionError)):
            while True:
                viewer.next()
        assert viewer.was_told_the_end
    assert answer(tmp_path / "study" / "page.html", "events")["parts"]["head"]["tried"] == 8


def test_tune_with_watch_set_to_keep_serves_its_page_until_ctrl_c(tmp_path: Path) -> None:
    script = tmp_path / "tune.py"
    script.write_text(
        textwrap.dedent(TUNE.partition("    print(")[0]).replace("watch=True", "watch='keep'")
    )
    process = subprocess.Popen(
        [sys.executable, script.name],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    address = process.stderr.readline().split()[2]
    assert process.stderr.readline() == f"the live page stays until Ctrl-C: {address}\n"
    with Client(address).watch() as viewer:
        assert viewer.until_state("complete")["head"]["tried"] == 6
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
