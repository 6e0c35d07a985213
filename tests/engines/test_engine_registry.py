"""What is refused as an engine, and what is one."""

from typing import Any

import pytest

from ashtune._src.core.errors import SettingsError
from ashtune._src.engines.engine_registry import choose_engine
from ashtune._src.engines.local.local_workers import LocalEngine
from ashtune._src.engines.threads import ThreadEngine


@pytest.mark.parametrize("engine", [LocalEngine, ThreadEngine])
def test_a_class_in_place_of_an_engine_is_refused_in_one_line(engine: Any) -> None:
    with pytest.raises(SettingsError) as refusal:
        choose_engine(engine)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("engine", [None, 3, object(), "quantum", "simulated"])
def test_an_unknown_engine_is_refused(engine: Any) -> None:
    with pytest.raises(SettingsError):
        choose_engine(engine)


def test_an_engine_object_is_used_unchanged() -> None:
    engine = ThreadEngine()
    assert choose_engine(engine) is engine
