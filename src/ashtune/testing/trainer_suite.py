"""A suite of tests for engines that run training functions: pauses, exceptions and dead processes.

If ``isolates`` is True, a training function that kills its worker's process must not stop the
engine.
"""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ashtune._src.core.errors import InvalidConfiguration
from ashtune._src.core.events import (
    JobFailed,
    JobFinished,
    JobPaused,
    TrialReleased,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.orders import Pause, Release
from ashtune.testing.engine_suite import MakeHarness, WorkersSuite, count

__all__ = ["TrainersSuite"]


class TrainersSuite(WorkersSuite):
    """The tests of an engine whose workers run training functions."""

    isolates = True

    def test_a_paused_job_continues_from_its_last_trained_epoch(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        """A paused job continues from the last epoch that the job has trained."""
        # A time limit or Ctrl-C pauses jobs. An engine that pauses only between jobs would wait for
        # hours. An engine that kills the job would lose the job's epochs. The count at the end
        # shows that no epoch was trained twice or left out.
        gate = tmp_path / "gate"

        def patient(trial: Any) -> None:
            trained = trial.restore() or []
            for epoch in trial.epochs():
                trained.append(epoch)
                trial.report(score=1.0, trained=len(trained))
                gate.write_text(str(epoch))
                time.sleep(0.01)
            trial.save(trained)

        harness = engine(tmp_path, patient, 1)
        worker = harness.next(WorkerJoined).worker
        harness.train(worker, 0, target=2_000)
        while not gate.exists():
            harness.workers.wait(harness.workers.now() + 0.01)
        harness.workers.carry_out(Pause(worker, TrialId(0)))
        paused = harness.next(JobPaused)
        assert 0 < paused.resource < 2_000
        assert paused.checkpoint is not None
        harness.train(worker, 0, start=paused.resource, target=paused.resource + 1)
        result = harness.next(JobFinished)
        assert (result.start, result.metrics["trained"]) == (
            paused.resource,
            float(paused.resource + 1),
        )

    def test_a_worker_reports_an_exception_and_trains_the_next_job(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        """If a training function raises an exception, its trial fails, and the worker trains the
        next trial.
        """

        # The message must name the line in the user's function, because otherwise the user cannot
        # correct it. A bad configuration must not end the worker, because a search tries many bad
        # configurations.
        def fragile(trial: Any) -> float:
            if trial["x"] == 0:
                raise ValueError("the learning rate is not to my taste")
            return float(trial["x"])

        harness = engine(tmp_path, fragile, 1)
        worker = harness.next(WorkerJoined).worker
        harness.train(worker, 0)
        failed = harness.next(JobFailed)
        assert failed.reason == "ValueError: the learning rate is not to my taste"
        assert "in fragile" in failed.traceback
        harness.train(worker, 1)
        assert harness.next(JobFinished).metrics == {"score": 1.0}

    def test_a_trial_with_an_invalid_configuration_is_withdrawn(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        """A trial with an invalid configuration does not fail, but is withdrawn."""
        # An engine that treats all exceptions in the same way would report a failure. A failed
        # trial ranks last and counts in the rung, but a withdrawn trial is replaced.

        def picky(trial: Any) -> float:
            raise InvalidConfiguration("too wide")

        harness = engine(tmp_path, picky, 1)
        harness.train(harness.next(WorkerJoined).worker, 0)
        assert harness.next(TrialWithdrawn).reason == "too wide"

    def test_jobs_queued_at_a_worker_are_trained_in_order(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        """While a trial is held at a rung, the worker's next job does not begin."""
        # The mistake would be to start the next job as soon as a result is sent. Then the held
        # model and the next model would share the memory of one GPU.
        harness = engine(tmp_path, count, 1)
        worker = harness.next(WorkerJoined).worker
        for trial in range(3):
            harness.train(worker, trial, target=2)
        for trial in range(3):
            result = harness.next(JobFinished)
            assert (result.trial, result.held) == (trial, True)
            harness.go_on(worker, trial, rung=1, start=2, target=3)
            assert harness.next(JobFinished).metrics["trained"] == 3.0
            harness.workers.carry_out(Release(worker, TrialId(trial)))
            assert harness.next(TrialReleased).trial == trial

    def test_a_job_queued_at_its_worker_can_be_paused(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        """If a job is paused while it waits at its worker, the job ends as soon as it starts."""
        # If only the running job were told to pause, the waiting job would not notice, and would
        # train for its whole length after the time limit.
        gate = tmp_path / "gate"

        def patient(trial: Any) -> None:
            for epoch in trial.epochs():
                trial.report(score=1.0)
                gate.write_text(str(epoch))
                time.sleep(0.01)

        harness = engine(tmp_path, patient, 1)
        worker = harness.next(WorkerJoined).worker
        for trial in range(2):
            harness.train(worker, trial, target=2_000)
        while not gate.exists():
            harness.workers.wait(harness.workers.now() + 0.01)
        for trial in range(2):
            harness.workers.carry_out(Pause(worker, TrialId(trial)))
        first = harness.next(JobPaused)
        second = harness.next(JobPaused)
        assert (first.trial, second.trial, second.resource) == (0, 1, 0)
        assert first.resource > 0

    def test_the_message_about_a_dead_worker_names_only_its_running_job(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        """The message about a dead worker names only the worker's running job, and not its waiting
        jobs.
        """
        # A study gives up a trial that kills its workers. If the message named a waiting job, the
        # study would give up a wrong trial.
        if not self.isolates:
            pytest.skip("training takes its process with it")

        def deadly(trial: Any) -> float:
            if trial["x"] == 1:
                os._exit(3)
            return 1.0

        harness = engine(tmp_path, deadly, 1)
        worker = harness.next(WorkerJoined).worker
        for trial in range(4):
            harness.train(worker, trial)
        assert harness.next(JobFinished).trial == 0
        assert harness.next(WorkerLost).trial == 1
        replacement = harness.next(WorkerJoined).worker
        harness.train(replacement, 2)
        assert harness.next(JobFinished).trial == 2

    def test_a_dead_worker_is_reported_with_its_job_and_then_replaced(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        if not self.isolates:
            pytest.skip("training takes its process with it")

        def deadly(trial: Any) -> float:
            if trial["x"] == 0:
                os._exit(3)
            return 1.0

        harness = engine(tmp_path, deadly, 1)
        worker = harness.next(WorkerJoined).worker
        harness.train(worker, 0)
        lost = harness.next(WorkerLost)
        assert (lost.worker, lost.trial, lost.reason) == (worker, 0, "left with exit status 3")
        replacement = harness.next(WorkerJoined).worker
        harness.train(replacement, 1)
        assert harness.next(JobFinished).worker == replacement

    def test_an_exception_after_a_result_does_not_invalidate_the_result(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        """If an exception interrupts a trial after its result, the result stays valid, and the
        worker continues.
        """
        # A function may have its own timer that raises an exception, for example a library's time
        # limit. This can happen while the worker waits for the driver's answer. If an engine then
        # reported a failure, it would report the end of one job twice.
        gate = tmp_path / "gate"
        is_set = tmp_path / "is_set"

        def limited(trial: Any) -> None:
            import ctypes

            me = threading.get_ident()

            def _is_waiting(thread: int) -> bool:
                """Return whether a thread waits for the driver's answer, while no message is being
                sent.
                """
                names = _callers(sys._current_frames()[thread])
                return {"answer", "wait"} <= names and not {
                    "_collect",
                    "_take",
                    "_take_whole",
                } & names

            def _callers(frame: Any) -> set[str]:
                names = set()
                while frame is not None:
                    names.add(frame.f_code.co_name)
                    frame = frame.f_back
                return names

            def break_in() -> None:
                while not (gate.exists() and _is_waiting(me)):
                    time.sleep(0.001)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(me), ctypes.py_object(TimeoutError)
                )
                is_set.touch()

            if trial["x"] == 0:
                threading.Thread(target=break_in, daemon=True).start()
            for _ in trial.epochs():
                trial.report(score=1.0)

        harness = engine(tmp_path, limited, 1)
        worker = harness.next(WorkerJoined).worker
        harness.train(worker, 0)
        harness.next(JobFinished)
        gate.touch()
        while not is_set.exists():
            harness.workers.wait(harness.workers.now() + 0.01)
        harness.workers.carry_out(Release(worker, TrialId(0)))
        assert harness.next(TrialReleased).problem == "TimeoutError"
        harness.train(worker, 1)
        assert harness.next(JobFinished).trial == 1

    def test_a_worker_is_free_after_its_trial_stops_on_purpose(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        """When a trial calls ``trial.stop()``, its worker is free, and the trial's checkpoint is
        kept.
        """
        # A held result waits for the driver's answer. But the driver does not answer for a stopped
        # trial, so an engine that holds it would wait forever.

        def stopping(trial: Any) -> None:
            for epoch in trial.epochs():
                trial.report(score=epoch)
                if epoch == 2:
                    trial.stop()
            trial.save("state")

        harness = engine(tmp_path, stopping, 1)
        harness.train(harness.next(WorkerJoined).worker, 0, target=4)
        result = harness.next(JobFinished)
        assert (result.resource, result.stopped, result.held) == (2, True, False)
        assert result.checkpoint is not None

    def test_trials_fail_if_the_function_trains_the_wrong_epochs(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        """One wrong function does not use ``trial.epochs()``, one ends early, and one restores no
        checkpoint.
        """
        # The results of all three functions look right, but the training was too long, too short,
        # or started from the beginning. Halving compares trials at the same resource, so such
        # results must never count.

        def wrong(trial: Any) -> None:
            if trial["x"] == 0:
                for epoch in range(9):
                    trial.report(score=epoch)
            for epoch in trial.epochs():
                trial.report(score=epoch)
                if trial["x"] == 1:
                    return
            trial.save("state")

        harness = engine(tmp_path, wrong, 1)
        worker = harness.next(WorkerJoined).worker
        harness.train(worker, 0, target=2)
        assert (
            "write: for epoch in trial.epochs(): / train one epoch / trial.report"
            in harness.next(JobFailed).reason
        )
        harness.train(worker, 1, target=2)
        assert (
            "the loop over trial.epochs() ended at 1 of 2; call trial.stop()"
            in harness.next(JobFailed).reason
        )
        harness.train(worker, 2, target=2)
        harness.next(JobFinished)
        harness.workers.carry_out(Release(worker, TrialId(2)))
        harness.next(TrialReleased)
        harness.train(worker, 2, rung=1, start=2, target=4)
        assert "model = trial.restore() or build(trial.config)" in harness.next(JobFailed).reason
