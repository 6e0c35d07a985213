"""A suite of tests for engines: processes, MPI, threads, the simulator, or your own engine.

Derive a test class from :class:`WorkersSuite`, with a fixture ``engine``. The fixture is a function
that takes (study directory, training function, number of workers) and returns an
:class:`EngineHarness`, made by :func:`open_harness`. If an engine runs training functions, use
:class:`ashtune.testing.trainer_suite.TrainersSuite`, which has more tests.
"""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ashtune._src.core.events import Event, JobFinished, TrialReleased, WorkerJoined
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.option import checked
from ashtune._src.core.orders import Release, Train
from ashtune._src.engines.engine_protocol import Brief, Engine, Workers
from ashtune._src.engines.session_options import RunOptions
from ashtune._src.study import journal as journals
from ashtune._src.study import objective_file as objectives
from ashtune._src.study.configurations import Configurations
from ashtune._src.study.journal_writer import create
from ashtune._src.study.settings import Settings
from ashtune._src.training.worker_messages import Setup

__all__ = ["EngineHarness", "WorkersSuite", "open_harness"]

Kind = TypeVar("Kind", bound=Event)
WAIT_SECONDS = 100.0
"""How long a test waits for an event. The time is long, because processes start slowly on a busy
machine.
"""
GOAL = Goal("score", "max")


class Numbered:
    """A design without end, in which trial i has the configuration ``{"x": i}``."""

    size = None

    def configuration(self, trial: int) -> dict[str, Any]:
        return {"x": trial}

    def find(self, configuration: Mapping[str, object]) -> int | None:
        """Return None, because the design has no end."""
        return None


class EngineHarness:
    """The workers of an engine, with the functions that a test needs."""

    def __init__(self, workers: Workers, configurations: Configurations) -> None:
        self.workers = workers
        self._configurations = configurations
        self._seen: list[Event] = []
        self.history: list[Event] = []

    def train(
        self, worker: WorkerId, trial: int, *, rung: int = 0, start: int = 0, target: int = 1
    ) -> None:
        """Send a worker the order to train a trial."""
        number = TrialId(trial)
        if number not in self._configurations:
            self._configurations.draw(number)
        self.workers.carry_out(Train(worker, number, rung, start, target))

    def go_on(self, worker: WorkerId, trial: int, *, rung: int, start: int, target: int) -> None:
        """Send a worker the order to continue the trial that the worker holds."""
        self.workers.carry_out(Train(worker, TrialId(trial), rung, start, target, in_place=True))

    def next(self, kind: type[Kind]) -> Kind:
        """Wait for the next event of type ``kind`` and return the event. Later calls get the other
        events.
        """
        until = self.workers.now() + WAIT_SECONDS
        while True:
            for event in self._seen:
                if isinstance(event, kind):
                    self._seen.remove(event)
                    return event
            assert self.workers.now() < until, (
                f"no {kind.__name__} in {WAIT_SECONDS} s; there were {self._seen}"
            )
            arrived = list(self.workers.wait(until))
            self.history += arrived
            self._seen += arrived


def open_harness(
    engine: Engine,
    study: Path,
    objective: Callable[..., Any],
    workers: int,
    *,
    options: RunOptions | None = None,
    first_worker: int = 0,
) -> EngineHarness:
    """Open an engine's workers for a new study, and return the workers in a harness.

    Args:
        engine: The engine under test.
        study: The directory of the study, empty or missing.
        objective: The training function; its metric is ``score``.
        workers: The number of workers.
        options: The options of the run.
        first_worker: The number of the first worker.
    """
    study.mkdir(parents=True, exist_ok=True)
    objectives.keep(study, objectives.pack(objective, quiet=True))
    created = time.time()
    settings = Settings(
        ashtune="0", created=created, name="suite", goal=GOAL, scheduler={"kind": "ash"}, rungs=(1,
        ), kept=(), space={},
        search={}, seed=0,
    )  # fmt: skip
    if not (study / journals.NAME).exists():
        create(study / journals.NAME, settings)
    configurations = Configurations(Numbered())
    brief = Brief(
        setup=Setup(
            WorkerId(first_worker), str(study / objectives.NAME), GOAL, str(study), 0, sys.path
        ),
        configurations=configurations,
        created=created,
        options=checked(RunOptions, options or {}),
        workers=workers,
        objective=objective,
    )
    return EngineHarness(engine.open(brief), configurations)


MakeHarness = Callable[[Path, Callable[..., Any], int], EngineHarness]


def count(trial: Any) -> None:
    """A training function that reports the trial's configuration, and the number of its trained
    epochs.
    """
    trained = trial.restore() or []
    for epoch in trial.epochs():
        trained.append(epoch)
        trial.report(score=float(trial["x"]), trained=len(trained))
    trial.save(trained)


class WorkersSuite:
    """The tests of an engine."""

    def test_every_worker_joins_once_under_its_own_number(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        # The driver identifies workers only by number. If two workers had the same number, both
        # would get each order.
        harness = engine(tmp_path, count, 2)
        assert harness.next(WorkerJoined).worker != harness.next(WorkerJoined).worker

    def test_a_result_contains_its_rung_metrics_and_all_earlier_reports(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        """The event of a result has the reports of all epochs up to the rung."""
        # The curve does not have the report at the rung itself, because this report is the result.
        # If an engine sent it twice, the curve would have two points at one resource.
        harness = engine(tmp_path, count, 1)
        worker = harness.next(WorkerJoined).worker
        harness.train(worker, 7, rung=2, target=3)
        result = harness.next(JobFinished)
        assert (result.trial, result.rung, result.start, result.resource, result.held) == (
            7,
            2,
            0,
            3,
            True,
        )
        assert result.metrics == {"score": 7.0, "trained": 3.0}
        assert [resource for resource, _ in result.curve] == [1, 2]

    def test_a_trial_continues_on_its_worker_without_loading_a_checkpoint(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        """If a worker continues its trial in place, no checkpoint is saved
        between the two rungs.
        """
        # An engine that starts the training function again would give correct results, but would be
        # slow: each promotion would save, load and build a model. The missing folder shows that
        # nothing was saved.
        harness = engine(tmp_path, count, 1)
        worker = harness.next(WorkerJoined).worker
        harness.train(worker, 0, target=2)
        harness.next(JobFinished)
        harness.go_on(worker, 0, rung=1, start=2, target=5)
        result = harness.next(JobFinished)
        assert (result.start, result.resource, result.metrics["trained"]) == (2, 5, 5.0)
        assert not (tmp_path / "checkpoints").exists()

    def test_a_released_trial_is_saved_and_can_resume_on_any_worker(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        """After a trial is released, another worker continues the trial from its checkpoint."""
        # The test finds a checkpoint that only its own worker can read, for example in the worker's
        # folder or memory. The count of trained epochs shows that the state was restored, not only
        # that a file exists.
        harness = engine(tmp_path, count, 2)
        one = harness.next(WorkerJoined).worker
        other = harness.next(WorkerJoined).worker
        harness.train(one, 3, target=2)
        harness.next(JobFinished)
        harness.workers.carry_out(Release(one, TrialId(3)))
        released = harness.next(TrialReleased)
        assert released.resource == 2
        assert released.checkpoint is not None
        assert released.checkpoint > 0
        harness.train(other, 3, rung=1, start=2, target=4)
        result = harness.next(JobFinished)
        assert (result.start, result.resource, result.metrics["trained"]) == (2, 4, 4.0)

    def test_a_worker_trains_a_job_sent_together_with_a_release(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        """A worker trains its next job if the driver sends the release and the job at the same
        time.
        """
        # If a worker deleted its waiting messages after saving, the job would be lost. The driver
        # would not send the job again, since nothing failed. So the worker would be idle until the
        # study ends.
        harness = engine(tmp_path, count, 1)
        worker = harness.next(WorkerJoined).worker
        harness.train(worker, 0)
        harness.next(JobFinished)
        harness.workers.carry_out(Release(worker, TrialId(0)))
        harness.train(worker, 1)
        assert harness.next(JobFinished).trial == 1
        assert harness.next(TrialReleased).trial == 0

    def test_waiting_for_events_ends_at_the_given_time_without_events(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        # The driver needs this for time limits and ticks. If an engine waited only for messages, a
        # study with one long job would exceed its time limit.
        harness = engine(tmp_path, count, 1)
        harness.next(WorkerJoined)
        until = harness.workers.now() + 0.05
        assert list(harness.workers.wait(until)) == []
        assert harness.workers.now() >= until - 0.01

    def test_events_arrive_in_the_order_of_their_times(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        """The time of an event is the time at which the event arrived at the driver."""
        # The time is not from the worker's clock: the clocks of machines differ, and if the times
        # of a journal decreased, waits would be negative. The test has two workers, so that their
        # messages can arrive in any order.
        harness = engine(tmp_path, count, 2)
        for _ in range(2):
            harness.train(harness.next(WorkerJoined).worker, 0)
        for _ in range(2):
            harness.next(JobFinished)
        times = [event.time for event in harness.history]
        assert times == sorted(times)
        assert times[-1] <= harness.workers.now()
