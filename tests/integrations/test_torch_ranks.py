"""Data-parallel training of each trial over gloo, by processes of this
machine and by ranks of MPI.
"""

import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.killing import kill, until
from tests.helpers.launching import FAMILY, launched, mpiexec_launched
from tests.helpers.starting import ranks_of_workers

pytest.importorskip("torch", reason="PyTorch is not installed")

from ashtune._src.core.events import (
    JobFailed,
    JobFinished,
    JobPaused,
    TrialStarted,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.study.journal import NAME, read_events

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="the ranks of a worker need its guardian"),
]

SCRIPT = """
    import sys
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel
    import ashtune

    torch.set_num_threads(1)

    def train(trial):
        trial.torch_distributed()
        dist.init_process_group("gloo")
        torch.manual_seed(trial.seed)
        layers = [torch.nn.Linear(4, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1)]
        model = torch.nn.Sequential(*layers).double()
        optimizer = torch.optim.SGD(model.parameters(), trial["rate"], momentum=0.9)
        trial.checkpoint(model=model, optimizer=optimizer)
        parallel = DistributedDataParallel(model)
        x = torch.randn(128, 4, generator=torch.Generator().manual_seed(1), dtype=torch.double)
        y = x.sum(1, keepdim=True)
        for epoch in trial.epochs():
            order = torch.randperm(128, generator=torch.Generator().manual_seed(epoch))
            for batch in order.split(32):  # the global batch
                own = batch[trial.rank :: trial.world_size]
                loss = (parallel(x[own]) - y[own]).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                trial.report(loss=(model(x) - y).square().mean().item())

    if __name__ == "__main__":
        engine = getattr(ashtune, sys.argv[2])(**dict((name, int(value)) for name, value in
                 (option.split("=") for option in sys.argv[4:])))
        ashtune.tune(train, {"rate": (0.001, 0.1)}, metric="loss", mode="min", trials=int(sys.argv[3]),
                     max_resource=9, search="random", quiet=True, directory=sys.argv[1], engine=engine)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(textwrap.dedent(SCRIPT))
    return tmp_path / "train.py"


def curves(study: Path) -> dict[int, dict[int, float]]:
    """Return the loss of each trial by epoch."""
    found: dict[int, dict[int, float]] = {}
    for event in read_events(study / NAME):
        if isinstance(event, JobFinished):
            reports = [*event.curve, (event.resource, event.metrics)]
            found.setdefault(event.trial, {}).update(
                {epoch: metrics["loss"] or 0.0 for epoch, metrics in reports}
            )
    return found


def assert_same_losses(study: Path, alone: Path) -> None:
    ours, theirs = curves(study), curves(alone)
    assert len(ours) == len(theirs) == 20
    common = [
        (trial, epoch) for trial in ours for epoch in ours[trial].keys() & theirs[trial].keys()
    ]
    assert len(common) >= 20
    for trial, epoch in common:
        assert ours[trial][epoch] == pytest.approx(theirs[trial][epoch], rel=1e-9)


def tuned(script: Path, name: str, *arguments: str) -> Path:
    subprocess.run(
        [sys.executable, str(script), str(script.parent / name), *arguments],
        check=True,
        timeout=600,
    )
    return script.parent / name


def test_two_processes_per_trial_give_the_same_losses_as_one(script: Path) -> None:
    alone = tuned(script, "alone", "Local", "20", "workers=1")
    both = tuned(script, "both", "Local", "20", "workers=1", "processes_per_trial=2")
    assert_same_losses(both, alone)


@pytest.mark.skipif(FAMILY is None, reason="no MPI is installed in this environment")
def test_two_mpi_ranks_per_trial_give_the_same_losses_as_one_process(script: Path) -> None:
    alone = tuned(script, "alone", "Local", "20", "workers=1")
    study = script.parent / "ranks"
    with mpiexec_launched(
        5, sys.executable, str(script), str(study), "MPI", "20", "ranks_per_trial=2"
    ) as launch:
        ended = launch.wait(600)
    assert ended.status == 0, str(ended)
    assert_same_losses(study, alone)


def test_twenty_random_kills_of_ranks_do_not_affect_other_trials(script: Path) -> None:
    chosen, study = random.Random(11), script.parent / "study"
    command = (
        sys.executable,
        str(script),
        str(study),
        "Local",
        "100000",
        "workers=2",
        "processes_per_trial=2",
    )

    def of(kind: Any) -> list[Any]:
        journal = study / NAME
        return (
            [event for event in read_events(journal) if isinstance(event, kind)]
            if journal.exists()
            else []
        )

    with launched(*command) as launch:
        for kills in range(1, 21):
            # all that are not lost
            until(launch, lambda kills=kills: len(of(WorkerJoined)) > kills)
            time.sleep(chosen.uniform(0.0, 3.0))
            kill(launch, [chosen.choice(ranks_of_workers(launch.process.pid))])
            until(launch, lambda kills=kills: len(of(WorkerLost)) >= kills)
        launch.process.send_signal(signal.SIGINT)
        ended = launch.wait(300)
    assert ended.status == -signal.SIGINT, str(ended)
    assert ended.left_behind == ()
    lost = of(WorkerLost)
    assert len(lost) == 20
    assert not of(JobFailed), "an error that is not a kill"
    finished = Counter((event.trial, event.rung) for event in of(JobFinished))
    assert set(finished.values()) == {1}
    ended_well = {event.trial for event in of(JobPaused)} | {trial for trial, _ in finished}
    begun = {event.trial for event in of(TrialStarted)} - {event.trial for event in lost}
    assert len(begun - ended_well) <= 2, "more trials than those that wait for the last worker"
