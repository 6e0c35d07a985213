"""Live pages for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.live_page import Client, SlowStudy, served


@pytest.fixture(scope="session")
def client(finished_study: Path) -> Iterator[Client]:
    """Asks a page of a small study that has ended."""
    with served(finished_study) as client:
        with client.watch() as viewer:
            viewer.until_state("complete")
        yield client


@pytest.fixture
def slow_study(tmp_path: Path) -> Iterator[SlowStudy]:
    """A study that can be run, killed and resumed."""
    study = SlowStudy(tmp_path)
    yield study
    study.kill()
