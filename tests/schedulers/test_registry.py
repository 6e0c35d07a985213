"""Schedulers as values: text, records, and what is imported for them and what is not."""

import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

import ashtune
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.parts import Names, Registry
from ashtune._src.schedulers.scheduler_protocol import Rule, Scheduler
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS, view_of
from ashtune._src.study.factory import built_study
from ashtune._src.study.journal import NAME, read_settings

MODULE = """
from ashtune._src.schedulers.scheduler_protocol import Scheduler
from ashtune._src.schedulers.ash import AshMachine

class Eager(Scheduler, frozen=True):
    share: float = 0.5
    names: tuple[str, ...] = ()

    def build(self, ladder, trials, seed=0):
        return AshMachine(ladder, trials)

class Numbered(Eager, frozen=True):
    def build(self, ladder, trials, seed=0):
        return AshMachine(ladder, int(trials))

class Other:
    class Inner(Eager, frozen=True):
        pass
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module of a user, not imported yet."""
    (tmp_path / "made_by_a_user.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "made_by_a_user"
    sys.modules.pop("made_by_a_user", None)


FAILING = """
from ashtune._src.schedulers.scheduler_protocol import Scheduler

class Failing(Scheduler, frozen=True):
    def build(self, ladder, trials, seed=0):
        raise ValueError("two\\nlines")
"""


def test_the_reason_why_a_scheduler_cannot_be_built_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "that_fails.py").write_text(FAILING)
    monkeypatch.syspath_prepend(str(tmp_path))
    record = {"kind": "that_fails:Failing"}
    SCHEDULERS.read(record)  # imports it
    view = view_of(record, Ladder(1, 4, 2), Ladder(1, 4, 2), 0)
    assert "ValueError: two" in view.missing
    assert view.missing.isprintable()
    sys.modules.pop("that_fails")


def test_an_unknown_name_of_an_engine_is_refused() -> None:
    with pytest.raises(SettingsError):
        Names("engine", {"threads": Scheduler}, "no.such_group").make("treads")


@pytest.mark.parametrize("record", [{}, {"kind": 5}, {"kind": ""}, {"kind": "x" * 10_000}])
def test_a_scheduler_record_without_a_name_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        SCHEDULERS.check(record)


def test_a_module_found_by_an_import_hook_counts_as_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Hook(MetaPathFinder):
        def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
            return ModuleSpec(name, None) if name == "hooked" else None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Hook()])
    assert SCHEDULERS.missing_of({"kind": "hooked:Mine"}) == ""
    assert "not installed" in SCHEDULERS.missing_of({"kind": "not_hooked:Mine"})


NAMES = ["ash", "stopping", "sh", "full"]


@pytest.mark.parametrize("name", NAMES)
def test_a_scheduler_given_by_name_is_read_back_with_its_defaults(name: str) -> None:
    scheduler = SCHEDULERS.part(name)
    record = SCHEDULERS.record(scheduler)
    assert record == {"kind": name}
    assert SCHEDULERS.read(record) == SCHEDULERS.part_or_reason(record) == scheduler
    assert SCHEDULERS.part(SCHEDULERS.text(scheduler)) == scheduler


@pytest.mark.parametrize(
    "given", ["magic", "", "a:b", "ash:eta=3", "json:tool", "ash:=", 5, None, Ladder]
)
def test_an_invalid_scheduler_is_refused_in_one_line(given: Any) -> None:
    with pytest.raises(SettingsError) as error:
        SCHEDULERS.part(given)
    assert str(error.value).isprintable()


def test_a_scheduler_from_a_module_of_the_user_is_read_back(module: str) -> None:
    by_text = SCHEDULERS.part(f"{module}:Eager:share=0.25")
    made = sys.modules[module].Eager
    assert by_text == made(share=0.25)
    named = made(share=0.25, names=("a",))
    assert SCHEDULERS.read(SCHEDULERS.record(named)) == named
    assert SCHEDULERS.record(by_text) == {"kind": f"{module}:Eager", "share": 0.25}
    assert SCHEDULERS.text(by_text) == f"{module}:Eager:share=0.25"
    inner = sys.modules[module].Other.Inner()
    assert SCHEDULERS.read(SCHEDULERS.record(inner)) == inner
    with pytest.raises(SettingsError):
        SCHEDULERS.part(f"{module}:Other")
    with pytest.raises(SettingsError):
        SCHEDULERS.record(made(share="much"))
    with pytest.raises(SettingsError):
        SCHEDULERS.part(f"{module}:Eager:speed=1")


def test_the_error_for_a_missing_module_says_what_to_do() -> None:
    with pytest.raises(SettingsError):
        SCHEDULERS.part("nowhere:Eager:share=0.25")
    with pytest.raises(SettingsError):
        SCHEDULERS.part("eager")
    assert SCHEDULERS.missing_of({"kind": "nowhere:Eager"}).endswith(
        "; add the folder of its module to PYTHONPATH"
    )


def test_reading_a_scheduler_record_does_not_load_a_lazy_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    lazy = ModuleType("lazy")
    lazy.__getattr__ = asked.append  # type: ignore[method-assign, assignment]
    monkeypatch.setitem(sys.modules, "lazy", lazy)
    assert "reading a study does not import" in str(
        SCHEDULERS.part_or_reason({"kind": "lazy:Eager"})
    )
    assert asked == []


def test_reading_a_scheduler_record_imports_no_module(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = EntryPoint("other", f"{module}:Eager", "group")
    monkeypatch.setattr("ashtune._src.core.parts.entry_points", lambda group: [entry])
    record = {"kind": f"{module}:Eager", "share": 0.25}
    ladder = Ladder(1, 4, 2)
    view = view_of(record, ladder, ladder, 0)
    assert module not in sys.modules
    assert (view.name, view.rule, view.expected(9)) == (
        f"{module}:Eager:share=0.25",
        Rule.UNKNOWN,
        None,
    )
    assert "reading a study does not import" in view.missing
    assert type(SCHEDULERS.part_or_reason({"kind": "other"})).__name__ == "Eager"
    assert type(SCHEDULERS.read(record)).__name__ == "Eager"
    assert view_of(record, ladder, ladder, 0).rule is Rule.SINCE_ITS_RESULT


def test_a_scheduler_class_defined_in_the_script_is_refused() -> None:
    class Here(Scheduler, frozen=True):
        pass

    with pytest.raises(SettingsError):
        SCHEDULERS.record(Here())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ashtune.GP(price="x"), "price='x' does not fit GP: Expected `float`, got `str`"),
        (lambda: ashtune.GP(price=9), "price=9 does not fit GP: Expected `float` <= 4.0"),
        (lambda: ashtune.GP(first=1.5), "first=1.5 does not fit GP: Expected `int`, got `float`"),
        (
            lambda: ashtune.Ash(exponent="0.8"),
            "exponent='0.8' does not fit Ash: Expected `float | None`, got `str`",
        ),
        (lambda: ashtune.Ash(ahead=2), "ahead=2 does not fit Ash: Expected `int` <= 1"),
        (
            lambda: ashtune.Hyperband("all"),
            "brackets='all' does not fit Hyperband: Expected `int | None`, got `str`",
        ),
        (
            lambda: ashtune.Grid("many"),
            "points='many' does not fit Grid: Expected `int | dict | None`, got `str`",
        ),
        (lambda: ashtune.OptunaSearch("TPESampler", 5), "options=5 does not fit OptunaSearch"),
        (lambda: ashtune.OptunaSearch(random_share=2), "random_share=2 does not fit OptunaSearch"),
    ],
)
def test_an_option_of_a_wrong_type_or_size_is_refused(make: Any, says: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        make()
    assert str(refusal.value).startswith(says)


def test_a_registry_accepts_only_classes_of_its_own_type() -> None:
    registry: Registry[Scheduler] = Registry("scheduler", Scheduler, (ashtune.Ash,), "no.group")
    given = ashtune.Pasha(0.5)
    assert registry.part(given) is given
    assert registry.part("ash:ahead=0") == ashtune.Ash(ahead=0)
    with pytest.raises(SettingsError, match="is not a scheduler; derive its class from Scheduler"):
        registry.part("ashtune:Grid")
    with pytest.raises(SettingsError, match="is unknown"):
        registry.part("pasha")


def test_a_scheduler_view_has_two_machines_of_which_one_knows_the_results(
    finished_study: Path,
) -> None:
    study = built_study(read_settings(finished_study / NAME))
    view = study.view()
    assert view.told is study.controller.machine
    assert view.machine is not None
    assert view.machine is not view.told


def test_a_study_continues_if_its_scheduler_needs_the_number_of_trials(
    module: str, finished_study: Path
) -> None:
    settings = msgspec.structs.replace(
        read_settings(finished_study / NAME), scheduler={"kind": f"{module}:Numbered"}
    )
    SCHEDULERS.part(f"{module}:Numbered")  # imports it
    assert built_study(settings).controller.machine is not None
