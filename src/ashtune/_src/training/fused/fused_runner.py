"""The runner of fused training: trains a worker's trials in packs, as lanes of programs.

The driver treats each lane as a usual job. While the next pack is trained, the driver answers the
results of the last pack. If a pack fails, each of its lanes is trained again alone, so that only
trials with errors fail. A job's seconds are its share of the pack's seconds.
"""

# Theory of operation
# -------------------
# A worker has several trials at a time, and the driver does not know that they share a program: to
# the driver, each lane is a separate job. A lane is in one of these places:
#
#   place      meaning                                      what moves the lane
#   ---------  -------------------------------------------  --------------------------------------
#   _waiting   assigned, or promoted in place               next_pack() chooses its pack
#   _training  in the pack that is trained now              the pack reaches its rung, or fails
#   _held      its result is sent; the state is in memory   the driver promotes or releases it
#
# A pack is trained in calls of about a quarter of a second. Between two calls the worker reads its
# messages, so that a pause or a new lane never waits for a whole rung.
#
# Why the worker asks for places for two packs: while one pack is trained, the driver answers the
# results of the previous pack, and the lanes of the next pack arrive. With places for only one
# pack, the worker would wait for the driver after every pack.
#
# Why a failed pack is not a failed trial: an exception inside of a compiled call does not say which
# lane caused it. Each lane of the pack is trained again alone, from its state before the pack. Only
# a lane that then fails is reported as failed. If a worker dies, there is no exception, so the
# driver marks its trials as ``alone``. They are trained first, each in a pack of one lane.
#
# Why a job has its own clock: several jobs run at the same time. The clock of a lane counts the
# lane's share of the seconds of its packs. The compile time is not counted, because it has a
# separate event.

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import assert_never

from ashtune._src.core.errors import CheckpointUnread
from ashtune._src.core.events import PlacesChanged, ProgramCompiled
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.orders import Pause, Release
from ashtune._src.study.checkpoints import Checkpoints
from ashtune._src.training.fused.fused_protocol import (
    Backend,
    FusedProgram,
    LaneMetrics,
    SavedState,
    Static,
    not_finite,
)
from ashtune._src.training.fused.pack import Clock, Lane, Pack, next_pack
from ashtune._src.training.fused.programs import Learnt, Shape
from ashtune._src.training.outcomes import Outcomes
from ashtune._src.training.runner import patience_of, prepare_trial
from ashtune._src.training.worker_messages import (
    Alone,
    Assignment,
    Mailbox,
    Setup,
    Shutdown,
    ToWorker,
)

# Decision 12 (docs/decisions/0012-fused-studies.md).
PROMOTION_SECONDS = 0.1
"""A promoted trial waits at least this many seconds if fuller packs can be trained before it."""


class FusedRunner:
    """Trains the trials of one worker as lanes.

    If ``lanes`` is given, all programs have this number of lanes, and a trial's results are bitwise
    equal in all packs. If ``lanes`` is None, the fastest number is chosen. ``file`` is the file of
    the user's functions, which tracebacks show.
    """

    def __init__(
        self,
        backend: Backend,
        setup: Setup,
        mailbox: Mailbox,
        *,
        lanes: int | None = None,
        file: str = "",
        profiler: AbstractContextManager[None] | None = None,
    ) -> None:
        self._backend = backend
        self._setup = setup
        self._mailbox = mailbox
        self._lanes = lanes
        self._shapes: dict[Static, Shape] = {}
        self._learnt = Learnt()
        self._profiler = profiler or nullcontext()
        self._outcomes = Outcomes(mailbox, file)
        self._checkpoints = Checkpoints(Path(setup.study), patience=patience_of(setup, mailbox))
        self._waiting: dict[TrialId, Lane] = {}
        self._training: dict[TrialId, Lane] = {}
        self._held: dict[TrialId, Lane] = {}
        self._places = 1

    def run(self, assignment: Assignment) -> None:
        """Train the assigned trial and all trials that arrive later, until the driver has answered
        every result.
        """
        self._take(assignment)
        while self._waiting or self._held:
            if not self._waiting:
                self._take(self._mailbox.next())
            self._take_all()
            if self._waiting:
                self._train(next_pack(self._ready(), time.monotonic()))

    def _take_all(self) -> None:
        while (message := self._mailbox.poll()) is not None:
            self._take(message)

    def _take(self, message: ToWorker) -> None:
        match message:
            case Assignment(in_place=True):
                lane = self._held.pop(message.trial)
                lane.job.hear(message)
                self._line_up(lane)
            case Assignment():
                self._begin(message)
            case Release():
                lane = self._held.pop(message.trial)
                lane.job.hear(message)
                self._save(lane)
            case Pause():
                self._pause_trial(message.trial)
            case Setup():
                raise Shutdown
            case _:
                assert_never(message)

    def _begin(self, assignment: Assignment) -> None:
        clock = Clock()
        trial, job, writer, _ = prepare_trial(
            assignment,
            self._setup,
            self._mailbox,
            self._checkpoints,
            clock=clock,
            saving_clock=time.perf_counter,
        )
        try:
            static, numbers = self._backend.recipe.split(trial.config)
            shape = self._shape_of(static, numbers)
            self._ask_for_places(shape.most)
            began = time.perf_counter()
            saved = None
            try:
                saved = writer.restore()
            except CheckpointUnread:
                job.begin_again()
                writer.forget_earlier()
            clock.seconds += time.perf_counter() - began
        except BaseException as error:  # noqa: BLE001 - any exception here is this trial's failure
            self._outcomes.tell_error(job, error, writer)
            return
        lane = Lane(
            job=job,
            writer=writer,
            clock=clock,
            configuration=trial.config,
            shape=shape,
            numbers=numbers,
            state=None if saved is None else saved.state,
            trained=job.start,
            is_saved=True,
            alone=assignment.alone,
        )
        self._line_up(lane)

    def _shape_of(self, static: Static, numbers: Mapping[str, float]) -> Shape:
        """Return the shape of a trial. The largest number of lanes is computed only once for each
        shape.
        """
        if static not in self._shapes:
            most = self._lanes or self._backend.most_lanes(static, numbers)
            is_fixed = self._lanes is not None
            self._shapes[static] = Shape(
                self._backend, static, most, is_fixed=is_fixed, learnt=self._learnt
            )
        return self._shapes[static]

    def _ask_for_places(self, most: int) -> None:
        """Ask the driver for places for two packs of ``most`` lanes: one pack in training and one
        waiting pack.
        """
        places = min(2 * most, self._setup.places or 2 * most)
        if places > self._places:
            self._places = places
            self._mailbox.send(PlacesChanged(0, self._setup.worker, places))

    def _line_up(self, lane: Lane) -> None:
        """Add a waiting lane.

        A promoted lane is due after a wait that is as long as its estimated training time, but at
        least ``PROMOTION_SECONDS``.
        """
        if lane.trained:
            epochs = lane.job.target - lane.trained
            seconds = epochs * lane.shape.alone_seconds
            lane.due = time.monotonic() + max(PROMOTION_SECONDS, seconds)
        self._waiting[lane.job.trial] = lane

    def _ready(self) -> list[Lane]:
        """Return the waiting lanes. If possible, leave out lanes whose first program another worker
        compiles now.
        """
        waiting = list(self._waiting.values())
        absent = {shape for shape in {lane.shape for lane in waiting} if shape.is_at_another}
        return [lane for lane in waiting if lane.shape not in absent] or waiting

    def _train(self, waiting: Sequence[Lane]) -> None:
        """Train the first lanes of ``waiting`` up to their rung, and send the results to the
        driver.
        """
        first = waiting[0]
        epochs = first.job.target - first.trained
        program = first.shape.choose(len(waiting), epochs)
        lanes = waiting[: first.shape.call(program.variant, len(waiting), epochs).lanes]
        for lane in lanes:
            self._training[lane.job.trial] = self._waiting.pop(lane.job.trial)
        if first.alone:
            self._mailbox.send(Alone(self._setup.worker, first.job.trial))
        try:
            with self._profiler:
                self._train_pack(Pack(lanes, program))
        except Shutdown:
            raise
        except BaseException as error:  # noqa: BLE001 - any exception of user code is these trials' failure
            if len(lanes) > 1:
                for lane in lanes:
                    if lane.is_training and lane.job.trial not in self._held:
                        lane.alone = True
                        lane.job.reports.clear()
                        self._waiting[lane.job.trial] = lane
            else:
                self._outcomes.tell_error(first.job, error, first.writer)
        finally:
            self._training.clear()

    def _train_pack(self, pack: Pack) -> None:
        shape = pack.lanes[0].shape
        while going := pack.going:
            self._call(pack, shape)
            self._take_all()
            for lane in going:
                if lane.is_training and lane.is_to_pause and pack.trained < pack.target:
                    pack.put_back(lane)
                    self._pause(lane)
            going = pack.going
            if going:
                pack.go_on(shape.choose(len(going), pack.target - pack.trained))
        for lane in pack.lanes:
            if lane.is_training:
                pack.put_back(lane)
                if lane.job.tell():
                    self._held[lane.job.trial] = lane
                else:
                    lane.writer.abandon()

    def _call(self, pack: Pack, shape: Shape) -> None:
        program = pack.program
        variant = pack.program.variant
        start = pack.trained
        call = shape.call(variant, len(pack.lanes), pack.target - start)
        metrics, seconds = pack.train(call.epochs)
        self._tell_compiled(shape, program, pack.take_compile_seconds())
        shape.note_trained(
            variant, seconds / len(metrics.finite) / variant.turns_for(len(pack.lanes))
        )
        self._report(pack.lanes, metrics, start, seconds)

    def _tell_compiled(self, shape: Shape, program: FusedProgram, seconds: float) -> None:
        # The time to load a program from the bank must not count as a compile time. Otherwise the
        # estimated compile time of later programs would be too short.
        if not (seconds and program.is_built_here):
            return
        shape.note_compiled(program.variant, program.build_seconds)
        lanes = program.variant.lanes
        worker = self._setup.worker
        event = ProgramCompiled(
            0, worker=worker, seconds=round(seconds, 6), lanes=lanes, shape=dict(shape.static)
        )
        self._mailbox.send(event)

    def _report(
        self, lanes: Sequence[Lane], metrics: LaneMetrics, start: int, seconds: float
    ) -> None:
        """Report the metrics of each lane after a call. If a lane's state is not finite, its trial
        fails.
        """
        going = [place for place, lane in enumerate(lanes) if lane.is_training]
        for place in going:
            lane = lanes[place]
            lane.clock.seconds += seconds / len(going)
            try:
                for row in range(len(metrics.finite)):
                    lane.job.epoch = epoch = start + 1 + row
                    if not metrics.finite[row, place]:
                        raise not_finite(epoch, lane.configuration)
                    lane.job.report(metrics.report(row, place))
            except Exception as error:  # noqa: BLE001 - what is reported may be anything
                self._outcomes.tell_error(lane.job, error, lane.writer)
                lane.job.phase = "failed"

    def _pause_trial(self, trial: TrialId) -> None:
        """Pause a waiting trial now, and a trial in training after the current call. Ignore an
        ended trial.
        """
        waiting = self._waiting.pop(trial, None)
        if waiting is not None:
            self._pause(waiting)
        elif trial in self._training:
            self._training[trial].is_to_pause = True

    def _pause(self, lane: Lane) -> None:
        lane.job.phase = "pausing"
        lane.job.epoch = lane.trained
        self._save(lane)

    def _save(self, lane: Lane) -> None:
        """If a trial's state is needed and not yet on disk, save it. Then tell the driver that the
        job has ended.
        """
        began = time.perf_counter()
        try:
            if lane.job.is_kept and not lane.is_saved:
                lane.writer.save(SavedState(lane.state))
            lane.clock.seconds += time.perf_counter() - began
            self._outcomes.tell_end(lane.job, lane.writer)
        except BaseException as error:  # noqa: BLE001 - a state may be anything
            self._outcomes.tell_error(lane.job, error, lane.writer)
        finally:
            lane.writer.abandon()
