"""What a decision costs the driver is measured, whatever launched this process."""

import pytest

from ashtune.core.errors import SettingsError
from ashtune.driver.environment import measured_decision_seconds


def test_a_decision_costs_microseconds_in_a_rank_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setenv("PMI_SIZE", "4")
    assert 1e-7 < measured_decision_seconds() < 1e-2


def test_what_cannot_be_measured_is_to_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ashtune.driver.environment.DECISIONS", "ashtune.no_such_module")
    with pytest.raises(SettingsError, match="give --decision"):
        measured_decision_seconds()
