"""For all tests: Hypothesis judges facts, not the speed of a shared machine; Ctrl-C is heard; small
studies are shared.

A shell has what it runs in the background ignore Ctrl-C, and all that it starts inherits that.
"""

import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("ashtune", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# of make test-fast
settings.register_profile("fast", settings.get_profile("ashtune"), max_examples=10)
settings.load_profile("ashtune")
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test's name that holds an address: it differs between processes of pytest-xdist, and
    no test runs.
    """
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(
                f"{item.nodeid} holds an address of this process; give its parametrize ids="
            )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a ``train.py``."""
    from tests.helpers.commands import with_train_file

    return with_train_file(tmp_path)


@pytest.fixture(scope="session")
def _home_after_a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.helpers.commands import RUN, ashtune, with_train_file

    folder = with_train_file(tmp_path_factory.mktemp("run"))
    done = ashtune(folder, "run", "train.py:train", *RUN, "--directory", "s", "--quiet")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def home_after_a_run(_home_after_a_run: Path, tmp_path: Path) -> Path:
    """A folder with a ``train.py`` and the study ``s`` that ``ashtune run`` made of it, to be
    changed at will.
    """
    return Path(shutil.copytree(_home_after_a_run, tmp_path, dirs_exist_ok=True))


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a small study (``studies.tuned``) that has ended. It is shared: read it
    only.
    """
    from tests.helpers.studies import tuned

    return tuned(tmp_path_factory.mktemp("finished")).directory


@pytest.fixture
def study_copy(finished_study: Path, tmp_path: Path) -> Path:
    """The directory of a small study that has ended: ``study`` in ``tmp_path``, a copy, to be
    changed at will.
    """
    return Path(shutil.copytree(finished_study, tmp_path / "study"))
