"""A world in memory for a real session: a clock, a disk, and workers that run the real training
code. All of them fail.

One random generator decides everything, so that a seed gives the same history again. The driver
runs in the main greenlet, each worker in one of its own. Time passes only while all of them wait.
"""

import math
import signal
from collections import Counter, deque
from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from greenlet import getcurrent, greenlet

from ashtune._src.core.events import JobFailed, JobFinished, TrialReleased, WorkerJoined
from ashtune._src.core.jobs import WorkerId
from ashtune._src.processes.frames import FrameReader, FrameWriter
from ashtune._src.training.runner import TrialRunner
from ashtune._src.training.worker_messages import (
    Assignment,
    FromWorker,
    Mailbox,
    Setup,
    Shutdown,
    ToWorker,
    Unsure,
)
from tests.helpers.simulated_disk import FAULTS, SimulatedDisk

MOST_STEPS = 60_000
STEP_SECONDS = 2e-6


class Killed(BaseException):
    """The driver ends at this point, as by SIGKILL: nothing that it would
    do from here on happens.
    """


class Alarm(Exception):  # noqa: N818 - what a signal handler of the user's raises
    """Breaks in on training at any moment, as a handler of SIGALRM does."""


class Endless(AssertionError):  # noqa: N818 - it is a finding
    """The session takes more steps than any can need: it hangs."""


class WorldDisk(SimulatedDisk):
    """A disk of which every call is a step of whoever makes it."""

    def __init__(self, world: "World", random: Random, rates: Mapping[str, float]) -> None:
        self._world = world
        super().__init__(
            random,
            rates={fault: rate for fault, rate in rates.items() if fault in FAULTS},
            slow=world.slow_sync,
        )

    def _called(self, call: str) -> None:
        self._world.step(f"disk: {call}")
        super()._called(call)

    def _fails(self, fault: str, call: str) -> bool:
        return not self._world.is_at_rest and super()._fails(fault, call)


class World:
    """The world of one history.

    Args:
        random: Decides everything.
        rates: Name of a fault -> how probable it is wherever it may happen.
        objective: The training function.
    """

    def __init__(
        self, random: Random, rates: Mapping[str, float], objective: Callable[[Any], Any]
    ) -> None:
        self.random = random
        self.rates = dict(rates)
        self.objective = objective
        self.now = 0.0
        self.unix_offset = 1_000_000.0
        self.counts: Counter[str] = Counter()
        self.disk = WorldDisk(self, random, rates)
        self.processes: list[Process] = []
        self.forgotten: list[Process] = []
        """Those that the driver has given up: a greenlet that is not ended would stay in memory."""
        self.steps_to_live: int | None = None
        self.steps = 0
        self.is_driver_dead = False
        self.heard: list[tuple[Process, bytes]] = []
        """What the driver has read since it last gave an order, and from whom."""
        self.before_an_order: Callable[[], None] = lambda: None
        self._main = getcurrent()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = count()
        self.is_at_rest = False

    def unix_time(self) -> float:
        return self.now + self.unix_offset

    def happens(self, fault: str) -> bool:
        """Whether a fault happens here and now; it is counted."""
        rate = self.rates.get(fault)
        if not rate or self.is_at_rest or self.random.random() >= rate:
            return False
        self.counts[fault] += 1
        return True

    def at(self, time: float, what: Callable[[], None]) -> None:
        heappush(self._queue, (time, next(self._serial), what))

    def step(self, what: str) -> None:
        """Someone does something: the driver may be killed before it, a worker may be struck by
        something.
        """
        current = getcurrent()
        if isinstance(current, Process):
            current.worker_step(what)
        elif current is self._main and not self.is_at_rest:
            self.driver_step()

    def driver_step(self) -> None:
        if self.is_driver_dead:
            raise Killed
        self.steps += 1
        self.now += STEP_SECONDS
        if self.steps > MOST_STEPS:
            raise Endless(f"{MOST_STEPS:,} steps and no end, at {self.now:.1f} s")
        if self.steps_to_live is not None:
            self.steps_to_live -= 1
            if self.steps_to_live < 0:
                self.is_driver_dead = True
                raise Killed
        for number, name in ((signal.SIGINT, "Ctrl-C"), (signal.SIGUSR1, "SIGUSR1")):
            is_heard = callable(signal.getsignal(number))
            if is_heard and self.happens(name):
                signal.raise_signal(number)

    def slow_sync(self) -> None:
        if getcurrent() is self._main and not self.is_driver_dead:
            self.run_until(self.now + self.random.uniform(0.5, 30))

    def run_until(self, time: float) -> None:
        """Let others do what is due until a time, while the driver does nothing."""
        while self._queue and self._queue[0][0] <= time:
            self.run_next()
        self.now = max(self.now, time)

    def run_next(self) -> bool:
        if not self._queue:
            return False
        time, _, what = heappop(self._queue)
        self.now = max(self.now, time)
        what()
        return True

    @property
    def next_time(self) -> float:
        return self._queue[0][0] if self._queue else math.inf

    def end_session(self, *, is_power_loss: bool) -> None:
        """The driver is gone, however it went: its workers go with it."""
        for process in self.processes + self.forgotten:
            process.vanish()
        self.processes.clear()
        self.forgotten.clear()
        self.heard.clear()
        self._queue.clear()
        if is_power_loss:
            self.disk.power_loss()
        else:
            self.disk.process_kill()
        self.is_driver_dead, self.steps_to_live, self.steps = False, None, 0
        self.now += 1.0

    def at_rest(self, is_at_rest: bool) -> None:
        """Say that nothing happens from now on, as someone prepares the study or looks at what is
        there.
        """
        self.is_at_rest = is_at_rest

    def work(self, seconds: float) -> None:
        """Let a worker train for so long."""
        process = getcurrent()
        assert isinstance(process, Process)
        process.worker_step("training")
        process.sleep(seconds)


class Host:
    """A machine, as :class:`ashtune._src.engines.local.worker_process.Host` is one."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> float:
        return self._world.now

    def start(
        self, worker: WorkerId, logs: Path, environment: Mapping[str, str], ranks: int
    ) -> "Process":
        del environment, ranks
        self._world.driver_step()
        if self._world.happens("no process"):
            raise BlockingIOError(11, "Resource temporarily unavailable")
        process = Process(self._world, worker, f"{logs}/worker-{worker}.log")
        self._world.processes.append(process)
        return process

    def forget(self, process: "Process") -> None:
        self._world.processes.remove(process)
        self._world.forgotten.append(process)

    def send(self, process: "Process", frame: bytes) -> None:
        self._world.driver_step()
        process.hear(frame)

    def ready(self, seconds: float) -> "list[Process]":
        world = self._world
        world.driver_step()
        if world.happens("driver suspended"):
            world.run_until(world.now + world.random.choice((2.0, 20.0, 4_000.0)))
        if world.happens("clock set"):
            world.unix_offset += world.random.choice((-100_000.0, -5.0, 5.0, 100_000.0))
        until = world.now + seconds
        while not (ready := [process for process in world.processes if process.has_more]):
            if world.next_time > until:
                world.now = max(world.now, until)
                return []
            world.run_next()
        world.random.shuffle(ready)
        return ready


class Process(greenlet):
    """A worker process with the driver's end of its connection, as a ``WorkerProcess`` is one."""

    def __init__(self, world: World, worker: WorkerId, log: str) -> None:
        super().__init__(self._live, world._main)
        self.world = world
        self.worker = worker
        self.is_spoilt = False
        """Whether it has said what no worker would say."""
        self.log = log
        self.pid = 1_000 + worker
        self.is_dead = False
        self._how = "left with exit status 0"
        self._said: deque[bytes] = deque()
        self._is_closed = self._is_hung_up = False
        self._said_until = world.now
        self._stopped_until = 0.0
        self._breaks_in = False
        self._heard, self._heard_by_driver = FrameReader(), FrameReader()
        self._decoder: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
        self._writer = FrameWriter()
        self.inbox: deque[ToWorker] = deque()
        self._waits_for_message = False
        self._current: Assignment | None = None
        self._is_cut = False
        delay = world.random.uniform(0.01, 0.3)
        world.at(world.now + delay, self._resume)

    # The driver's end

    @property
    def has_more(self) -> bool:
        return bool(self._said) or self._is_closed

    def read(self) -> bytes:
        self.world.driver_step()
        if not self._said:
            raise EOFError
        data = self._said.popleft()
        if not self.is_spoilt:
            self.world.heard += [(self, body) for body in self._heard_by_driver.take(data)]
        return data

    def hear(self, frame: bytes) -> None:
        """Take in what the driver sends; the worker reads it a little later."""
        messages = [self._decoder.decode(body) for body in self._heard.take(frame)]
        if not all(isinstance(message, Setup) for message in messages):
            self.world.before_an_order()
        if not self.is_dead:
            self.inbox.extend(messages)
            if self._waits_for_message:
                self._waits_for_message = False
                self.world.at(self.world.now + self._delay(), self._resume)

    def kill(self) -> None:
        self.world.driver_step()
        self._die("killed by SIGKILL")

    def hang_up(self) -> None:
        self._is_hung_up = True
        if self._waits_for_message:
            self._waits_for_message = False
            self.world.at(self.world.now + 0.001, self._resume)

    def end(self, seconds: float = 2.0) -> str:
        world = self.world
        world.driver_step()
        until = world.now + seconds
        while not self.is_dead and world.next_time <= until:
            world.run_next()
        if not self.is_dead:
            self._die("killed by SIGKILL")
        return self._how

    def last_words(self) -> str:
        return ""

    # The worker's end

    def _live(self) -> None:
        """Be a worker: the loop of ``ashtune._src.engines.worker.serve`` with the real runner."""
        world, how = self.world, "left with exit status 0"
        try:
            mailbox = Mailbox(self)
            setup = mailbox.next()
            assert isinstance(setup, Setup)
            if world.happens("worker dies before joining"):
                how = "left with exit status 3"
                raise Shutdown
            runner = TrialRunner(
                world.objective, setup, mailbox, disk=world.disk, clock=lambda: world.now
            )
            self.send(WorkerJoined(0, setup.worker, self.pid, "simulated"))
            while True:
                message = mailbox.next()
                if isinstance(message, Assignment):
                    self._current = message
                    runner.run(message)
                    self._current = None
        except Shutdown:
            pass
        except Unsure:
            how = "left with exit status 1"
        except BaseException as error:  # noqa: BLE001 - whatever ends a worker is told by its exit status
            how = f"left with exit status 1 ({type(error).__name__}: {error})"
            if not isinstance(error, Alarm):
                world.counts[f"worker ended by {type(error).__name__}"] += 1
        self._die(how)

    def worker_step(self, what: str) -> None:
        """Something may happen to this worker before it does ``what``."""
        world = self.world
        if self.is_dead:
            raise Shutdown
        if world.happens("worker killed"):
            self._die("killed by SIGKILL")
            self._wait_for_ever()
        if world.happens("worker hangs"):
            self._wait_for_ever()
        if world.happens("worker stopped"):
            self._stopped_until = world.now + world.random.choice((0.5, 8.0, 300.0))
            self.sleep(0.0)
        if self._current is not None and world.happens("exception breaks in"):
            raise Alarm(what)

    def sleep(self, seconds: float) -> None:
        self.world.at(self.world.now + seconds, self._resume)
        self._give_way()

    def send(self, message: FromWorker) -> None:
        self.worker_step("send")
        frame, world = self._writer.frame(message), self.world
        if self._is_cut:
            return
        if world.happens("message doubled"):
            frame += frame
            self.is_spoilt = True
        if world.happens("message cut"):
            self._say(frame[: world.random.randrange(1, len(frame))])
            self._is_cut = self.is_spoilt = True  # nothing follows
            return
        if world.happens("nonsense"):
            self.is_spoilt = True
            self._say(self._nonsense(message))
        while world.happens("message in pieces") and len(frame) > 1:
            at = world.random.randrange(1, len(frame))
            self._say(frame[:at])
            frame = frame[at:]
        self._say(frame)

    def wait(self) -> None:
        self.worker_step("wait")
        while not self.inbox:
            if self._is_hung_up:
                raise Shutdown
            self._waits_for_message = True
            try:
                self._give_way()
            finally:
                self._waits_for_message = False
            if self._current is not None and self.world.happens("exception breaks in"):
                raise Alarm("wait")

    def poll(self) -> ToWorker | None:
        self.worker_step("poll")
        if self.inbox:
            return self.inbox.popleft()
        if self._is_hung_up:
            raise Shutdown
        return None

    def vanish(self) -> None:
        """Be gone together with the driver."""
        self.is_dead = True
        if self:  # it has begun and not ended
            self.throw(Shutdown)

    def _nonsense(self, message: FromWorker) -> bytes:
        """Return a frame that no worker would send here."""
        random, worker = self.world.random, self.worker
        trial, rung = random.choice(
            ((random.randrange(100, 130), 0), (random.randrange(16), random.randrange(7, 9)))
        )
        kinds: list[Callable[[], bytes]] = [
            lambda: random.randbytes(random.randrange(1, 40)),
            lambda: b"\xff\xff\xff\x7f",
            lambda: self._writer.frame(
                JobFinished(
                    time=0, worker=worker, trial=trial, rung=rung, resource=random.randrange(9),
                    metrics={"loss": -9.0},
                    seconds=0.1, held=random.random() < 0.5, start=random.randrange(3),
                )
            ),
            lambda: self._writer.frame(
                JobFailed(time=0, worker=worker, trial=trial, rung=rung, seconds=0.0,
                reason="nonsense")
            ),
            lambda: self._writer.frame(
                TrialReleased(time=0, worker=worker, trial=trial, resource=random.randrange(9),
                seconds=0, checkpoint=7)
            ),
            lambda: self._writer.frame(WorkerJoined(0, worker, 1, "twice")),
            lambda: self._writer.frame(msgspec.structs.replace(message,
            worker=WorkerId(worker + 1))),
        ]  # fmt: skip
        return random.choice(kinds)()

    def _say(self, data: bytes) -> None:
        self._said_until = max(self._said_until, self.world.now + self._delay())
        self.world.at(self._said_until, lambda: self._said.append(data))

    def _delay(self) -> float:
        if self.world.happens("message late"):
            return self.world.random.choice((0.3, 3.0, 40.0))
        return 0.0001

    def _die(self, how: str) -> None:
        if self.is_dead:
            return
        self.is_dead, self._how = True, how
        self._said_until = max(self._said_until, self.world.now)
        self.world.at(self._said_until, self._close)

    def _close(self) -> None:
        self._is_closed = True

    def _resume(self) -> None:
        if self.is_dead or self.dead:
            return
        if self.world.now < self._stopped_until:
            self.world.at(self._stopped_until, self._resume)
            return
        self.world.disk.process = self.worker
        try:
            self.switch()
        finally:
            self.world.disk.process = None

    def _give_way(self) -> None:
        self.world._main.switch()
        if self.is_dead:
            raise Shutdown

    def _wait_for_ever(self) -> None:
        while True:
            self._give_way()
