"""A number of workers for which the machine turns out to have no room is refused, and may be asked
for again.
"""

from types import SimpleNamespace
from typing import Any

import pytest

from ashtune._src.core.errors import AshtuneError, SettingsError, StudyError
from ashtune._src.core.events import WorkersChanged
from ashtune._src.driver.control import Control
from ashtune._src.study.commands import ChangeWorkers

WANTED = 4


class FullMachine:
    """Workers of a machine that has no room for more, until it has."""

    def __init__(self, refusal: AshtuneError) -> None:
        self.refusal: AshtuneError | None = refusal
        self.sizes: list[int] = []

    def check_size(self, workers: int) -> None:
        pass

    def resize(self, workers: int) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.sizes.append(workers)


class Asked:
    """An inbox in which the same command lies whenever it is looked at."""

    def __init__(self) -> None:
        self.answers: list[str] = []

    def take(self) -> list[tuple[str, ChangeWorkers]]:
        return [("a", ChangeWorkers(WANTED))]

    def answer(self, name: str, error: str = "") -> None:
        self.answers.append(error)


@pytest.mark.parametrize(
    "refusal", [StudyError("no process can be started"), SettingsError("no core is left")]
)
def test_a_refused_number_of_workers_can_be_requested_again(
    refusal: AshtuneError, capsys: pytest.CaptureFixture[str]
) -> None:
    inbox: Any = Asked()
    workers: Any = FullMachine(refusal)
    study: Any = SimpleNamespace(controller=SimpleNamespace(stopping=""))
    nothing: Any = None
    control = Control(inbox, study=study, tally=nothing, workers=workers, count=2)

    def hear() -> list[object]:
        pending = list(control.take(1.0))
        for name, event in pending:
            control.accept(name, event)
        return [event for _, event in pending]

    assert hear() == [WorkersChanged(1.0, WANTED)]
    assert inbox.answers == [str(refusal)]
    assert f"a command was refused: {refusal}\n" in capsys.readouterr().err
    workers.refusal = None
    assert hear() == [WorkersChanged(1.0, WANTED)]
    assert workers.sizes == [WANTED]
    assert hear() == []  # it has been fulfilled
    assert inbox.answers == [str(refusal), "", ""]
