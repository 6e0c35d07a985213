"""A section of another package passes the suite, and is in the report of a study while the package
is installed.
"""

import io
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ashtune._src.api.study import Study
from ashtune._src.core.numbers import plural
from ashtune.testing.section_suite import check_section
from tests.helpers.saved_page import sections
from tests.plugin.installed import install


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(install(tmp_path / "installed")))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "ashtune_plugin"]:
        del sys.modules[name]


def text_of(study: Study) -> str:
    study.report(stream := io.StringIO())
    return stream.getvalue()


def test_the_report_section_of_the_plugin_passes_the_section_suite(package: None) -> None:
    from ashtune_plugin.sections import Hosts

    check_section(Hosts)


def test_a_report_shows_the_section_only_while_the_plugin_is_installed(
    finished_study: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    study = Study.load(finished_study)
    before, plain = study.report_data(), text_of(study)
    assert "hosts" not in before["sections"]
    request.getfixturevalue("package")
    data, text = study.report_data(), text_of(study)
    hosts = data["sections"].pop("hosts")
    assert list(hosts) == [socket.gethostname()]
    assert data == before
    line = f"{plural(hosts[socket.gethostname()], 'worker')} on 1 host\n\n"
    assert text.replace(line, "") == plain != text
    study.report_html(tmp_path / "page.html")
    assert "Where the workers were" in sections(tmp_path / "page.html")
