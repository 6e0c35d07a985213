"""The environment is copied whatever other threads do to it meanwhile."""

import os
from collections import UserDict
from collections.abc import Iterator

import pytest

from ashtune._src.core.process import environment_now
from ashtune._src.processes.child import without_launcher


class Changing(UserDict[str, str]):
    """An environment from which another thread removes a variable when its
    names have been listed.
    """

    def __iter__(self) -> Iterator[str]:
        names = list(self.data)
        self.data.pop("REMOVED", None)
        yield from names


def test_the_environment_can_be_copied_while_another_thread_removes_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = Changing({"PATH": "/bin", "REMOVED": "1", "PMI_RANK": "3"})
    with monkeypatch.context() as patched:
        patched.setattr(os, "environ", environment)
        assert environment_now() == {"PATH": "/bin", "PMI_RANK": "3"}
        environment["REMOVED"] = "1"
        assert without_launcher() == {"PATH": "/bin"}
