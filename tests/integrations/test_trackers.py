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

from ashtune.api.study import Study
from ashtune.core.jobs import Goal
from ashtune.core.observer import ObservedStudy
from ashtune.integrations import tensorboard, tracking
from ashtune.integrations.mlflow import MLflowTracker, _name
from ashtune.integrations.tensorboard import TensorBoardTracker
from ashtune.integrations.tracking import Point, State, StudySummary, TrackedTrial
from ashtune.integrations.trackio import TrackioTracker
from ashtune.integrations.wandb import WandbTracker
from ashtune.testing.exporters import Exported, ExporterSuite
from ashtune.testing.observers import GOAL, LADDER, History, Step
from tests.helpers.commands import ashtune, refused
from tests.integrations.tracked import Expected, killed_and_resumed

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),  # of MLflow to SQLAlchemy
]
# Trackio looks for its folder when it is imported, once in a process.
TRACKIO = os.environ.setdefault("TRACKIO_DIR", tempfile.mkdtemp(prefix="trackio-"))


class Shown(msgspec.Struct, frozen=True):
    """A trial as a tracker's own library reads it. Configurations are texts, since MLflow keeps them so."""

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
            points += [(each.step, name, each.value) for each in client.get_metric_history(run.info.run_id, name)]
        assert int(tags["ashtune.trial"]) not in shown, "a trial has one run"
        shown[int(tags["ashtune.trial"])] = Shown(
            run.data.params, by_resource(points), tags["ashtune.state"], tags["ashtune.origin"],
            int(tags["ashtune.seed"]), tags.get("ashtune.reason", ""),
        )  # fmt: skip
        statuses = {"paused": "FINISHED", "completed": "FINISHED", "failed": "FAILED", "withdrawn": "KILLED",
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
    """Return the runs in a folder of W&B as its own reader has them (``wandb leet inspect``), and the best trial."""
    from wandb.util import get_core_path

    shown, best, groups = {}, -1, set()
    for file in folder.glob("offline-run-*/*.wandb"):
        command = [get_core_path(), "leet", "inspect", "--no-observability", "--json", "--run-file", str(file)]
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
    """Return the experiment and the rows of HParams as its plugin reads them, and all that TensorBoard has read."""
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
    groups = list_session_groups.Handler(RequestContext(), context, "", request).run().session_groups
    return experiment, groups, multiplexer


def of_tensorboard(folder: Path) -> tuple[dict[int, Shown], str]:
    """Return the sessions of HParams as its plugin reads them, and the text of the study."""
    from tensorboard.plugins.hparams import api_pb2

    _, groups, multiplexer = hparams_of(folder)
    shown = {}
    for group in groups:
        [session] = group.sessions
        values = {name: getattr(value, str(value.WhichOneof("kind"))) for name, value in group.hparams.items()}
        state, origin, seed = (values.pop(f"ashtune.{name}") for name in ("state", "origin", "seed"))
        assert session.status == {"failed": api_pb2.STATUS_FAILURE}.get(state, api_pb2.STATUS_SUCCESS)
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
        configuration = {name: value for name, value in configuration.items() if not name.startswith("_")}
        if run.name == "study":
            best = own["best"]
            continue
        points = []
        for row in SQLiteStorage.get_logs(project, run.name, run_id=run.id):
            values = {name: value for name, value in row.items() if name not in ("step", "timestamp")}
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


def test_over_kills_mlflow_has_each_value_once(tmp_path: Path, empty_mlflow: Path) -> None:
    (tmp_path / "study").mkdir()
    shutil.copy(empty_mlflow, tmp_path / "study" / "mlflow.db")
    directory = killed_and_resumed("mlflow", tmp_path, lambda study: rows_of(study / "mlflow.db", "runs"))
    expected, uri = Expected(directory), f"sqlite:///{directory / 'mlflow.db'}"
    check(expected, *of_mlflow(uri, expected.name))
    assert expected.study.export("mlflow") == uri
    check(expected, *of_mlflow(uri, expected.name))


def test_over_kills_wandb_has_each_value_once(tmp_path: Path) -> None:
    directory = killed_and_resumed("wandb", tmp_path, lambda study: len(list(study.glob("wandb/offline-run-*"))))
    expected = Expected(directory)
    check(expected, *of_wandb(directory / "wandb"))
    before = sorted((directory / "wandb").iterdir())
    assert expected.study.export("wandb") == str(directory / "wandb")
    assert sorted((directory / "wandb").iterdir()) == before


def test_over_kills_trackio_has_each_value_once(tmp_path: Path) -> None:
    folder = Path(TRACKIO)
    before = set(folder.glob("*.db"))

    def rows(study: Path) -> int:
        return sum(rows_of(file, "metrics") for file in set(folder.glob("*.db")) - before)

    directory = killed_and_resumed("trackio", tmp_path, rows)
    expected = Expected(directory)
    place = Path(expected.study.export("trackio"))
    assert set(folder.glob("*.db")) - before == {place}
    check(expected, *of_trackio(place.stem))


def test_over_kills_tensorboard_has_each_value_once(tmp_path: Path) -> None:
    directory = killed_and_resumed(
        "tensorboard", tmp_path, lambda study: len(list(study.glob("tensorboard/*/trial-*/events.*")))
    )
    expected, folder = Expected(directory), directory / "tensorboard"
    shown, text = of_tensorboard(folder)
    assert sorted(shown) == sorted(set(expected.points) - {3}), "a trial without a result is not among the best"
    for number, trial in shown.items():
        assert trial.points == [(at, as_single(metrics)) for at, metrics in sorted(expected.points[number].items())]
        assert (trial.state, trial.seed) == (expected.states[number], expected.seeds[number])
        numbers = {name: str(float(value)) for name, value in expected.configurations[number].items() if name != "kind"}
        assert trial.configuration == numbers | {"kind": expected.configurations[number]["kind"]}
    assert f"Best: trial {expected.study.best.trial}, at epoch 9." in text


def as_single(metrics: dict[str, float]) -> dict[str, float]:
    """Return metrics as TensorBoard has them."""
    return {name: struct.unpack("f", struct.pack("f", value))[0] for name, value in metrics.items()}


def test_tensorboard_has_the_best_alone_and_takes_away_what_is_no_longer_among_them(study_copy: Path) -> None:
    study = Study.load(study_copy)
    for top in (9, 4):
        tracker = TensorBoardTracker(top=top)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ashtune.driver.observing.exporter_named", lambda to, out, made=tracker: made)
            study.export("tensorboard")
        shown, _ = of_tensorboard(study_copy / "tensorboard")
        assert sorted(shown) == sorted(best.trial for best in study.top(top))


def test_a_tracker_imports_nothing_of_another_framework_and_its_library_only_when_a_study_begins(
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


def test_no_copy_asks_the_network_for_anything(study_copy: Path, tmp_path: Path, empty_mlflow: Path) -> None:
    """MLflow would ask its maker's server, were it not told to send nothing; it does not in tests and builds."""
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
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTEST_CURRENT_TEST", "CI")}
    environment |= {"TRACKIO_DIR": str(tmp_path / "trackio")}
    command = [sys.executable, "-c", code, str(study_copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "asked" not in done.stdout


# -- what a directory of someone else may hold --


def database(path: Path) -> bytes:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (value)")
    return path.read_bytes()


@pytest.mark.parametrize("name", ["mlflow.db", "mlflow.db-journal", "mlflow.db-wal", "mlflow.db-shm"])
def test_no_link_leads_mlflow_to_another_file(study_copy: Path, name: str) -> None:
    target = study_copy.parent / "mine.db"
    before = database(target)
    (study_copy / name).symlink_to(target)
    refused(ashtune(study_copy.parent, "export", "study", "--to", "mlflow"), f"{study_copy / name} is a link")
    assert target.read_bytes() == before
    (study_copy / name).unlink()
    os.mkfifo(study_copy / name)
    refused(ashtune(study_copy.parent, "export", "study", "--to", "mlflow"), "is no regular file")


@pytest.mark.parametrize("name", ["wandb", "tensorboard"])
def test_no_link_leads_a_folder_of_runs_elsewhere(study_copy: Path, name: str) -> None:
    target = study_copy.parent / "mine"
    target.mkdir()
    (study_copy / name).symlink_to(target)
    refused(ashtune(study_copy.parent, "export", "study", "--to", name), f"{study_copy / name} is a link")
    assert list(target.iterdir()) == []


def test_no_link_in_the_folder_of_tensorboard_is_followed(study_copy: Path) -> None:
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
        refused(ashtune(study_copy.parent, "export", "study", "--to", "tensorboard"), f"{place} is a link")
        assert sorted((study_copy.parent / "elsewhere").rglob("*")) == before
        place.unlink()
        (study_copy.parent / "elsewhere").rename(place)


# -- single cases --


def tracked(state: State, points: int = 1, **configuration: Any) -> TrackedTrial:
    return TrackedTrial(
        number=0, configuration=configuration, origin="random", seed=1, confirms=None, state=state, reason="",
        began=1.0, ended=2.0, points=[Point(at + 1, 1.5, {"loss": 0.5}) for at in range(points)],
    )  # fmt: skip


def in_mlflow(database: Path, created: float = 1.0, is_live: bool = True) -> MLflowTracker:
    tracker = MLflowTracker(database)
    study = ObservedStudy(name="suite", directory=str(database.parent), created=created, goal=GOAL, ladder=LADDER)
    tracker.begin(study, int(is_live))
    return tracker


def test_a_kill_before_the_status_leaves_no_run_of_mlflow_running_for_ever(
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


@pytest.mark.parametrize("name", ["a//b", "loss/", "/x", "..", ".", "../x", "a/../b", "//x", "a/b", "a.b", ""])
def test_mlflow_takes_every_name(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(_name(name))
    assert (_name(name) == name) == (name in ("a/b", "a.b"))


def test_mlflow_keeps_a_study_whose_names_it_would_refuse(empty_mlflow: Path, tmp_path: Path) -> None:
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    names = {"a//b": 1, "/x": 2, "..": 3}
    tracker = in_mlflow(tmp_path / "mlflow.db")
    tracker.write([tracked("running", 0, **names)])
    trial = tracked("completed", 1, **names)
    point = Point(1, 1.5, {"loss/": 0.5})
    trial = msgspec.structs.replace(trial, points=[point])
    tracker.write([trial])
    tracker.close(StudySummary(trials=1, failed=0, ended=2.0, best=trial, resource=1, metrics=point.metrics))
    shown, best = of_mlflow(tracker.place, "suite")
    assert shown[0].configuration == {"a__b": "1", "_x": "2", "__": "3"}
    assert (shown[0].points, best) == ([(1, {"loss_": 0.5})], 0)


def test_mlflow_says_of_the_best_trial_nothing_that_an_earlier_best_one_had(empty_mlflow: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    found = []
    configurations: list[dict[str, Any]] = [{"kind": "sgd", "momentum": 0.9}, {"kind": None}]
    for number, configuration in enumerate(configurations):
        tracker = in_mlflow(tmp_path / "mlflow.db")
        best = msgspec.structs.replace(tracked("completed", 1, **configuration), number=number)
        tracker.write([best])
        tracker.close(StudySummary(trials=2, failed=0, ended=2.0, best=best, resource=1, metrics={"loss": 0.5}))
        client = MlflowClient(tracker.place)
        [experiment] = client.search_experiments(filter_string="tags.`ashtune.study` = 'suite'")
        [run] = client.search_runs([experiment.experiment_id], "tags.`ashtune.trial` = 'study'")
        tags = run.data.tags
        found.append({name[20:]: value for name, value in tags.items() if name.startswith("ashtune.best.config.")})
        assert (tags["ashtune.best.trial"], tags["ashtune.best.metric.loss"]) == (str(number), "0.5")
    assert found == [{"kind": "sgd", "momentum": "0.9"}, {"kind": "None"}]


def test_wandb_and_trackio_keep_a_hyperparameter_that_is_called_ashtune(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trackio import sqlite_storage, utils

    for module in (sqlite_storage, utils):
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path)
    study = ObservedStudy(name="suite", directory=str(tmp_path), created=1.0, goal=GOAL, ladder=LADDER)
    trackers = WandbTracker(tmp_path), TrackioTracker(tmp_path)
    for tracker in trackers:
        tracker.begin(study, 0)
        tracker.write([tracked("completed", 1, ashtune=5, x=1)])
    kept = {"config.ashtune": "5", "x": "1"}
    assert of_wandb(tmp_path / "wandb")[0][0].configuration == kept
    assert of_trackio(Path(trackers[1].place).stem)[0][0].configuration == kept


def test_trackio_keeps_metrics_that_are_called_as_its_own_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trackio import sqlite_storage, utils

    for module in (sqlite_storage, utils):
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path)
    tracker = TrackioTracker(tmp_path)
    tracker.begin(ObservedStudy(name="suite", directory=str(tmp_path), created=1.0, goal=GOAL, ladder=LADDER), 0)
    point = Point(2, 1.5, {"loss": 0.5, "step": 300.0, "timestamp": 7.0})
    tracker.write([msgspec.structs.replace(tracked("completed", x=1), points=[point])])
    shown, _ = of_trackio(Path(tracker.place).stem)
    assert shown[0].points == [(2, {"loss": 0.5, "__step": 300.0, "__timestamp": 7.0})]


@pytest.mark.parametrize("make", [TensorBoardTracker, TrackioTracker])
@pytest.mark.parametrize("character", ["e", "é", "試"])
def test_the_name_of_a_study_is_shortened_to_what_a_file_may_be_called(
    make: type[TensorBoardTracker | TrackioTracker], character: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trackio import sqlite_storage, utils

    for module in (sqlite_storage, utils):
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path)
    study = ObservedStudy(name=300 * character, directory=str(tmp_path), created=1.0, goal=GOAL, ladder=LADDER)
    tracker = make(tmp_path)
    tracker.begin(study, 0)
    tracker.write([tracked("completed", x=1)])
    [name] = {path.name.partition(".")[0] for path in tmp_path.iterdir() if path.name.startswith(character)}
    assert name.endswith(f"{character}-{tracker.key}")
    assert 100 <= len(name.encode()) - 9 <= 200


def test_what_is_text_in_one_trial_is_text_in_all_for_the_filters_of_tensorboard(study_copy: Path) -> None:
    tracker = TensorBoardTracker(study_copy / "tb")
    study = ObservedStudy(name="s", directory=str(study_copy), created=1.0, goal=GOAL, ladder=LADDER)
    tracker.begin(study, 0)
    values: list[Any] = [None, 3, True]
    trials = [msgspec.structs.replace(tracked("completed", 1, mixed=value), number=n) for n, value in enumerate(values)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracker, "top", lambda count: trials)
        tracker.end()
    shown, _ = of_tensorboard(study_copy / "tb")
    assert [trial.configuration["mixed"] for _, trial in sorted(shown.items())] == ["None", "3", "True"]


def test_studies_in_one_folder_have_rows_of_their_own_and_all_columns_in_tensorboard(tmp_path: Path) -> None:
    """TensorBoard takes rows of one name for repetitions of one trial, and the columns that one study names for all."""
    goals = {"rate": Goal("loss", "min"), "width": Goal("score", "max")}
    for created, (name, goal) in enumerate(goals.items(), 1):
        tracker = TensorBoardTracker(tmp_path)
        tracker.begin(ObservedStudy(name="s", directory="", created=created, goal=goal, ladder=LADDER), 0)
        points = [Point(3, 1.0, {goal.metric: float(created)})]
        trial = msgspec.structs.replace(tracked("completed", 1, **{name: created}), points=points)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tracker, "top", lambda count, trial=trial: [trial])
            tracker.end()
    experiment, rows, _ = hparams_of(tmp_path)
    assert {"rate", "width"} <= {info.name for info in experiment.hparam_infos}
    assert {info.name.tag for info in experiment.metric_infos} == {"loss", "score"}
    assert len(rows) == 2
    for row in rows:
        [session] = row.sessions
        [name] = {"rate", "width"} & row.hparams.keys()
        [metric] = row.metric_values
        assert metric.name.tag == goals[name].metric
        assert metric.value == row.hparams[name].number_value
        assert row.name == f"{session.name.partition('/')[0]} trial 0"


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

        return Exported(make=make, read=lambda tracker: comparable(of_mlflow(tracker.place, "suite")))


class TestWandb(ExporterSuite):
    @pytest.fixture
    def steps(self) -> list[Step]:
        return list(History(1, trials=5))

    @pytest.fixture
    def exported(self) -> Exported:
        return Exported(make=WandbTracker, read=lambda tracker: comparable(of_wandb(Path(tracker.place))))


class TestTensorBoard(ExporterSuite):
    @pytest.fixture(autouse=True)
    def writes_at_each_tick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tracking, "SECONDS_BETWEEN", 0.0)
        monkeypatch.setattr(tensorboard, "SECONDS_BETWEEN", 0.0)

    @pytest.fixture
    def exported(self) -> Exported:
        return Exported(make=TensorBoardTracker, read=lambda tracker: comparable(of_tensorboard(Path(tracker.place))))


class TestTrackio(ExporterSuite):
    @pytest.fixture
    def exported(self, monkeypatch: pytest.MonkeyPatch) -> Exported:
        from trackio import sqlite_storage, utils

        def make(folder: Path) -> TrackioTracker:
            for module in (sqlite_storage, utils):  # a process has one folder: here each study has its own
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
