"""Every argument with values that cannot be meant: accepted, or one clear line, and nothing is
written before that.
"""

import functools
import json
import math
import re
import traceback
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import Float

import ashtune
from ashtune import Ash, Auto, Local
from ashtune._src.api import creating, tuning
from ashtune._src.cli.main import main
from ashtune._src.core.errors import AshtuneError, SettingsError, SpaceError
from ashtune._src.study.journal import NAME, read_settings


class Angry:
    """An object whose every question is answered by an exception."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    __hash__ = None  # type: ignore[assignment]


class Reached(Exception):  # noqa: N818 - no error
    """All was checked, and training would begin."""


def train(trial: Any) -> None:
    for _ in trial.epochs():
        trial.report(loss=trial["x"])


in_itself: list[Any] = []
in_itself.append(in_itself)

ODD: list[Any] = [
    5, -1, 0, 2.5, math.nan, math.inf, -math.inf, 2**63, 2**64, 10**30, 10**400, 10**5000, 1e308,
    True, None,
    "", "x", "1", "\x1b[31m", "a\nb", "\udcff", "n" * 5000, "a/b", "nul\0", b"x", [], [1, "2"], [2,
    1], (), {},
    {"x": 1},
    {5: 3}, {"x": "a"}, {"x": 0.5, "y": 1}, [{"x": 9.0}], [{"x": 0.5}], {1, 2}, object(), Angry(),
    np.int64(3),
    np.float64(0.5), np.array([1, 2]), np.nan, Fraction(3, 2), Path("p"), lambda: 1, iter([1]),
    in_itself, range(3), 1j,
]  # fmt: skip
PARAMETERS = [
    "objective", "space", "metric", "mode", "trials", "max_resource", "min_resource",
    "reduction_factor", "scheduler",
    "search", "enqueue", "seed", "time_limit", "target", "stop", "checkpoint_limit", "workers",
    "directory", "quiet",
]  # fmt: skip
NO_FLAG: Any = 3
HELD = {
    "stop": (ashtune.Stop, ["budget", "total_resource", "max_failures", "patience", "stop_when"]),
    "engine": (
        Auto,
        ["trial_timeout", "threads", "gpus_per_worker", "isolate", "checkpoints", "profile"],
    ),
    "scheduler": (Ash, ["rungs", "max_resource", "min_resource", "reduction_factor"]),
    "search": (ashtune.Grid, ["points"]),
}
"""Options that are held by a value: by argument its class and their names."""
GIVEN = {
    "objective": train, "space": {"x": (0.0, 1.0)}, "metric": "loss", "mode": "min", "trials": 2,
    "max_resource": 4,
    "workers": 1, "quiet": True,
}  # fmt: skip


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to be in, and a study that stops where training would begin."""

    class Begins:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def run(self) -> None:
            raise Reached

    monkeypatch.setattr(creating, "Session", Begins)
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def tuned(**given: Any) -> None:
    arguments = GIVEN | given
    ashtune.tune(arguments.pop("objective"), arguments.pop("space"), **arguments)


def check_message(error: AshtuneError) -> None:
    message = str(error)
    assert 10 < len(message) < 500
    assert message.isprintable(), message


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        *((name, "") for name in PARAMETERS),
        *((argument, name) for argument, (_, names) in HELD.items() for name in names),
    ],
)
def test_every_argument_is_accepted_or_refused_in_one_line(
    argument: str, name: str, empty: Path
) -> None:
    for value in ODD:
        there = sorted(empty.rglob("*"))
        try:
            given: dict[str, Any] = {
                argument: HELD[argument][0](**{name: value}) if name else value
            }
            if name in ("rungs", "max_resource"):
                given["max_resource"] = None
            tuned(**given)
        except Reached:
            for journal in empty.rglob(NAME):  # what stands can be read
                read_settings(journal)
        except AshtuneError as error:
            check_message(error)
            assert sorted(empty.rglob("*")) == there, (
                f"{name}: something was written before it was refused"
            )


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        (
            {"enqueue": 5},
            SettingsError,
            "enqueue=5 is not a list of configurations; give enqueue=[{...}, {...}]",
        ),
        (
            {"enqueue": {"x": 0.5}},
            SettingsError,
            "enqueue={'x': 0.5} is not a list of configurations",
        ),
        ({"enqueue": [{"y": 1}]}, SpaceError, "y=1 is not in the space"),
        (
            {"scheduler": Ash(rungs=list(range(1, 5000))), "max_resource": None},
            SettingsError,
            "1,001 rungs or more are",
        ),
        (
            {"scheduler": Ash(max_resource=9)},
            SettingsError,
            "max_resource=4 and scheduler=Ash(max_resource=9) are both",
        ),
        (
            {"engine": Local(workers=2)},
            SettingsError,
            "workers=1 and engine=Local(workers=2) are both given; give one",
        ),
        (
            {"stop": 20},
            SettingsError,
            "stop=20 is not an ashtune.Stop; give for example stop=ashtune.Stop(patience=20); "
            "max_resource= sets the last epoch",
        ),
        ({"directory": b".."}, SettingsError, "directory=b'..' is not a path"),
        ({"directory": 5}, SettingsError, "directory=5 is not a path"),
        ({"directory": "a\nb"}, SettingsError, r"directory='a\nb' is not a path"),
        (
            {"seed": 2**64},
            SettingsError,
            "seed=18446744073709551616 is not a whole number of at most",
        ),
        ({"seed": -1}, SettingsError, "seed=-1 is not a whole number of at least 0"),
        ({"seed": 0.5}, SettingsError, "seed=0.5 is not a whole number"),
        (
            {"trials": 10**30},
            SettingsError,
            "trials=1000000000000000000000000000000 is not a whole number of at most",
        ),
        ({"target": 10**400}, SettingsError, "is not a finite number"),
        ({"target": math.nan}, SettingsError, "target=nan is not a finite number"),
        ({"time_limit": math.inf}, SettingsError, "time_limit=inf is not a number above 0"),
        (
            {"time_limit": "soon"},
            SettingsError,
            "time_limit='soon' is not a duration; give seconds, or a text such as 90s",
        ),
        (
            {"time_limit": 1e300},
            SettingsError,
            "time_limit=1e+300 is not a number above 0, and at most 1e+09",
        ),
        (
            {"checkpoint_limit": "1 potato"},
            SettingsError,
            "checkpoint_limit='1 potato' is not a size",
        ),
        ({"checkpoint_limit": -1}, SettingsError, "checkpoint_limit=-1 is not a whole number"),
        ({"max_resource": 10**30}, SettingsError, "is not a whole number of at most"),
        ({"min_resource": 10**30}, SettingsError, "is not a whole number of at most"),
        (
            {"reduction_factor": 1.001, "max_resource": 10**9},
            SettingsError,
            "1,001 rungs or more are too many",
        ),
        ({"workers": 10**9}, SettingsError, "workers=1000000000 is not a whole number of at most"),
        (
            {"workers": 90_000, "trials": 10**6},
            SettingsError,
            "workers=90,000 are too many processes",
        ),
        ({"engine": Local(gpus_per_worker=0.3)}, SettingsError, "gpus_per_worker=0.3 is neither"),
        ({"engine": Auto(isolate=NO_FLAG)}, SettingsError, "isolate=3 is neither True nor False"),
        ({"metric": b"x"}, SettingsError, "metric=b'x' is not a name"),
        ({"metric": "n" * 201}, SettingsError, "give up to 200 plain characters"),
        ({"engine": Local(profile=NO_FLAG)}, SettingsError, "profile=3 is neither True nor False"),
        ({"checkpoint_limit": "1GB"}, None, ""),
        ({"trials": np.int64(3), "target": np.float32(0.5), "seed": np.uint8(3)}, None, ""),
        (
            {"space": {"lr": (1e-4, 1e-1, "log"), "n": (1, 100, "log"), "x": Float("x", (0, 1))}},
            None,
            "",
        ),
        ({"objective": functools.partial(train)}, None, ""),
        ({"objective": type("Trainer", (), {"__call__": lambda self, trial: 1})()}, None, ""),
        ({"objective": lambda trial: 1.0}, None, ""),
    ],
    ids=lambda value: re.sub(" at 0x[0-9a-f]+", "", str(value))[:40],
)
def test_the_error_names_the_wrong_value_and_the_solution(
    given: dict[str, Any], kind: type[AshtuneError] | None, says: str, empty: Path
) -> None:
    if kind is None:
        with pytest.raises(Reached):
            tuned(**given)
        [journal] = empty.rglob(NAME)
        read_settings(journal)
        return
    with pytest.raises(kind) as refusal:
        tuned(**given)
    check_message(refusal.value)
    assert says in str(refusal.value)
    assert not list(empty.iterdir())


def test_sizes_and_numpy_integers_are_stored_as_plain_integers(empty: Path) -> None:
    with pytest.raises(Reached):
        tuned(checkpoint_limit="1.5 GB", seed=np.int64(7))
    [journal] = empty.rglob(NAME)
    settings = read_settings(journal)
    assert settings.checkpoint_limit == 1_500_000_000
    assert settings.seed == 7


def test_a_default_directory_is_never_the_directory_of_another_study(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Path] = []
    place_for = tuning.place_for

    def crossed(directory: Any, name: str) -> Path:
        """Another study began in the same second: it makes the place that was free a moment ago."""
        taken.append(place_for(directory, name))
        taken[0].mkdir(parents=True)
        return taken[0]

    monkeypatch.setattr(tuning, "place_for", crossed)
    with pytest.raises(Reached):
        tuned()
    [journal] = empty.rglob(NAME)
    assert journal.parent == empty / "runs" / f"{taken[0].name}-2"


def test_an_unusable_directory_is_refused_in_one_line(empty: Path) -> None:
    (empty / "file").write_text("")
    for directory in ("file", "file/s", "n" * 300, "/proc/nothing/s"):
        with pytest.raises(AshtuneError) as refusal:
            tuned(directory=directory)
        check_message(refusal.value)
    assert [path.name for path in empty.iterdir()] == ["file"]


def test_the_traceback_of_a_refusal_is_short(empty: Path) -> None:
    with pytest.raises(Reached):
        tuned(directory="s")
    study = ashtune.Study.load("s")
    for wrong in (
        lambda: study.best,
        lambda: study.best_at_any_rung,
        lambda: study.top(0),
        lambda: study.log(7),
        study.profile,
        lambda: study.resume(trials=0),
        lambda: tuned(trials=0),
        lambda: ashtune.Study.load(empty / "nothing"),
        lambda: tuned(space={"x": (1, 0)}),
    ):
        try:
            wrong()
        except AshtuneError as error:
            files = [
                Path(frame.filename).name for frame in traceback.extract_tb(error.__traceback__)
            ]
            assert [file for file in files if file != Path(__file__).name] == ["errors.py"]
            assert "During handling" not in "".join(traceback.format_exception(error))
        else:
            raise AssertionError("it was accepted")


SCRIPT = "space = {'x': (0.0, 1.0)}\ndef train(trial):\n    trial.report(loss=1.0)\n"
OPTIONS = [
    "--space", "--metric", "--mode", "--max-resource", "--min-resource", "--reduction-factor",
    "--rungs",
    "--trials", "--scheduler", "--search", "--seed", "--time-limit", "--total-resource",
    "--target", "--max-failures", "--workers", "--threads", "--gpus-per-worker", "--trial-timeout",
    "--checkpoints",
    "--checkpoint-limit", "--directory",
]  # fmt: skip
WORDS = [
    "", "x", "-1", "0", "1", "2.5", "nan", "inf", "1e400", "9" * 30, "9" * 5000, "\x1b[31m", "a\nb",
    "\udcff",
    "n" * 5000, "1,2", "2,1", ",", "1GB", "5h", "a/b", "[]",
]  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_every_command_line_option_works_or_exits_with_status_2(
    option: str, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("train.py").write_text(SCRIPT)
    run = [
        "run",
        "train.py:train",
        "--metric",
        "loss",
        "--mode",
        "min",
        "--trials",
        "2",
        "--workers",
        "1",
        "--quiet",
    ]
    if option != "--rungs":
        run += ["--max-resource", "4"]
    for word in WORDS:
        there = {path for path in empty.rglob("*") if "__pycache__" not in path.parts}
        try:
            status = main([*run, option, word])
        except Reached:
            continue
        captured = capsys.readouterr()
        assert status == 2, (option, word, captured)
        assert captured.out == ""
        assert captured.err.startswith("ashtune")
        assert captured.err.removesuffix("\n").isprintable(), captured.err
        assert len(captured.err) < 500
        assert {path for path in empty.rglob("*") if "__pycache__" not in path.parts} == there


def test_values_that_cannot_be_stored_in_the_journal_are_refused(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = tuning.checked  # as if the check of one option were forgotten
    monkeypatch.setattr(
        tuning, "checked", lambda *given: {**check(*given), "checkpoint_limit": "1GB"}
    )
    with pytest.raises(SettingsError):
        tuned(checkpoint_limit="1GB")
    assert not list(empty.iterdir())


def test_wrong_options_of_ashtune_resume_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = ashtune.tune(train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=1,
    max_resource=1,
                         directory=tmp_path / "s", quiet=True, workers=1)  # fmt: skip
    before = (study.directory / NAME).read_bytes()
    for given in (
        ["--trials", "0"],
        ["--target", "nan"],
        ["--workers", "9" * 30],
        ["--max-failures", "-1"],
    ):
        assert main(["resume", str(study.directory), *given]) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1
    for wrong in (
        {"trials": "5"},
        {"time_limit": -1},
        {"quiet": None},
        {"engine": Auto(isolate=NO_FLAG)},
    ):
        with pytest.raises(AshtuneError) as refusal:
            study.resume(**wrong)  # type: ignore[arg-type]
        check_message(refusal.value)
    assert (study.directory / NAME).read_bytes() == before
    assert json.loads(before.splitlines()[0])["name"] == "train"
