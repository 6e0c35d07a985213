"""One history: a study that is driven by a real session in a simulated world until it is complete,
whatever happens.

A seed decides everything. What is drawn may be narrowed, so that a failure can be shown again with
less of it.
"""

import io
import math
import signal
import sys
from collections import Counter
from contextlib import redirect_stderr
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from ashtune._src.core.checks import MOST_WHOLE
from ashtune._src.core.confirm import Confirm
from ashtune._src.core.errors import AshtuneError, InvalidConfiguration, NoResultError
from ashtune._src.core.jobs import Goal
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.option import checked
from ashtune._src.driver.session import Session, read_study
from ashtune._src.driver.session_context import Surroundings
from ashtune._src.driver.study_options import SessionOptions
from ashtune._src.engines.local.local_workers import LocalEngine, LocalWorkers
from ashtune._src.engines.session_options import Limits
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS
from ashtune._src.search.search_registry import SEARCHES
from ashtune._src.space.space import Space
from ashtune._src.study import journal as journals
from ashtune._src.study.factory import new_study
from ashtune._src.study.journal_writer import Journal, create
from ashtune._src.study.settings import Settings
from ashtune._src.training.worker_messages import Setup
from tests.faults import oracle
from tests.faults.simulated_world import Alarm, Endless, Host, Killed, World

STUDY = Path("/study")
GOAL = Goal("loss", "min")
SESSIONS_WITH_FAULTS = 8
SESSIONS_AT_PEACE = 3
FAULTS = {
    # of the driver
    "driver killed": 0.6,
    "power loss": 0.3,
    "driver suspended": 0.01,
    "clock set": 0.01,
    "Ctrl-C": 0.0005,
    "SIGUSR1": 0.0005,
    "time limit": 0.2,
    "no process": 0.02,
    # of workers
    "worker killed": 0.004,
    "worker hangs": 0.002,
    "worker stopped": 0.004,
    "exception breaks in": 0.01,
    "worker dies before joining": 0.02,
    # of messages
    "message late": 0.03,
    "message in pieces": 0.2,
    "message doubled": 0.005,
    "message cut": 0.005,
    "nonsense": 0.005,
    # of the disk
    "no space": 0.01,
    "no inode": 0.01,
    "read error": 0.005,
    "sync error": 0.05,
    "slow sync": 0.05,
    "short write": 0.1,
    "no descriptor": 0.003,
}
"""Fault -> how probable it is wherever it may happen, in a history that has it."""
OF_THE_DISK = frozenset(
    ("power loss", "no space", "no inode", "read error", "sync error", "no descriptor")
)
SPACES: dict[str, dict[str, Any]] = {
    "numbers": {"x": (0.0, 1.0)},
    "list": {"x": [value / 12 for value in range(12)]},
}


LEARNING = ("gp:first=2:ahead=0", "mutation:first=2")
"""Searches whose proposals their trials wait for."""
REFUSES_A_NEW_FILE = frozenset(("no space", "no inode", "no descriptor", "read error"))


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a history is about."""

    seed: int
    scheduler: str
    reduction_factor: int
    max_resource: int
    trials: int
    workers: int
    space: str
    search: str
    keeps: str
    trial_timeout: float | None
    checkpoint_limit: int | None
    misbehaves: bool
    grows: bool
    confirm: Confirm | None
    faults: tuple[str, ...]


def plan_of(seed: int, **narrowed: Any) -> Plan:
    """Return the plan of a seed, narrowed where it is said; ``without`` names faults that it is not
    to have.
    """
    random = Random(f"plan {seed}")
    space = random.choice(("numbers", "numbers", "list"))
    faults = [fault for fault in FAULTS if random.random() < 0.3]
    plan = Plan(
        seed=seed,
        scheduler=random.choice(("ash", "ash", "ash", "stopping", "sh", "full")),
        reduction_factor=random.choice((2, 3)),
        max_resource=random.choice((1, 3, 4, 9)),
        trials=random.randint(1, 16),
        workers=random.randint(1, 4),
        space=space,
        search="random" if space == "numbers" else random.choice(("random", "grid")),
        keeps=random.choice(("save", "save", "directory", "nothing")),
        trial_timeout=random.choice((None, 30.0)),
        checkpoint_limit=random.choice((None, None, 200)),
        misbehaves=random.random() < 0.4,
        grows=random.random() < 0.2,
        confirm=random.choice((None, None, Confirm(1, 2), Confirm(3, 1))),
        faults=tuple(faults),
    )
    if (learning := Random(f"search {seed}")).random() < 0.2:
        plan = msgspec.structs.replace(plan, search=learning.choice(LEARNING))
    without = narrowed.pop("without", ())
    faults = [fault for fault in plan.faults if fault not in without]
    plan = msgspec.structs.replace(plan, faults=tuple(faults), **narrowed)
    if plan.trial_timeout is None:  # nothing else ends a worker that hangs
        plan = msgspec.structs.replace(
            plan, faults=tuple(f for f in plan.faults if f != "worker hangs")
        )
    return plan


def settings_of(plan: Plan) -> Settings:
    """Return the first line of a plan's journal."""
    return new_study(
        name="simulated",
        goal=GOAL,
        scheduler=SCHEDULERS.part(plan.scheduler),
        ladder=Ladder(1, plan.max_resource, plan.reduction_factor),
        space=Space.parse(SPACES[plan.space]),
        search=SEARCHES.part(plan.search),
        seed=plan.seed,
        checkpoint_limit=plan.checkpoint_limit,
    ).settings


def loss_of(x: float, epoch: int) -> float:
    """Return what a trial reports: curves that cross."""
    return round((x - 0.3) ** 2 + ((x * 997) % 1) / epoch, 9)


def fate_of(x: float, plan: Plan) -> str:
    """Return what a configuration comes to: most train, some do not."""
    if not plan.misbehaves:
        return "trains"
    fate = (x * 7919) % 1
    names = ("is invalid", "raises", "is not finite", "stops itself")
    return names[int(fate * 20)] if fate < len(names) / 20 else "trains"


class History:
    """One study in one world.

    Args:
        plan: What it is about.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._random = Random(f"history {plan.seed}")
        rates = {name: rate for name, rate in FAULTS.items() if name in plan.faults}
        self.world = World(self._random, rates, self._train)
        self.record = oracle.Record()
        self.world.before_an_order = lambda: self.record.before_an_order(self.world)
        self.ends: Counter[str] = Counter()
        self._last: Session | None = None
        self._journal: Journal | None = None
        self._has_grown = False

    def run(self) -> None:
        """Live through it.

        Raises:
            AssertionError: When something is wrong.
        """
        self._create()
        peaceful = 0
        for number in range(SESSIONS_WITH_FAULTS + SESSIONS_AT_PEACE):
            if number == SESSIONS_WITH_FAULTS:
                self._make_peace()
            if (end := self._session()) == "complete":
                break
            self.ends[end] += 1
            peaceful += number >= SESSIONS_WITH_FAULTS
        else:
            raise AssertionError(f"no end after {peaceful} sessions without a fault: {self.ends}")
        self.ends["complete"] += 1
        self._finish()

    def _create(self) -> None:
        settings = settings_of(self.plan)
        self.world.at_rest(True)
        self.world.disk.make_folder(str(STUDY))
        create(
            STUDY / journals.NAME,
            msgspec.structs.replace(settings, created=self.world.unix_time()),
            self.world.disk,
        )
        self.world.disk.sync_folder("/")
        self.world.at_rest(False)
        self.record.settings = settings

    def _make_peace(self) -> None:
        self.world.rates.clear()
        self.world.disk.rates.clear()

    def _session(self) -> str:
        """Run one session to its end, whatever that is; return it in words."""
        plan, world, random = self.plan, self.world, self._random
        is_power_loss = world.happens("power loss")
        if is_power_loss or world.happens("driver killed"):
            world.steps_to_live = int(random.expovariate(1 / 150))
        limit = random.uniform(0.5, 10) if world.happens("time limit") else None
        has_more_to_come = plan.grows and plan.scheduler != "sh" and not self._has_grown
        self._has_grown = True
        options = checked(
            SessionOptions,
            {
                "trials": max(1, plan.trials // 2) if has_more_to_come else plan.trials,
                "time_limit": limit,
                "confirm": plan.confirm,
                "max_failures": MOST_WHOLE,
                "workers": random.randint(1, plan.workers),
                "trial_timeout": plan.trial_timeout,
                "quiet": True,
            },
        )
        surroundings = Surroundings(
            disk=world.disk,
            unix_time=world.unix_time,
            environment=dict,
            open_journal=self._open_journal,
            open_engine=self._open_engine,
            open_proposer=oracle.beside_the_driver,
        )
        self.record.begin_session(world)
        self._journal = None
        try:
            with redirect_stderr(io.StringIO()):
                study = read_study(STUDY, world.disk)
                session = Session(STUDY, study, options, LocalEngine(), surroundings=surroundings)
                self._last = session
                session.run()
            end = (
                "complete"
                if session._controller.is_complete
                else f"stopped: {session._controller.stopping}"
            )
            if has_more_to_come and end == "complete":
                end = "complete, and more trials are asked for"
        except Killed:
            end = "power loss" if is_power_loss else "killed"
        except NoResultError:
            end = "complete, and more trials are asked for" if has_more_to_come else "complete"
        except KeyboardInterrupt:
            end = "Ctrl-C"
        except SystemExit as left:
            end = f"exit status {left.code}"
        except AshtuneError as error:
            end = type(error).__name__
            self._judge(error)
        if end not in ("killed", "power loss") and self._is_journal_safe():
            self.record.is_safe(world)
        self.record.at_end(world)
        # it may go while no driver is there
        is_power_loss = end == "power loss" or world.happens("power loss")
        world.end_session(is_power_loss=is_power_loss)
        self.record.end_session(world, is_power_loss=is_power_loss)
        return "complete, then a power loss" if is_power_loss and end == "complete" else end

    def _judge(self, error: AshtuneError) -> None:
        """A session may end with an error only if something was done to it that explains it."""
        text, faults = str(error), set(self.plan.faults)
        is_of_the_disk = bool(faults & OF_THE_DISK) and any(
            words in text
            for words in ("No space", "Input/output", "Too many open", "no written event is lost")
        )
        is_of_a_worker = "no worker can start" in text or "workers end before" in text
        assert "\n" not in text
        assert is_of_the_disk or is_of_a_worker, f"{type(error).__name__}: {error}"

    def _is_journal_safe(self) -> bool:
        """Whether all of the journal has to survive a power loss, now that its driver has closed
        it.

        One whose sync failed is written anew; a disk that makes no new file may refuse that.
        """
        journal = self._journal
        return journal is not None and (
            journal._sync_error is None or not REFUSES_A_NEW_FILE.intersection(self.plan.faults)
        )

    def _open_journal(self, path: Path) -> Journal:
        world = self.world
        self._journal = journal = Journal(path, disk=world.disk, syncs_itself=False)
        self.record.is_safe(world)
        if world.steps_to_live is not None and self._random.random() < 0.5:  # before the first sync
            world.steps_to_live = int(self._random.expovariate(1 / 20))

        def sync() -> None:
            if not world.is_driver_dead:
                # else the driver is at it: a thread would wait for it, as this does
                if not journal._syncing.locked():
                    journal.sync()
                    if journal._sync_error is None:
                        self.record.is_safe(world)
                world.at(world.now + 1.0, sync)

        world.at(world.now + 1.0, sync)
        return journal

    def _open_engine(self, _: Any, brief: Any) -> LocalWorkers:
        told = brief.setup
        setup = Setup(
            told.worker,
            "",
            told.goal,
            told.study,
            told.seed,
            [],
            progress_seconds=self._random.choice((0.0, math.inf)),
        )
        return LocalWorkers(
            setup, brief.configurations, environments=[{}] * brief.workers, host=Host(self.world),
            disk=self.world.disk,
            limits=Limits.of(brief.options), began=brief.began,
        )  # fmt: skip

    def _train(self, trial: Any) -> None:
        """Train as users do: take up, train, report, save."""
        plan, x = self.plan, trial["x"]
        fate = fate_of(x, plan)
        if fate == "is invalid":
            raise InvalidConfiguration("it is invalid")
        trained = self._take_up(trial)
        self.record.begins(trial, trained)
        for epoch in trial.epochs():
            self.world.work(self._random.choice((0.05, 0.2, 1.0)))
            self.record.trains(trial, epoch)
            trained.append(epoch)
            if fate == "raises" and epoch > 1:
                raise ValueError("it raises")
            if fate == "stops itself" and epoch > 1:
                trial.stop()
            trial.report(
                loss=math.nan if fate == "is not finite" and epoch > 1 else loss_of(x, epoch)
            )
        if plan.keeps == "save":
            trial.save(trained)
        elif plan.keeps == "directory":
            self._write(trial, trained)

    def _take_up(self, trial: Any) -> list[int]:
        if self.plan.keeps != "directory":
            return trial.restore() or []
        path = str(trial.checkpoint_dir / "trained")
        try:
            file = self.world.disk.open(path, 0)
        except FileNotFoundError:
            return []
        try:
            return [int(epoch) for epoch in self.world.disk.read(file, 1 << 16).split()]
        finally:
            self.world.disk.close(file)

    def _write(self, trial: Any, trained: list[int]) -> None:
        disk, path = self.world.disk, str(trial.checkpoint_dir / "trained")
        file = disk.open(path, 0o1101)  # to write, made if it is not there, emptied
        try:
            data = " ".join(map(str, trained)).encode()
            while data:
                data = data[disk.write(file, data) :]
        finally:
            disk.close(file)

    def _finish(self) -> None:
        """Hold the whole of it against the oracle."""
        self.world.at_rest(True)
        assert self._last is not None
        oracle.check(
            self.plan, self.world, self.record, self._last, fate_of=fate_of, loss_of=loss_of
        )


def run(seed: int, **narrowed: Any) -> tuple[Counter[str], Counter[str]]:
    """Run the history of a seed; return what was injected and how its
    sessions ended, each counted.
    """
    history = History(plan_of(seed, **narrowed))
    before = {  # what is started in the background by a shell ignores Ctrl-C
        number: signal.signal(number, handler)
        for number, handler in (
            (signal.SIGINT, signal.default_int_handler),
            (signal.SIGUSR1, signal.SIG_DFL),
        )
    }
    try:
        history.run()
    except (Endless, Alarm) as error:
        raise AssertionError(str(error)) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    injected = history.world.counts + history.world.disk.injected
    return injected, history.ends


if __name__ == "__main__":
    print(run(int(sys.argv[1])))
