"""Which search a study has where the user names none, and what it costs one that is too small for a
model.
"""

from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.api import creating
from ashtune._src.core.events import TrialStarted
from ashtune._src.driver.proposer_process import ProposerProcess
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS
from ashtune._src.study.journal import NAME, read_events, read_settings


def train(trial: Any) -> None:
    trial.report(loss=trial["x"])


def lanes(trial: Any) -> None:
    """Stands for a function that is trained as lanes of programs."""


lanes.grouped_by = ("kind",)  # type: ignore[attr-defined]  # as fused functions have


def chosen(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: Any = train,
    space: Any = None,
    **given: Any,
) -> str:
    """Return the kind of the search that the journal of a new study names, which is not run."""
    monkeypatch.setattr(creating.Session, "run", lambda self: None)
    space = {"x": (0.0, 1.0), "kind": ["a", "b"]} if space is None else space
    options: dict[str, Any] = {"trials": 64, "max_resource": 9, "quiet": True} | given
    ashtune.tune(function, space, metric="loss", mode="min", directory=directory, **options)
    return str(read_settings(directory / NAME).search["kind"])


@pytest.mark.parametrize("scheduler", SCHEDULERS.names)
def test_the_default_search_is_gp_except_with_successive_halving(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = chosen(tmp_path / "s", monkeypatch, scheduler=scheduler)
    assert kind == ("random" if scheduler == "sh" else "gp")


def test_a_search_given_by_name_is_used_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen(tmp_path / "sh", monkeypatch, scheduler="sh", search="gp") == "gp"
    assert chosen(tmp_path / "lanes", monkeypatch, lanes, search="mutation") == "mutation"


@pytest.mark.slow
def test_a_study_with_random_search_starts_no_proposer_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoProcessError(Exception):
        pass

    opened = []

    def no_process(*_: Any) -> Any:
        opened.append(True)
        raise NoProcessError

    monkeypatch.setattr(ProposerProcess, "__init__", no_process)
    study = ashtune.tune(
        train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=10, max_resource=1, workers=1,
        quiet=True,
        directory=tmp_path,
    )  # fmt: skip
    assert not opened
    origins = [
        event.origin for event in read_events(tmp_path / NAME) if isinstance(event, TrialStarted)
    ]
    assert origins == ["random"] * 10
    study.resume(trials=12, workers=1, quiet=True)
    assert opened
