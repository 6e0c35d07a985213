"""Values in the forms that users have them: paths as text, numbers of numpy, times of datetime; and
first mistakes.
"""

import pickle
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ashtune
from ashtune._src.core.checks import check_seconds
from ashtune._src.core.errors import AshtuneError, SettingsError, StudyError
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS
from ashtune._src.search.search_registry import SEARCHES
from tests.helpers.studies import tuned


@pytest.fixture
def home(study_copy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home, with a study in its folder ``study``."""
    monkeypatch.setenv("HOME", str(study_copy.parent))
    return study_copy.parent


def test_a_path_may_be_a_string_and_start_with_a_tilde(home: Path) -> None:
    for place in ("~/study", Path("~/study"), str(home / "study")):
        assert (
            ashtune.Study(place).directory == ashtune.Study.load(place).directory == home / "study"
        )
    study = ashtune.Study("~/study")
    study.report_html("~/page.html")
    study.whatif(workers=1, draws=1).report_html("~/whatif.html")
    assert Path(study.export("csv", "~/out.csv")) == home / "out.csv"
    (home / "kept").mkdir()
    assert study.train(0, 1, directory="~/kept").resource == 1
    assert list((home / "kept").iterdir())
    assert (home / "page.html").is_file()
    assert (home / "whatif.html").is_file()


def test_a_path_with_a_tilde_works_for_studies_and_known_results(home: Path) -> None:
    study = tuned(Path("~/new"), trials=2, search="mutation", warm_start="~/study")
    assert study.directory == home / "new" / "study"


MISTAKES: dict[str, Any] = {
    "trials": lambda study: study.trials["0"], "page": lambda study: study.report_html(5),
    "resume": lambda study: ashtune.Study.resume(study.directory),
    "log": lambda study: study.log("0"),
    "study": lambda study: ashtune.Study(5),
    "what-if": lambda study: study.whatif(workers=1, draws=1).report_html(5),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_wrong_arguments_of_study_methods_raise_a_one_line_error(
    finished_study: Path, mistake: Any
) -> None:
    with pytest.raises(AshtuneError) as refusal:
        mistake(ashtune.Study(finished_study))
    assert "\n" not in str(refusal.value)
    assert "; " in str(refusal.value)


def test_a_numpy_integer_is_accepted_as_a_trial_number(finished_study: Path) -> None:
    study = ashtune.Study(finished_study)
    assert study.log(np.int64(0)) == study.log(0)
    assert study.trials[np.int64(0)].number == 0
    with pytest.raises(StudyError):
        study.log(True)


def test_a_study_can_be_pickled_after_its_journal_is_read(finished_study: Path) -> None:
    study = ashtune.Study(finished_study)
    assert study.is_complete
    assert study.trials[0].number == 0
    copied = pickle.loads(pickle.dumps(study))
    assert copied.best.config == study.best.config


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (ashtune.Hyperband(brackets=np.int64(2)), ashtune.Hyperband(brackets=2)),
        (ashtune.GP(random_share=np.float64(0.5)), ashtune.GP(random_share=0.5)),
        (ashtune.Grid(points={"x": np.int32(3)}), ashtune.Grid(points={"x": 3})),
        (ashtune.Ash(ahead=np.array(1)), ashtune.Ash(ahead=1)),
    ],
)
def test_scheduler_and_search_options_accept_numpy_numbers(given: Any, plain: Any) -> None:
    assert given == plain
    registry: Any = (
        SCHEDULERS if given in (ashtune.Hyperband(brackets=2), ashtune.Ash(ahead=1)) else SEARCHES
    )
    assert registry.record(given) == registry.record(plain)


@pytest.mark.parametrize(
    "kind", [ashtune.GP, ashtune.Ash, ashtune.Local, ashtune.Stop, ashtune.Confirm]
)
def test_a_class_given_in_place_of_an_instance_is_refused(kind: type) -> None:
    names = {
        ashtune.GP: "search",
        ashtune.Ash: "scheduler",
        ashtune.Local: "engine",
        ashtune.Stop: "stop",
    }
    option: dict[str, Any] = {names.get(kind, "confirm"): kind}
    with pytest.raises(SettingsError, match=rf"is a class; write \w+=ashtune\.{kind.__name__}\(\)"):
        tuned(Path("nowhere"), **option)


def test_a_time_may_be_a_timedelta() -> None:
    assert check_seconds("time_limit", timedelta(minutes=2)) == 120
    with pytest.raises(SettingsError):
        check_seconds("time_limit", timedelta(0))
