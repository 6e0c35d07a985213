"""A search is a value: given by name or as it is, kept in a journal, read again where it is
installed.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.errors import AshtuneError, SettingsError
from ashtune._src.search.grid import Grid
from ashtune._src.search.random import Random
from ashtune._src.search.search_protocol import Search
from ashtune._src.search.search_registry import SEARCHES
from ashtune._src.space.space import Space
from ashtune._src.study.factory import built_study

MODULE = """
from ashtune._src.search.search_protocol import Search


class Corners:
    size = None

    def __init__(self, names, low):
        self.names, self.low = names, low

    def configuration(self, trial):
        return {name: float(trial >> place & 1) or self.low for place, name in enumerate(self.names)}

    def find(self, configuration):
        return None


class Corner(Search, frozen=True):
    low: float = 0.0

    def build(self, space, seed):
        return Corners(space.names, self.low)


class Needy(Search, frozen=True):
    low: float


class Other:
    pass
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path that holds a package with searches, two of them with entry points."""
    place = tmp_path / "installed"
    (place / "corner_search-1.dist-info").mkdir(parents=True)
    (place / "corner_search.py").write_text(MODULE)
    (place / "corner_search-1.dist-info" / "METADATA").write_text(
        "Name: corner-search\nVersion: 1\n"
    )
    (place / "corner_search-1.dist-info" / "entry_points.txt").write_text(
        "[ashtune.searches]\ncorner = corner_search:Corner\nother = corner_search:Other\nlost = "
        "corner_search:Lost\n"
    )
    monkeypatch.syspath_prepend(place)
    yield place
    sys.modules.pop("corner_search", None)


def train(trial: Any) -> float:
    return float(trial["x"])


def tuned(directory: Path, search: Any, **given: Any) -> ashtune.Study:
    return ashtune.tune(
        train, {"x": (0.0, 1.0), "y": (0.0, 1.0)}, metric="score", mode="max", trials=4,
        max_resource=1, workers=1,
        quiet=True, directory=directory, search=search, **given,
    )  # fmt: skip


def test_the_record_of_a_search_omits_defaults() -> None:
    assert SEARCHES.part("grid") == Grid()
    assert SEARCHES.record(Grid()) == {"kind": "grid"}
    assert SEARCHES.part(Grid(points=3)) == Grid(points=3)


@pytest.mark.parametrize(
    "search",
    ["bayes", "", "grid\n", 5, None, Random, "no.such.module:Search", "no_such_module:b:c", ":x"],
)
def test_the_error_for_an_unknown_search_lists_the_known_searches(search: object) -> None:
    with pytest.raises(SettingsError):
        SEARCHES.part(search)


def test_a_search_installed_as_an_entry_point_is_recorded_by_name(installed: Path) -> None:
    from corner_search import Corner, Needy  # type: ignore[import-not-found]

    assert SEARCHES.part("corner") == Corner()
    assert SEARCHES.record(Corner(low=0.5)) == {"kind": "corner", "low": 0.5}
    assert SEARCHES.read({"kind": "corner", "low": 0.5}) == Corner(low=0.5)
    assert SEARCHES.record(Needy(low=0.5)) == {"kind": "corner_search:Needy", "low": 0.5}
    assert SEARCHES.read({"kind": "corner_search:Needy", "low": 0.5}) == Needy(low=0.5)
    assert "corner" in SEARCHES.names


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("other", "'other' is not a search; derive its class from Search"),
        ("lost", r"'lost' cannot be imported \(AttributeError: .*Lost"),
        ("corner_search:Nothing", r"cannot be imported \(AttributeError: .*Nothing"),
        ("corner_search:Needy", r"give Needy\(...\), whose options are low"),
    ],
)
def test_a_search_that_cannot_be_imported_is_refused(name: str, says: str, installed: Path) -> None:
    with pytest.raises(SettingsError, match=says) as refusal:
        SEARCHES.part(name)
    assert str(refusal.value).isprintable()


def test_a_search_class_defined_in_a_function_is_refused(tmp_path: Path) -> None:
    class Local(Search, frozen=True):
        def build(self, space: Space, seed: int) -> Any:
            return Random().build(space, seed)

    with pytest.raises(SettingsError):
        tuned(tmp_path / "study", Local())
    assert not (tmp_path / "study").exists()


def test_a_study_can_be_read_without_the_package_of_its_search(
    installed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from corner_search import Corner

    study = tuned(tmp_path / "study", Corner(low=0.25))
    assert StudyReader(study.directory).settings.search == {"kind": "corner", "low": 0.25}
    drawn = [record["x"] for record in study.dataframe().to_dict("records")]
    assert drawn == [0.25, 1.0, 0.25, 1.0]
    assert study.best.config["x"] == 1.0

    monkeypatch.undo()
    sys.modules.pop("corner_search")
    study = ashtune.Study.load(tmp_path / "study")
    study.report()
    line = "the search 'corner' is not installed here, but is needed to continue with this study"
    assert line in " ".join(capsys.readouterr().out.split())
    assert study.best.config["x"] == 1.0
    with pytest.raises(AshtuneError, match=line):
        built_study(StudyReader(study.directory).settings)
    with pytest.raises(AshtuneError, match=line):
        study.resume(trials=8)
    assert "corner_search" not in sys.modules


def test_reading_a_study_does_not_import_the_module_of_its_search(
    installed: Path, tmp_path: Path
) -> None:
    from corner_search import Needy

    class_before = Needy
    assert SEARCHES.record(class_before(low=0.5))["kind"] == "corner_search:Needy"
    del sys.modules["corner_search"]
    (installed / "corner_search.py").write_text("raise SystemExit('imported')")
    record = {"kind": "corner_search:Needy", "low": 0.5}
    assert SEARCHES.check(record) == "corner_search:Needy"
    assert SEARCHES.missing_of(record) == ""
    assert "corner_search" not in sys.modules
