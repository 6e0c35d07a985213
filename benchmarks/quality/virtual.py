"""A study in virtual time whose search learns: ashtune's own controller, scheduler, search and
proposals.

Rule 1: no threads. What the proposer's process would do meanwhile is done when the clock comes past
it, with what the process would have known when it began.
Rule 2: a proposal takes no time, or with ``is_charged`` the CPU time that it took; a worker that
finds none ready gets what the search's stand-in or its design gives, as in a real study.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ashtune._src.core.events import Event, JobFinished, TrialStarted
from ashtune._src.core.jobs import Goal, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.engines.simulated.simulated_times import Training
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine
from ashtune._src.schedulers.ash import Ash
from ashtune._src.search.proposals import Proposals, _Options
from ashtune._src.search.search_protocol import Proposal, Search
from ashtune._src.search.search_registry import design_of
from ashtune._src.simulation.simulated_run import simulate
from ashtune._src.space.space import Space
from ashtune._src.study.configurations import Configurations

GOAL = Goal("loss", "min")

Trained = Callable[[TrialId, Mapping[str, object], int, int], tuple[float, float]]
"""(trial, configuration, from, to) -> the loss there, and the seconds that it took from the one to
the other.
"""


class ProposalsInVirtualTime(Proposals):
    """Proposals of a search, made when the clock passes the time at which its process would make
    them.

    Args:
        search: Proposes, after what it has seen.
        space: Where configurations come from.
        seed: The study's.
        top: The resource of the top rung.
        ahead: How many are made ahead. With 0 each trial waits for its own.
        is_charged: Whether a proposal takes the CPU time that it took.

    Attributes:
        seconds: CPU time of each proposal so far.
    """

    def __init__(
        self,
        search: Search,
        space: Space,
        seed: int,
        *,
        top: int,
        workers: int,
        ahead: int,
        is_charged: bool,
    ) -> None:
        super().__init__(search, space, design_of(search, space, seed), goal=GOAL, seed=seed)
        self._helper = search.proposer(space, seed, top)
        self._ahead, self._is_charged, self._workers = ahead, is_charged, workers
        self._now = self._free = 0.0
        self._open = deque([0.0] * ahead)  # when places in the queue became free
        self._made: deque[tuple[float, Proposal | None]] = deque()  # and from when on each is there
        self.seconds: list[float] = []
        self._owed = 0.0

    def attach(self, known: Configurations) -> None:
        """Say where the configurations of trials are; nothing is proposed before."""
        self._options = _Options(
            ahead=self._ahead, workers=self._workers, known=known, complain=print,
            open_proposer=lambda: self._helper
        )  # fmt: skip

    def event(self, event: Event) -> None:
        """Let the process work up to this event, then note it."""
        if event.time > self._now:
            if self._helper is not None:
                self._work_until(event.time)
            self._now = event.time
        super().event(event)

    def _leave_to_design(self, trial: int) -> None:
        """The first proposal is begun when it is due."""
        self._next = trial + 1
        if self._next + self._ahead <= self._search.first_proposed:
            self._free = self._now

    def _take_ready(self, trial: int) -> tuple[bool, Proposal | None]:
        """Take the next of what is ready; say whether anything was."""
        self._next = trial + 1
        if self._helper is None:
            return True, None
        self._work_until(self._now)
        if not self._made and self._seconds_to_wait() > 0:
            proposal, self._owed = self._proposed(trial)
            self.waited += self._owed
            return True, proposal
        if not self._made or self._made[0][0] > self._now:
            return False, None
        self._open.append(self._now)
        return True, self._made.popleft()[1]

    def wait_of_newest(self) -> float:
        """Return the seconds that the newest trial waited for its proposal, once."""
        seconds, self._owed = self._owed, 0.0
        return seconds

    def _work_until(self, now: float) -> None:
        while (
            self._next + self._ahead >= self._search.first_proposed
            and self._open
            and not self._seconds_to_wait()
        ):
            if (begin := max(self._free, self._open[0])) > now:
                break
            self._open.popleft()
            proposal, seconds = self._proposed(
                max(self._next, self._search.first_proposed) + len(self._made)
            )
            self._free = begin + seconds
            self._made.append((self._free, proposal))

    def _proposed(self, trial: int) -> tuple[Proposal | None, float]:
        assert self._helper is not None
        assert self._options is not None
        began = time.process_time()
        self._tell(self._helper, self._options.known)
        proposal = self._check(self._helper.propose(trial))
        self.seconds.append(time.process_time() - began)
        return proposal, self.seconds[-1] if self._is_charged else 0.0


class Named(Observer):
    """Which configuration the study would name, and since when: the best at the highest rung that
    has a result.

    Attributes:
        named: (time, trial, rung, loss), one for each change.
        results: (time, trial, resource, loss) of all jobs, failures without.
        starts: When each trial was started.
        trials: How many were started.
        jobs: How many ended.
    """

    def __init__(self) -> None:
        self.named: list[tuple[float, TrialId, int, float]] = []
        self.results: list[tuple[float, TrialId, int, float]] = []
        self.starts: list[float] = []
        self.trials = self.jobs = 0

    def event(self, event: Event) -> None:
        """Take in a result."""
        match event:
            case TrialStarted():
                self.trials += 1
                self.starts.append(event.time)
            case JobFinished(time=time, trial=trial, rung=rung):
                self.jobs += 1
                loss = GOAL.loss(event.metrics)
                before = (self.named[-1][2], -self.named[-1][3]) if self.named else (-1, 0.0)
                if loss < math.inf:
                    self.results.append((time, trial, event.resource, loss))
                    if (rung, -loss) > before:
                        self.named.append((time, trial, rung, loss))
            case _:
                pass


class VirtualStudy(NamedTuple):
    """What came of a study.

    Args:
        rungs: Their resources.
        named: What it would have named when: (time, trial, rung, loss), one for each change.
        trials: How many were started.
        jobs: How many ended.
        configurations: Of the trials.
        proposal_seconds: CPU time of each proposal.
        results: (time, trial, resource, loss) of all jobs that did not fail.
        starts: When each trial was started.
    """

    rungs: tuple[int, ...]
    named: list[tuple[float, TrialId, int, float]]
    trials: int
    jobs: int
    configurations: Configurations
    proposal_seconds: list[float]
    results: list[tuple[float, TrialId, int, float]]
    starts: list[float]

    def named_at(self, time: float) -> tuple[TrialId, int] | None:
        """Return the trial that it would have named at a time, and the rung that it was at; None
        before any result.
        """
        return next(
            ((trial, rung) for since, trial, rung, _ in reversed(self.named) if since <= time), None
        )


def study(
    search: Search,
    space: Space,
    train: Trained,
    *,
    top: int,
    workers: int,
    until: float = math.inf,
    trials: int | None = None,
    seed: int,
    ahead: int | None = None,
    is_charged: bool = False,
    observers: Sequence[Observer] = (),
    rungs: Ladder | None = None,
) -> VirtualStudy:
    """Run a study with the default scheduler until a virtual time, or to the end of its trials.

    Args:
        search: What proposes.
        space: Where configurations come from.
        train: What training a stretch gives and takes; asked once for each, when it begins.
        top: The resource of a full training.
        workers: How many train.
        until: Seconds of virtual time.
        trials: How many are started; None for no end.
        seed: The study's.
        ahead: How many proposals are made ahead; by default as many as in a real study.
        is_charged: Whether a proposal takes the CPU time that it took.
        observers: They are told what happens.
        rungs: As a user names them; by default those that ashtune chooses.
    """
    proposals = ProposalsInVirtualTime(
        search, space, seed, top=top, workers=workers, is_charged=is_charged,
        ahead=min(workers, search.most_ahead) if ahead is None else ahead,
    )  # fmt: skip
    configurations = Configurations(design_of(search, space, seed), proposals=proposals)
    proposals.attach(configurations)
    scheduler, ladder = (
        (Ash().where_rungs_are_chosen(), rungs_of(top)) if rungs is None else (Ash(), rungs)
    )
    losses: dict[tuple[TrialId, int], float] = {}
    taken: dict[TrialId, tuple[int, int, float]] = {}

    def seconds(trial: TrialId, start: int, target: int) -> float:
        begun = taken.get(trial)
        # asked again when the study stops
        if begun is not None and begun[0] == start and target <= begun[1]:
            return begun[2] * (target - start) / (begun[1] - start)
        losses[trial, target], duration = train(trial, configurations[trial], start, target)
        taken[trial] = (start, target, duration)
        return duration

    named = Named()
    training = Training(
        metrics=lambda trial, resource: {GOAL.metric: losses[trial, resource]},
        seconds=seconds,
        wait_seconds=lambda *_: proposals.wait_of_newest(),
    )
    simulate(
        scheduler.build(ladder, trials, seed),
        SimulatedEngine(training, workers=workers),
        [proposals, named, *observers],
        trials=trials,
        until=until,
        goal=GOAL,
        configurations=configurations,
    )
    return VirtualStudy(
        ladder.rungs, named.named, named.trials, named.jobs, configurations, proposals.seconds,
        named.results, named.starts,
    )  # fmt: skip


def rungs_of(top: int) -> Ladder:
    """Return the rungs that ashtune chooses where only ``max_resource`` is given."""
    return Ladder.from_above(top, Ash.default_reduction_factor, Ash.least_share or 1)
