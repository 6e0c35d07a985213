"""The sweeper of Hydra: programs as users start them, from the command line to the file of the
best.
"""

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hydra", reason="hydra-core is not installed")
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

import ashtune
from ashtune._src.core.errors import AshtuneError, SpaceError
from ashtune._src.core.events import JobFinished
from ashtune._src.core.option import options_of
from ashtune._src.driver.study_options import TuneOptions
from ashtune._src.integrations.hydra import Sweep, Swept, read
from ashtune._src.space.space import Space
from ashtune._src.study.journal import NAME, read_events

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

CONFIG = """
    defaults:
      - model: small
      - override hydra/sweeper: ashtune
      - _self_

    lr: 0.1
    batch: 16
    hydra:
      job: {env_set: {OF_THE_JOB: "yes"}}
      sweeper:
        metric: loss
        mode: min
        trials: 9
        max_resource: 9
        workers: 2
        search: random
        params:
          model.depth: range(1,5)
          lr: interval(5,6)
"""
MAIN = """
    import logging
    import os
    import time

    import hydra
    from hydra.core.hydra_config import HydraConfig

    import ashtune

    log = logging.getLogger(__name__)

    class Model:
        epochs = 0

    @hydra.main(version_base=None, config_path="conf", config_name="config")
    def main(cfg):
        trial = ashtune.current_trial()
        own = HydraConfig.get()
        assert own.job.num == trial.number
        assert own.runtime.output_dir.endswith(f"/{trial.number}")
        assert os.environ["OF_THE_JOB"] == "yes"
        model = trial.restore() or Model()
        log.info("from %d, %s", trial.start, os.environ.get("HYDRA_FULL_ERROR"))
        while "HOLD" in os.environ and trial.number >= int(os.environ["HOLD"]):
            time.sleep(0.05)
        for epoch in trial.epochs():
            model.epochs += 1
            trial.report(loss=cfg.lr * cfg.model.depth * cfg.batch / epoch, trained=model.epochs)
        trial.save(model)

    if __name__ == "__main__":
        main()
"""
OVERRIDES = [
    "lr=tag(log,interval(1e-4,1e-1))",
    "batch=16,32",
    "model=small,large",
    "hydra.sweep.dir=out",
]


def with_program(folder: Path) -> Path:
    """Put ``main.py`` and its configs into a folder."""
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "config.yaml").write_text(textwrap.dedent(CONFIG))
    (folder / "conf" / "model" / "small.yaml").write_text("name: small\ndepth: 1\n")
    (folder / "conf" / "model" / "large.yaml").write_text("name: large\ndepth: 1\n")
    (folder / "main.py").write_text(textwrap.dedent(MAIN))
    return folder


def started(folder: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, env={**os.environ, **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    process = started(folder, *arguments, **environment)
    printed, complained = process.communicate(timeout=200)
    return subprocess.CompletedProcess(arguments, process.returncode, printed, complained)


def finished(study: Path) -> list[JobFinished]:
    journal = study / NAME
    return (
        [event for event in read_events(journal) if isinstance(event, JobFinished)]
        if journal.exists()
        else []
    )


def wait_until(condition: Callable[[], bool], seconds: float = 100) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which ``main.py`` was swept. It is shared: read it only."""
    folder = with_program(tmp_path_factory.mktemp("swept"))
    done = ended(folder, "main.py", "--multirun", *OVERRIDES, HYDRA_FULL_ERROR="1")
    assert done.returncode == 0, done.stderr
    (folder / "printed").write_text(done.stdout)
    return folder


def test_promoted_hydra_jobs_continue_from_their_checkpoint(swept: Path) -> None:
    results = finished(swept / "out" / "study")
    assert {result.resource for result in results} == {1, 3, 9}
    assert any(result.start > 0 for result in results)
    assert all(result.metrics["trained"] == result.resource for result in results), (
        "no epoch was trained twice"
    )
    assert ashtune.Study.load(swept / "out" / "study").is_complete


def test_the_hydra_sweeper_writes_and_prints_the_best_result(swept: Path) -> None:
    best = ashtune.Study.load(swept / "out" / "study").best
    results = OmegaConf.to_container(OmegaConf.load(swept / "out" / "optimization_results.yaml"))
    assert results == {
        "name": "ashtune", "best_params": best.config, "best_value": best.metrics["loss"],
        "best_trial": best.trial, "best_resource": 9,
    }  # fmt: skip
    last = (swept / "printed").read_text().strip().splitlines()[-1]
    assert f"Best: loss={best.metrics['loss']:.6g} of trial {best.trial} at epoch 9: " in last
    assert f"model={best.config['model']}" in last


def test_a_killed_sweep_resumes_in_the_same_directory(tmp_path: Path) -> None:
    folder = with_program(tmp_path)
    study = folder / "out" / "study"
    # it cannot end before it is killed
    running = started(folder, "main.py", "--multirun", *OVERRIDES, HOLD="5")
    wait_until(lambda: len(finished(study)) >= 3)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    before = [(event.trial, event.rung) for event in finished(study)]
    assert not (folder / "out" / "optimization_results.yaml").exists()
    done = ended(folder, "main.py", "--multirun", *OVERRIDES)
    assert done.returncode == 0, done.stderr
    after = [(event.trial, event.rung) for event in finished(study)]
    assert after[: len(before)] == before
    assert len(after) == len(set(after)), "nothing is trained twice"
    assert {event.metrics["trained"] - event.resource for event in finished(study)} == {0}
    assert (folder / "out" / "optimization_results.yaml").exists()


@contextmanager
def composed_here(folder: Path, *overrides: str) -> Iterator[tuple[DictConfig, HydraContext]]:
    """Give a sweep's config and context in this process."""
    from hydra._internal.callbacks import Callbacks
    from hydra.types import RunMode

    with initialize_config_dir(str(folder / "conf"), version_base=None):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration("config", list(overrides), run_mode=RunMode.MULTIRUN)
        yield config, HydraContext(loader, Callbacks())


def read_here(folder: Path, *arguments: str, **params: Any) -> Swept:
    with composed_here(folder) as (_, context):
        return read(arguments, params, context.config_loader)


def test_hydra_overrides_convert_to_a_space_and_back(tmp_path: Path) -> None:
    folder = with_program(tmp_path)
    swept = read_here(
        folder, "a=interval(1,2)", "b=tag(log,interval(1e-4,1))", "c=int(interval(1,9))",
        "+d=tag(log,range(1,9))",
        "e=range(0,1,0.25)", "f=9,1,4", "g=true,null,'x y',[1,2],u", "model=glob(*)", "h=5", "~i",
        "j=2.5,x",
        "db@two=one,other", "k=interval(3,3)", "l=range(4,1,-1)", "m=7,8", h="1,2",
        m="interval(0,1)", n="shuffle(1,2)",
    )  # fmt: skip
    space = swept.space
    assert space == {
        "n": [1, 2], "a": (1.0, 2.0), "b": (1e-4, 1.0, "log"), "c": (1, 9), "d": (1, 8, "log"),
        "e": space["e"],
        "f": [9, 1, 4], "g": ["True", "null", "'x y'", "[1,2]", "u"], "model": ["large", "small"],
        "j": ["2.5", "x"],
        "db:two": ["one", "other"], "k": [3.0], "l": (2, 4), "m": [7, 8],
    }  # fmt: skip
    assert space["e"] == [0.0, 0.25, 0.5, 0.75]
    Space.parse(space)
    configuration = {
        "n": 1, "a": 1.5, "b": 1.5e-05, "c": 3, "d": 8, "e": 0.25, "f": 4, "g": "'x y'",
        "model": "large", "j": "2.5",
        "db:two": "other", "k": 3.0, "l": 2, "m": 7,
    }  # fmt: skip
    assert swept.overrides(configuration) == [
        "n=1", "a=1.5", "b=1.5e-05", "c=3", "+d=8", "e=0.25", "f=4", "g='x y'", "model=large",
        "h=5", "~i", "j=2.5",
        "db@two=other", "k=3.0", "l=2", "m=7",
    ]  # fmt: skip
    meant = swept.parameters(configuration)
    assert (meant["+d"], meant["g"], meant["j"], meant["db@two"]) == (8, "x y", 2.5, "other")
    assert swept.parameters({**configuration, "g": "null"})["g"] is None
    probes = list(swept.probes())
    assert len(probes) == 5, "as many as the longest list has values"
    assert [probe[7] for probe in probes] == ["g=True", "g=null", "g='x y'", "g=[1,2]", "g=u"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["lr=0.1"], "no override has a range or a list"),
        (["lr=range(3,3)"], "lr=range(3,3) has no values"),
        (["lr=range(0,3,0)"], "has no values"),
        (["lr=tag(log,range(16,513,16))"], "log needs a step of 1"),
        (["lr=range(0,1,1e-9)"], "more than 10,000 values"),
        (["model=glob(x*)"], "has no values"),
        (["lr=1,2", "lr=interval(0,1)"], "2 overrides set lr"),
    ],
)
def test_hydra_overrides_that_describe_no_valid_space_are_refused(
    arguments: list[str], text: str, tmp_path: Path
) -> None:
    with pytest.raises(SpaceError) as refused:
        read_here(with_program(tmp_path), *arguments)
    assert text in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "overrides", "text"),
    [
        (["lr=interval(2,1)"], [], "lr=(2.0, 1.0) is empty"),
        (["lr=interval(1"], [], "lr=interval(1"),
        (["model=small,huge"], [], "huge"),
        (["lr=1,2"], ["hydra.sweeper.metric=null"], "hydra.sweeper.metric is missing"),
        (["lr=1,2"], ["hydra.sweeper.mode=up", "hydra.sweeper.time_limit=90"], "mode='up'"),
        (["lr=1,2"], ["hydra.sweeper.max_resource=0"], "max_resource=0"),
        (["lr=1,2"], ["+hydra.sweeper.options.rungs=[1,3]"], "max_resource=9 were both given"),
        (
            ["lr=1,2"],
            ["hydra.sweeper.time_limit=soon"],
            "hydra.sweeper.time_limit: 'soon' is not a duration",
        ),
        (["lr=1,2"], ["+hydra.sweeper.options.worker=2"], "worker= is not an option here"),
        (["lr=1,2"], ["+hydra.sweeper.options.engine=threads"], "engine='threads'"),
        (
            ["lr=1,2"],
            ["hydra/launcher=queue"],
            "hydra/launcher='hydra_plugins.queue.Queue' cannot be used",
        ),
        (["lr=1,2"], ["hydra.sweep.dir=main.py"], "File exists: 'main.py'"),
    ],
)
def test_invalid_sweeps_are_refused_before_a_study_begins(
    arguments: list[str],
    overrides: list[str],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = with_program(tmp_path)
    (folder / "conf" / "hydra" / "launcher").mkdir(parents=True)
    (folder / "conf" / "hydra" / "launcher" / "queue.yaml").write_text(
        "_target_: hydra_plugins.queue.Queue\n"
    )
    monkeypatch.chdir(folder)
    with composed_here(folder, "hydra.sweep.dir=out", *overrides) as (config, context):
        settings = {
            name: value for name, value in config.hydra.sweeper.items() if name != "_target_"
        }
        with pytest.raises((AshtuneError, OSError)) as refused:
            Sweep(settings, print, config, context).run(arguments)
    assert text in str(refused.value)
    assert not (folder / "out" / "study" / NAME).exists()


def test_hydra_finds_the_plugin_and_importing_the_plugin_loads_no_large_library() -> None:
    code = """
        import sys
        import hydra_plugins.hydra_ashtune_sweeper
        assert not [name for name in sys.modules if name.partition(".")[0] in ("ashtune", "numpy", "msgspec")]
        import hydra_plugins
        assert getattr(hydra_plugins, "__file__", None) is None, "a namespace package: other plug-ins are in it too"
        from hydra.core.plugins import Plugins
        from hydra.plugins.sweeper import Sweeper
        assert "AshtuneSweeper" in [kind.__name__ for kind in Plugins.instance().discover(Sweeper)]
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_hydra_sweeper_has_the_same_default_values_as_tune() -> None:
    from hydra_plugins.hydra_ashtune_sweeper import AshtuneSweeperConf

    known = options_of(TuneOptions)
    ours = {field.name: field.default for field in dataclasses.fields(AshtuneSweeperConf)}
    assert ours.keys() - known.keys() == {"_target_", "metric", "mode", "params", "options"}
    # A sweep has its study in the sweep's folder, so the directory has a name there.
    names = ours.keys() & known.keys() - {"directory"}
    assert {name: ours[name] for name in names} == {name: known[name][1].default for name in names}
