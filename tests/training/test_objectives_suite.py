"""What a study may do to its training functions, done to a plain one and to fused ones, of JAX and
PyTorch, alike.
"""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.events import WorkerJoined
from ashtune._src.core.jobs import Job
from ashtune._src.core.ladder import Ladder
from ashtune._src.study.journal import NAME, read_events
from ashtune.testing.oracles import RecordedResult, unexplained_results
from tests.helpers.curves import results
from tests.helpers.launching import FAMILY, PYTHON, mpiexec

pytestmark = pytest.mark.thorough

TRIALS, TOP = 200, 16
FUNCTIONS = """
    import os
    import sys
    import ashtune

    PAUSE = float(os.environ.get("PAUSE", "0"))  # about so many seconds an epoch takes, so that there is time to kill
    space = {"learning_rate": (0.01, 0.3), "width": [2, 3]}


    def plain(trial):
        import time

        import numpy as np

        x = np.linspace(-1, 1, 16)
        weight = trial.restore()
        weight = 0.0 if weight is None else weight
        for epoch in trial.epochs():
            time.sleep(PAUSE)
            weight -= trial["learning_rate"] * (x * (x * weight - trial["width"] * x)).mean()
            trial.report(loss=((x * weight - trial["width"] * x) ** 2).mean() if trial["learning_rate"] < 1 else np.nan)
        trial.save(weight)


    def fused(**more):
        import jax.numpy as jnp
        import numpy as np

        x = np.linspace(-1, 1, 16, dtype=np.float32)

        def step(state, batch, config):
            weight, width = state
            slope = (batch * (batch * weight - width * batch)).mean()
            gone = jnp.where(config["learning_rate"] < 1, 0.0, jnp.nan)
            return (weight - config["learning_rate"] * slope + gone, width), {}

        return ashtune.fused(
            init=lambda key, config: (jnp.zeros(()), jnp.float32(config["width"])),
            step=step,
            evaluate=lambda state, data: {
                "loss": ((data[0] * state[0] - state[1] * data[0]) ** 2).mean(),
                "idle": jnp.sin(data[1] + state[0]).sum(),
            },
            train=x, validation=(x[None], np.zeros((1, 1 + int(PAUSE * 2e8)), np.float32)), batch_size=16,
            static=["width"], **more,
        )


    def fused_torch():
        import time

        import numpy as np
        import torch

        class Slope(torch.nn.Module):
            def __init__(self, config):
                super().__init__()
                self.weight = torch.nn.Parameter(torch.zeros(()))
                self.width = config["width"]

            def forward(self, x):
                return x * self.weight - self.width * x

        def squares(outputs):
            return (outputs ** 2).mean()

        def evaluate(outputs):
            time.sleep(4 * PAUSE)  # several are evaluated together
            return {"loss": squares(outputs)}

        x = np.linspace(-1, 1, 16, dtype=np.float32)
        return ashtune.fused_torch(
            Slope, train=(x,), validation=(x,), batch_size=16, static=["width"],
            loss=squares, evaluate=evaluate,
        )


    functions = {"plain": lambda: plain, "fused": fused, "fused_torch": fused_torch}


    def tune(kind, directory, space=space, **more):
        given = dict(metric="loss", mode="min", trials=200, min_resource=1, max_resource=16, reduction_factor=2, **more)
        return ashtune.tune(
            functions[kind](), space, search="random", workers=2, quiet=True, directory=directory, **given
        )


    # The driver begins when both workers have joined, and after so many results it rests until
    # there is a file "continue".
    def hold(results):
        import time
        from pathlib import Path

        from ashtune._src.core.events import JobFinished, WorkerJoined
        from ashtune._src.engines.local.local_workers import LocalWorkers

        go_on, wait, seen = Path(__file__).with_name("continue"), LocalWorkers.wait, []

        def patient(workers, until):
            while sum(isinstance(event, JobFinished) for event in seen) >= results and not go_on.exists():
                time.sleep(0.01)
            events = list(wait(workers, until))
            seen.extend(events)
            while sum(isinstance(event, WorkerJoined) for event in seen) < 2:
                more = wait(workers, workers.now() + 1.0)
                seen.extend(more)
                events.extend(more)
            return events

        LocalWorkers.wait = patient


    if __name__ == "__main__":
        if "HOLD" in os.environ:
            hold(int(os.environ["HOLD"]))
        tune(sys.argv[1], sys.argv[2])
"""


@pytest.fixture(params=["plain", "fused", "fused_torch"])
def kind(request: pytest.FixtureRequest) -> str:
    if library := {"fused": "jax", "fused_torch": "torch"}.get(request.param):
        pytest.importorskip(library, reason=f"{library} is not installed")
    return str(request.param)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The functions, as a script that anyone can start; compiled programs are kept beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "functions.py"
    file.write_text(textwrap.dedent(FUNCTIONS))
    return file


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch takes about a hundredth of a second: a call, which a stop waits for, trains a few
    dozen and not all.
    """
    monkeypatch.setenv("PAUSE", "0.01")


@pytest.fixture
def tune(script: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(script.parent))
    monkeypatch.delitem(sys.modules, "functions", raising=False)
    import functions  # type: ignore[import-not-found]

    return functions.tune


def assert_whole(study: Path, trials: int = TRIALS) -> None:
    """Every configuration was tried, no result is there twice, each promotion follows, and no epoch
    is missing.
    """
    events = results(study)
    counted = Counter((event.trial, event.rung) for event in events)
    assert set(counted.values()) == {1}
    assert {trial for trial, rung in counted if rung == 0} == set(range(trials))
    recorded = [
        RecordedResult(Job(event.trial, event.rung), event.metrics["loss"] or 0.0)
        for event in events
    ]
    assert unexplained_results(Ladder(1, TOP, 2), recorded) == []
    curves = ashtune.Study.load(study).curves_dataframe()
    epochs: dict[int, list[int]] = defaultdict(list)
    losses: dict[int, list[float]] = defaultdict(list)
    for trial, resource, loss in zip(curves.trial, curves.resource, curves.loss, strict=True):
        epochs[trial].append(resource)
        losses[trial].append(loss)
    for trial, reached in epochs.items():
        assert reached == list(range(1, len(reached) + 1)), trial
        assert losses[trial] == sorted(losses[trial], reverse=True), (
            f"trial {trial} continued from a wrong state"
        )


def test_a_stopped_study_of_each_kind_of_training_function_can_continue(
    kind: str, paced: None, tune: Any, tmp_path: Path
) -> None:
    study = tune(kind, tmp_path / "s", stop=ashtune.Stop(total_resource=300))
    assert StudyReader(study.directory).tally.epochs < 400
    ashtune.Study.load(tmp_path / "s").resume(
        stop=ashtune.Stop(total_resource=10**6), workers=2, quiet=True
    )
    assert_whole(tmp_path / "s")


@pytest.mark.skipif(sys.platform != "linux", reason="kills by process number")
def test_no_result_is_lost_if_the_driver_is_killed(
    kind: str, script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAUSE", "0.005")
    chance, study, kills = random.Random(3), tmp_path / "s", 0
    for after in [40, 40, 40, 10**6]:
        monkeypatch.setenv("HOLD", str(after + 10))
        driver = subprocess.Popen(
            [PYTHON, str(script), kind, str(study)], stderr=subprocess.DEVNULL
        )
        before = len(results(study))
        while driver.poll() is None and len(results(study)) < before + after:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.01))
        kills += driver.poll() is None
        driver.kill()
        driver.wait()
    assert driver.returncode == 0
    assert kills == 3
    assert_whole(study)


@pytest.mark.skipif(sys.platform != "linux", reason="kills by process number")
def test_killed_workers_are_replaced_and_their_trials_continue_elsewhere(
    kind: str, script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAUSE", "0.005")
    monkeypatch.setenv("HOLD", "40")
    study = tmp_path / "s"
    driver = subprocess.Popen([PYTHON, str(script), kind, str(study)], stderr=subprocess.DEVNULL)
    while driver.poll() is None and (len(results(study)) < 30 or len(pids(study)) < 2):
        time.sleep(0.005)
    killed = pids(study)
    # both at once: a trial that is there when two die one after the other is held to kill them
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    (tmp_path / "continue").touch()
    driver.wait()
    assert driver.returncode == 0
    assert len(killed) == 2
    assert len(pids(study)) > 2
    assert StudyReader(study).tally.failures.total == 0
    assert_whole(study)


def test_a_trial_fails_only_if_its_result_is_not_finite(
    kind: str, tune: Any, tmp_path: Path
) -> None:
    study = tune(
        kind,
        tmp_path / "s",
        {"learning_rate": [0.05, 0.1, 0.2, 3e38], "momentum": (0.0, 0.1), "width": [2, 3]},
    )
    table = study.dataframe()
    wild = table[table.learning_rate > 1]
    assert 20 < len(wild) < 80
    assert set(table[table.status == "failed"].number) == set(wild.number)
    assert all(
        "not finite" in group.reason
        for group in StudyReader(study.directory).tally.failures.groups()
    )


@pytest.mark.skipif(FAMILY is None, reason="no MPI is installed in this environment")
def test_each_kind_of_training_function_runs_in_an_mpi_job(
    kind: str, script: Path, tmp_path: Path
) -> None:
    ended = mpiexec(3, PYTHON, str(script), kind, str(tmp_path / "s"))
    assert ended.status == 0, str(ended)
    assert_whole(tmp_path / "s")


def pids(study: Path) -> list[int]:
    return [event.pid for event in read_events(study / NAME) if isinstance(event, WorkerJoined)]
