"""Trackers: each copy is read back by its own library, over kills and second exports."""

import contextlib
import json
import math
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ashtune._src.api.study import Study
from ashtune._src.core.observer import ObservedStudy
from ashtune._src.integrations import tracking
from ashtune._src.integrations.tracking import Point, State, TrackedTrial
from ashtune.integrations import tensorboard
from ashtune.integrations.mlflow import MLflowTracker, _name
from ashtune.integrations.tensorboard import TensorBoardTracker
from ashtune.integrations.trackio import TrackioTracker
from ashtune.integrations.wandb import WandbTracker
from ashtune.testing.exporter_suite import Exported, ExporterSuite
from ashtune.testing.observer_suite import GOAL, LADDER, History, Step
from tests.helpers.commands import ashtune, refused
from tests.integrations.tracked import Expected, killed_and_resumed

pytestmark = [
    pytest.mark.timeout(300),
    # of MLflow to SQLAlchemy
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]
# Trackio looks for its folder when it is imported, once in a process.
TRACKIO = os.environ.setdefault("TRACKIO_DIR", tempfile.mkdtemp(prefix="trackio-"))


class Shown(msgspec.Struct, frozen=True):
    """A trial as a tracker's own library reads it. Configurations are texts, since MLflow keeps
    them so.
    """

    configuration: dict[str, str]
    points: list[tuple[int, dict[str, float]]]
    state: str
    origin: str
    seed: int
    reason: str = ""


def as_texts(configuration: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in configuration.items()}


def of_mlflow(uri: str, study: str) -> tuple[dict[int, Shown], int]:
    """Return the trials in MLflow, and which one is the best."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    [experiment] = client.search_experiments(filter_string=f"tags.`ashtune.study` = '{study}'")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    [parent] = [run for run in runs if run.data.tags["ashtune.trial"] == "study"]
    shown = {}
    for run in runs:
        if run is parent:
            continue
        tags = run.data.tags
        assert tags["mlflow.parentRunId"] == parent.info.run_id
        points: list[tuple[int, str, float]] = []
        for name in run.data.metrics:
            points += [
                (each.step, name, each.value)
                for each in client.get_metric_history(run.info.run_id, name)
            ]
        assert int(tags["ashtune.trial"]) not in shown, "a trial has one run"
        shown[int(tags["ashtune.trial"])] = Shown(
            run.data.params, by_resource(points), tags["ashtune.state"], tags["ashtune.origin"],
            int(tags["ashtune.seed"]), tags.get("ashtune.reason", ""),
        )  # fmt: skip
        statuses = {"paused": "FINISHED", "completed": "FINISHED", "failed": "FAILED",
        "withdrawn": "KILLED",
                    "ended early": "FINISHED", "running": "RUNNING"}  # fmt: skip
        assert run.info.status == statuses[tags["ashtune.state"]]
    return shown, int(parent.data.tags.get("ashtune.best.trial", -1))


def by_resource(points: list[tuple[int, str, float]]) -> list[tuple[int, dict[str, float]]]:
    """Return metrics by resource, in rising order; each is there once, or this fails."""
    found: dict[int, dict[str, float]] = {}
    for resource, name, value in points:
        metrics = found.setdefault(resource, {})
        assert name not in metrics, f"{name} at {resource} is there twice"
        metrics[name] = value
    return sorted(found.items())


def of_wandb(folder: Path) -> tuple[dict[int, Shown], int]:
    """Return the runs in a folder of W&B as its own reader has them (``wandb leet inspect``), and
    the best trial.
    """
    from wandb.util import get_core_path

    shown, best, groups = {}, -1, set()
    for file in folder.glob("offline-run-*/*.wandb"):
        command = [
            get_core_path(),
            "leet",
            "inspect",
            "--no-observability",
            "--json",
            "--run-file",
            str(file),
        ]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        records = [json.loads(line) for line in printed.splitlines()]
        run = next(record["run"] for record in records if record["type"] == "run")
        groups.add(run["run_group"])
        assert "host" not in run, "the name of the machine"
        configuration = run["config"]["update"]
        own = configuration.pop("ashtune")
        configuration.pop("_wandb", None)
        if run["job_type"] == "study":
            best = own["best"]
            continue
        assert own["trial"] not in shown, "a trial has one run"
        items = [record["history"]["item"] for record in records if record["type"] == "history"]
        points = [
            (item["_step"], name, math.nan if value == "NaN" else value)
            for item in items for name, value in item.items() if not name.startswith("_")
        ]  # fmt: skip
        [end] = [record["exit"] for record in records if record["type"] == "exit"]
        assert end.get("exit_code", 0) == (own["state"] == "failed")
        shown[own["trial"]] = Shown(
            as_texts(configuration), by_resource(points), own["state"], own["origin"], own["seed"],
            own.get("reason", ""),
        )  # fmt: skip
    assert len(groups) <= 1
    return shown, best


def hparams_of(folder: Path) -> tuple[Any, list[Any], Any]:
    """Return the experiment and the rows of HParams as its plugin reads them, and all that
    TensorBoard has read.
    """
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import api_pb2, get_experiment, list_session_groups
    from tensorboard.plugins.hparams.backend_context import Context

    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(folder))
    context = Context(base_plugin.TBContext(data_provider=provider))
    asked = api_pb2.GetExperimentRequest()
    experiment = get_experiment.Handler(RequestContext(), context, "", asked).run()
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0, slice_size=1000,
        col_params=[api_pb2.ColParams(metric=metric.name) for metric in experiment.metric_infos],
        allowed_statuses=[api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING],
    )  # fmt: skip
    groups = (
        list_session_groups.Handler(RequestContext(), context, "", request).run().session_groups
    )
    return experiment, groups, multiplexer


def of_tensorboard(folder: Path) -> tuple[dict[int, Shown], str]:
    """Return the sessions of HParams as its plugin reads them, and the text of the study."""
    from tensorboard.plugins.hparams import api_pb2

    _, groups, multiplexer = hparams_of(folder)
    shown = {}
    for group in groups:
        [session] = group.sessions
        values = {
            name: getattr(value, str(value.WhichOneof("kind")))
            for name, value in group.hparams.items()
        }
        state, origin, seed = (
            values.pop(f"ashtune.{name}") for name in ("state", "origin", "seed")
        )
        assert session.status == {"failed": api_pb2.STATUS_FAILURE}.get(
            state, api_pb2.STATUS_SUCCESS
        )
        points = []
        for tag in multiplexer.GetAccumulator(session.name).Tags()["tensors"]:
            if not tag.startswith("_hparams_"):
                for event in multiplexer.Tensors(session.name, tag):
                    points.append((event.step, tag, event.tensor_proto.float_val[0]))
        number = int(session.name.rpartition("-")[2])
        study = session.name.partition("/")[0]
        assert group.name == f"{study} trial {number}"
        shown[number] = Shown(as_texts(values), by_resource(points), state, origin, int(seed))
    texts = [
        event.tensor_proto.string_val[0].decode()
        for run in multiplexer.Runs()
        if "study" in multiplexer.GetAccumulator(run).Tags()["tensors"]
        for event in multiplexer.Tensors(run, "study")
    ]
    return shown, texts[-1] if texts else ""


def of_trackio(project: str) -> tuple[dict[int, Shown], int]:
    """Return the runs of a project of Trackio, and which trial is the best."""
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    shown, best = {}, -1
    for run in trackio.Api().runs(project):
        configuration = dict(run.config or {})
        own = configuration.pop("ashtune")
        configuration = {
            name: value for name, value in configuration.items() if not name.startswith("_")
        }
        if run.name == "study":
            best = own["best"]
            continue
        points = []
        for row in SQLiteStorage.get_logs(project, run.name, run_id=run.id):
            values = {
                name: value for name, value in row.items() if name not in ("step", "timestamp")
            }
            points += [(row["step"], name, value) for name, value in values.items()]
        assert own["trial"] not in shown
        shown[own["trial"]] = Shown(
            as_texts(configuration), by_resource(points), own["state"], own["origin"], own["seed"],
            own.get("reason", ""),
        )  # fmt: skip
    return shown, best


# -- over kills --


def rows_of(database: Path, table: str) -> int:
    if not database.exists():
        return 0
    with contextlib.closing(sqlite3.connect(database)) as connection:
        try:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
        except sqlite3.OperationalError:  # it is being made
            return 0


def check(expected: Expected, shown: dict[int, Shown], best: int) -> None:
    """Compare what a tracker shows with the journal: every trial, every value once."""
    assert best == expected.study.best.trial
    assert sorted(shown) == sorted(expected.points)
    for number, trial in shown.items():
        assert trial.points == sorted(expected.points[number].items()), number
        assert trial.configuration == as_texts(expected.configurations[number])
        assert (trial.state, trial.origin) == (expected.states[number], expected.origins[number])
        assert trial.seed == expected.seeds[number]
    assert shown[3].reason == "ValueError: no data"
    assert shown[3].state == "failed"


def test_mlflow_contains_each_value_once_even_if_studies_are_killed(
    tmp_path: Path, empty_mlflow: Path
) -> None:
    (tmp_path / "study").mkdir()
    shutil.copy(empty_mlflow, tmp_path / "study" / "mlflow.db")
    directory = killed_and_resumed(
        "mlflow", tmp_path, lambda study: rows_of(study / "mlflow.db", "runs")
    )
    expected, uri = Expected(directory), f"sqlite:///{directory / 'mlflow.db'}"
    check(expected, *of_mlflow(uri, expected.name))
    assert expected.study.export("mlflow") == uri
    check(expected, *of_mlflow(uri, expected.name))


def test_wandb_contains_each_value_once_even_if_studies_are_killed(tmp_path: Path) -> None:
    directory = killed_and_resumed(
        "wandb", tmp_path, lambda study: len(list(study.glob("wandb/offline-run-*")))
    )
    expected = Expected(directory)
    check(expected, *of_wandb(directory / "wandb"))
    before = sorted((directory / "wandb").iterdir())
    assert expected.study.export("wandb") == str(directory / "wandb")
    assert sorted((directory / "wandb").iterdir()) == before


def test_trackio_contains_each_value_once_even_if_studies_are_killed(tmp_path: Path) -> None:
    folder = Path(TRACKIO)
    before = set(folder.glob("*.db"))

    def rows(study: Path) -> int:
        return sum(rows_of(file, "metrics") for file in set(folder.glob("*.db")) - before)

    directory = killed_and_resumed("trackio", tmp_path, rows)
    expected = Expected(directory)
    place = Path(expected.study.export("trackio"))
    assert set(folder.glob("*.db")) - before == {place}
    check(expected, *of_trackio(place.stem))


def test_tensorboard_contains_each_value_once_even_if_studies_are_killed(tmp_path: Path) -> None:
    directory = killed_and_resumed(
        "tensorboard",
        tmp_path,
        lambda study: len(list(study.glob("tensorboard/*/trial-*/events.*"))),
    )
    expected, folder = Expected(directory), directory / "tensorboard"
    shown, text = of_tensorboard(folder)
    assert sorted(shown) == sorted(set(expected.points) - {3}), (
        "a trial without a result is not among the best"
    )
    for number, trial in shown.items():
        assert trial.points == [
            (at, as_single(metrics)) for at, metrics in sorted(expected.points[number].items())
        ]
        assert (trial.state, trial.seed) == (expected.states[number], expected.seeds[number])
        numbers = {
            name: str(float(value))
            for name, value in expected.configurations[number].items()
            if name != "kind"
        }
        assert trial.configuration == numbers | {"kind": expected.configurations[number]["kind"]}
    assert f"Best: trial {expected.study.best.trial}, at epoch 9." in text


def as_single(metrics: dict[str, float]) -> dict[str, float]:
    """Return metrics as TensorBoard has them."""
    return {name: struct.unpack("f", struct.pack("f", value))[0] for name, value in metrics.items()}


def test_a_tracker_imports_its_library_only_when_a_study_begins(
    finished_study: Path, tmp_path: Path
) -> None:
    code = """
import sys
from ashtune.integrations.mlflow import MLflowTracker
from ashtune.integrations.tensorboard import TensorBoardTracker
from ashtune.integrations.trackio import TrackioTracker
from ashtune.integrations.wandb import WandbTracker
made = MLflowTracker(), TensorBoardTracker(), TrackioTracker(), WandbTracker()
assert not {"mlflow", "tensorboard", "trackio", "wandb", "torch", "tensorflow"} & set(sys.modules)
import ashtune
ashtune.Study.load(sys.argv[1]).export("tensorboard", sys.argv[2])
assert "tensorboard" in sys.modules
assert not {"torch", "tensorflow"} & set(sys.modules)
"""
    command = [sys.executable, "-c", code, str(finished_study), str(tmp_path / "tb")]
    subprocess.run(command, check=True)


def test_trackers_do_not_access_the_network(
    study_copy: Path, tmp_path: Path, empty_mlflow: Path
) -> None:
    """MLflow would ask its maker's server, were it not told to send nothing; it does not in tests
    and builds.
    """
    shutil.copy(empty_mlflow, study_copy / "mlflow.db")
    code = """
import socket, sys

def refuse(self, address):
    if self.family != socket.AF_UNIX:
        print("asked", address, flush=True)
    raise OSError("no network here")

socket.socket.connect = refuse
socket.getaddrinfo = lambda host, *rest, **more: print("asked", host, flush=True) or []
import ashtune
for name in ("mlflow", "tensorboard", "trackio"):
    ashtune.Study.load(sys.argv[1]).export(name)
"""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTEST_CURRENT_TEST", "CI")
    }
    environment |= {"TRACKIO_DIR": str(tmp_path / "trackio")}
    command = [sys.executable, "-c", code, str(study_copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "asked" not in done.stdout


# -- what a directory of someone else may hold --


def database(path: Path) -> bytes:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (value)")
    return path.read_bytes()


def test_links_in_the_tensorboard_folder_are_not_followed(study_copy: Path) -> None:
    study = Study.load(study_copy)
    [root] = Path(study.export("tensorboard")).iterdir()
    folder = next(root.glob("trial-*"))
    mine = study_copy.parent / "mine"
    mine.write_text("mine")
    for file in folder.glob("events.*"):
        file.unlink()
    (folder / "new").symlink_to(mine)
    study.export("tensorboard")
    assert mine.read_text() == "mine"
    assert [file.name[:6] for file in folder.iterdir()] == ["events"]
    for place in (folder, root):
        place.rename(study_copy.parent / "elsewhere")
        place.symlink_to(study_copy.parent / "elsewhere")
        before = sorted((study_copy.parent / "elsewhere").rglob("*"))
        refused(
            ashtune(study_copy.parent, "export", "study", "--to", "tensorboard"),
            f"{place} is a link",
        )
        assert sorted((study_copy.parent / "elsewhere").rglob("*")) == before
        place.unlink()
        (study_copy.parent / "elsewhere").rename(place)


# -- single cases --


def tracked(state: State, points: int = 1, **configuration: Any) -> TrackedTrial:
    return TrackedTrial(
        number=0, configuration=configuration, origin="random", seed=1, confirms=None, state=state,
        reason="",
        began=1.0, ended=2.0, points=[Point(at + 1, 1.5, {"loss": 0.5}) for at in range(points)],
    )  # fmt: skip


def in_mlflow(database: Path, created: float = 1.0, is_live: bool = True) -> MLflowTracker:
    tracker = MLflowTracker(database)
    study = ObservedStudy(
        name="suite", directory=str(database.parent), created=created, goal=GOAL, ladder=LADDER
    )
    tracker.begin(study, int(is_live))
    return tracker


def test_an_mlflow_run_left_open_by_a_kill_is_closed_later(
    empty_mlflow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    first = in_mlflow(tmp_path / "mlflow.db")
    first.write([tracked("running", 1, x=1.0)])

    def killed(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MlflowClient, "set_terminated", killed)
        first.write([tracked("completed", 2, x=1.0)])
    in_mlflow(tmp_path / "mlflow.db").write([tracked("completed", 2, x=1.0)])
    shown, _ = of_mlflow(first.place, "suite")
    assert shown[0].state == "completed", "and that its status is FINISHED is looked at as well"
    assert [resource for resource, _ in shown[0].points] == [1, 2]


def test_the_mlflow_tracker_uses_the_address_in_mlflow_tracking_uri(
    empty_mlflow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "study").mkdir()
    shutil.copy(empty_mlflow, tmp_path / "team.db")
    shutil.copy(empty_mlflow, tmp_path / "own.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'team.db'}")
    study = ObservedStudy(
        name="suite", directory=str(tmp_path / "study"), created=1.0, goal=GOAL, ladder=LADDER
    )
    tracker = MLflowTracker()
    tracker.begin(study, 1)
    tracker.write([tracked("running", 1, x=1.0)])
    assert list(of_mlflow(f"sqlite:///{tmp_path / 'team.db'}", "suite")[0]) == [0]
    assert not list((tmp_path / "study").iterdir())
    given = in_mlflow(tmp_path / "own.db")
    assert given.place == f"sqlite:///{tmp_path / 'own.db'}"


@pytest.mark.parametrize(
    "name", ["a//b", "loss/", "/x", "..", ".", "../x", "a/../b", "//x", "a/b", "a.b", ""]
)
def test_the_mlflow_tracker_makes_each_metric_name_valid(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(_name(name))
    assert (_name(name) == name) == (name in ("a/b", "a.b"))


def test_trackers_keep_a_hyperparameter_named_ashtune(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trackio import sqlite_storage, utils

    for module in (sqlite_storage, utils):
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path)
    study = ObservedStudy(
        name="suite", directory=str(tmp_path), created=1.0, goal=GOAL, ladder=LADDER
    )
    trackers = WandbTracker(tmp_path), TrackioTracker(tmp_path)
    for tracker in trackers:
        tracker.begin(study, 0)
        tracker.write([tracked("completed", 1, ashtune=5, x=1)])
    kept = {"config.ashtune": "5", "x": "1"}
    assert of_wandb(tmp_path / "wandb")[0][0].configuration == kept
    assert of_trackio(Path(trackers[1].place).stem)[0][0].configuration == kept


# -- the suite --


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of MLflow without an experiment of ours: to make one takes MLflow seconds."""
    from mlflow import MlflowClient

    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{database}").search_experiments()
    return database


class TestMLflow(ExporterSuite):
    @pytest.fixture
    def steps(self) -> list[Step]:
        return list(History(1, trials=8))

    @pytest.fixture
    def exported(self, empty_mlflow: Path) -> Exported:
        def make(folder: Path) -> MLflowTracker:
            if not (folder / "mlflow.db").exists():
                shutil.copy(empty_mlflow, folder / "mlflow.db")
            return MLflowTracker(folder / "mlflow.db")

        return Exported(
            make=make, read=lambda tracker: comparable(of_mlflow(tracker.place, "suite"))
        )


class TestWandb(ExporterSuite):
    @pytest.fixture
    def steps(self) -> list[Step]:
        return list(History(1, trials=5))

    @pytest.fixture
    def exported(self) -> Exported:
        return Exported(
            make=WandbTracker, read=lambda tracker: comparable(of_wandb(Path(tracker.place)))
        )


class TestTensorBoard(ExporterSuite):
    @pytest.fixture(autouse=True)
    def writes_at_each_tick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tracking, "SECONDS_BETWEEN", 0.0)
        monkeypatch.setattr(tensorboard, "SECONDS_BETWEEN", 0.0)

    @pytest.fixture
    def exported(self) -> Exported:
        return Exported(
            make=TensorBoardTracker,
            read=lambda tracker: comparable(of_tensorboard(Path(tracker.place))),
        )


class TestTrackio(ExporterSuite):
    @pytest.fixture
    def exported(self, monkeypatch: pytest.MonkeyPatch) -> Exported:
        from trackio import sqlite_storage, utils

        def make(folder: Path) -> TrackioTracker:
            # a process has one folder: here each study has its own
            for module in (sqlite_storage, utils):
                monkeypatch.setattr(module, "TRACKIO_DIR", folder)
            return TrackioTracker(folder)

        def read(tracker: TrackioTracker) -> str:
            make(Path(tracker.place).parent)
            return comparable(of_trackio(Path(tracker.place).stem))

        return Exported(make=make, read=read)


def comparable(shown: tuple[dict[int, Shown], Any]) -> str:
    """Return what is shown as text, in which NaN is equal to itself."""
    trials, best = shown
    return repr((sorted(trials.items()), best))
