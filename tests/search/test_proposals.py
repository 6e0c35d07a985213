"""A thread makes proposals: a trial waits for one while that is cheap, and whatever goes wrong, the
design continues.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from ashtune._src.core.events import JobFinished, TrialStarted, TrialWithdrawn
from ashtune._src.core.jobs import Constraint, Goal, Job, Result, TrialId, WorkerId
from ashtune._src.core.orders import Train, TrialFailed
from ashtune._src.search import proposals
from ashtune._src.search.mutation import Mutation
from ashtune._src.search.proposals import Proposals
from ashtune._src.search.random import Sobol
from ashtune._src.search.search_protocol import Design, Proposal, Proposer, Search
from ashtune._src.space.space import Space
from ashtune._src.study.configurations import Configurations
from ashtune.testing.search_suite import check_proposer
from tests.search.spaces import conditional, finite_conditional, of_every_kind

SPACE = Space.parse({"x": (0.0, 1.0)})
GOAL = Goal("score", "max")
SECONDS = 60.0


class Scripted(Proposer):
    """Does what the test says; ``told`` is all that it was told, ``asked`` the trials that it was
    asked for.
    """

    def __init__(self, propose: Callable[[int], Any]) -> None:
        self._propose = propose
        self.news: list[object] = []
        self.asked: list[int] = []
        self.is_asked = threading.Condition()

    def started(self, job: Job, configuration: Mapping[str, object]) -> None:
        self.news.append((job, dict(configuration)))

    def observe(self, result: Result, configuration: Mapping[str, object]) -> None:
        self.news.append((result, dict(configuration)))

    def propose(self, trial: int) -> Proposal | None:
        with self.is_asked:
            self.asked.append(trial)
            self.is_asked.notify_all()
        answer: Proposal | None = self._propose(trial)
        return answer


class Script(Search, frozen=True):
    """A search whose proposer a test has made."""

    first: int = 0

    @property
    def first_proposed(self) -> int:
        return self.first

    def build(self, space: Space, seed: int) -> Design:
        return Sobol().build(space, seed)

    def proposer(self, space: Space, seed: int, max_resource: int) -> Proposer:
        return MADE[-1]()

    @property
    def most_ahead(self) -> int:
        return AHEAD[-1]


MADE: list[Callable[[], Proposer]] = []
AHEAD: list[int] = []
STUDIES: list["Studied"] = []
"""Those of the test: their threads end with it."""


class Clock:
    """What the time is to proposals: it stands still but for what a test has things take."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looks = 0
        self.looked = threading.Condition()

    def monotonic(self) -> float:
        with self.looked:
            self.looks += 1
            self.looked.notify_all()
            return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Proposals take no time, however long a busy machine has their thread stand still, so none is
    rested after.
    """
    clock = Clock()
    monkeypatch.setattr(proposals, "time", clock)
    may_wait(monkeypatch, 0.0)
    yield clock
    while STUDIES:
        STUDIES.pop().proposals.close()


def may_wait(monkeypatch: pytest.MonkeyPatch, seconds: float, share: float = 0.0) -> None:
    """Have a study wait for its proposals so long, and no longer."""
    monkeypatch.setattr(proposals, "FREE_WAIT_SECONDS", seconds)
    monkeypatch.setattr(proposals, "WAIT_SHARE", share)


class Studied:
    """Proposals with the little of a study that they need."""

    def __init__(
        self, space: Space = SPACE, *, first: int = 0, goal: Goal = GOAL, **more: Any
    ) -> None:
        self.design = Script().build(space, 0)
        self.proposals = Proposals(Script(first), space, self.design, goal=goal, seed=0, **more)
        self.configurations = Configurations(self.design, proposals=self.proposals)
        self.lines: list[str] = []
        self.is_dropped = threading.Event()
        STUDIES.append(self)

    def start(self, make: Callable[[], Proposer], workers: int = 4, ahead: int = 16) -> None:
        MADE.append(make)
        AHEAD.append(ahead)
        self.proposals.start(
            self.configurations,
            workers=workers,
            trials=None,
            max_resource=9,
            complain=self._complain,
            open_apart=lambda *_: pytest.fail("this search needs no process of its own"),
        )

    def _complain(self, line: str) -> None:
        self.lines.append(line)
        self.is_dropped.set()

    def begin(self, trial: int, rung: int = 0) -> str:
        """Start a trial as the loop does; return where its configuration is from."""
        number = TrialId(trial)
        self.proposals.followed(Train(WorkerId(0), number, rung, 0, 1))
        proposal = self.configurations.draw(number)
        self.proposals.event(TrialStarted(0.0, number, proposal.configuration, proposal.origin))
        return proposal.origin

    def finish(self, trial: int, score: float, rung: int = 0) -> None:
        self.proposals.event(
            JobFinished(
                0.0,
                worker=WorkerId(0),
                trial=TrialId(trial),
                rung=rung,
                resource=1,
                metrics={"score": score},
                seconds=2.0,
                memory_share=0.5,
            )
        )

    def waits(self, ready: int) -> None:
        """Wait until so many proposals are ready."""
        changed = self.proposals._changed
        for _ in range(6000):
            with changed:
                if len(self.proposals._ready) >= ready:
                    return
                changed.wait(0.01)
        raise AssertionError(f"{len(self.proposals._ready)} proposals are ready, not {ready}")

    def looks_at(self, clock: Clock) -> None:
        """Have the thread look at the clock, and wait until it has."""
        with clock.looked:
            looks = clock.looks
        with self.proposals._changed:
            self.proposals._changed.notify_all()
        with clock.looked:
            assert clock.looked.wait_for(lambda: clock.looks > looks, SECONDS)


@pytest.fixture
def studied() -> Studied:
    return Studied()


def numbered(trial: int) -> Proposal:
    return Proposal({"x": trial / 1000}, f"number {trial}")


def in_a_second(clock: Clock) -> tuple[Callable[[int], Proposal], list[float]]:
    """Return what proposes in a second of the clock, and the list of the moments at which it
    begins.
    """
    moments: list[float] = []

    def propose(trial: int) -> Proposal:
        moments.append(clock.now)
        clock.now += 1.0
        return numbered(trial)

    return propose, moments


def test_making_proposals_costs_at_most_a_twentieth_of_worker_time(clock: Clock) -> None:
    """Two workers: nine seconds of rest after a proposal that took one, so that proposals are a
    tenth of one's time.
    """
    propose, moments = in_a_second(clock)
    study = Studied()
    study.start(lambda: Scripted(propose), workers=2, ahead=2)
    study.waits(2)  # after the first, which starts a process, there is no rest
    for trial in range(3):
        study.begin(trial)
        for seconds in (8.875, 0.125):
            clock.now += seconds
            study.looks_at(clock)
        study.waits(2)
    study.proposals.close()
    assert moments == [0.0, 1.0, 11.0, 21.0, 31.0]


@pytest.mark.parametrize(("workers", "ahead"), [(1, 0), (40, 2)])
def test_proposals_are_made_without_pause_for_many_workers(
    workers: int, ahead: int, clock: Clock
) -> None:
    propose, moments = in_a_second(clock)
    study = Studied()
    study.start(lambda: Scripted(propose), workers=workers, ahead=ahead)
    for trial in range(5):
        study.waits(ahead)
        assert study.begin(trial) == f"number {trial}"
    study.proposals.close()
    assert len(moments) >= 5
    assert moments == [float(number) for number in range(len(moments))], (
        "each as soon as the one before was made"
    )


@pytest.mark.parametrize("ahead", [0, 2])
def test_initial_design_trials_request_no_proposal(ahead: int) -> None:
    scripted = Scripted(numbered)
    study = Studied(first=6)
    study.start(lambda: scripted, ahead=ahead)
    for trial in range(6):
        assert scripted.asked == [] or trial >= 6 - ahead
        assert study.begin(trial) == "design"
        study.finish(trial, 1.0)
        study.proposals.tick(0.0)  # the thread tells what is new
        time.sleep(0.02)  # it would ask meanwhile
    if ahead:
        study.waits(2)
    assert study.begin(6) == "number 6"
    assert scripted.asked[0] == 6
    assert [one for one in scripted.asked if one < 6] == []


def test_known_results_replace_initial_design_trials() -> None:
    known = [(Result(TrialId(-1 - n), 0, 1, (0.5 * n,), 0.0), {"x": 0.1 * n}) for n in (0, 1, 1, 2)]
    scripted = Scripted(numbered)
    study = Studied(first=5, known=known)
    study.start(lambda: scripted, ahead=2)
    for trial in range(2):
        assert study.begin(trial) == "design"
        study.finish(trial, 1.0)
    study.proposals.tick(0.0)
    study.waits(2)
    assert study.begin(2) == "number 2", (
        "three configurations are known, so two trials of five are the design's"
    )
    assert scripted.news[:4] == known


def test_a_resumed_study_requests_proposals_only_for_new_trials(studied: Studied) -> None:
    for trial in range(50):
        studied.proposals.event(TrialStarted(0.0, TrialId(trial), {"x": 0.5}))
    proposer = Scripted(numbered)
    studied.start(lambda: proposer, ahead=3)
    studied.waits(3)
    assert proposer.asked == [50, 51, 52]


@pytest.mark.parametrize(
    "space", [of_every_kind, conditional, finite_conditional, lambda: {"x": (0.0, 1.0)}]
)
def test_mutation_passes_the_suite_of_proposers(space: Callable[[], object]) -> None:
    check_proposer(Mutation(), space())


def test_mutation_search_draws_a_fixed_share_of_its_trials_at_random() -> None:
    def random_ones(share: float) -> int:
        proposer = Mutation(first=3, random_share=share).proposer(SPACE, 0, 9)
        for trial in range(3):
            assert proposer.propose(trial) is None
            proposer.observe(Result(TrialId(trial), 0, 1, (float(trial),), 1.0), {"x": 0.3})
        return sum(proposer.propose(trial) is None for trial in range(3, 203))

    assert random_ones(0.0) == 0
    assert 60 < random_ones(0.5) < 140, "200 draws: 5 sigma are 35"
    assert random_ones(1.0) == 200


def test_the_number_of_workers_limits_how_many_proposals_are_prepared() -> None:
    for workers, ahead, expected in ((3, 16, 3), (8, 2, 2), (1, 16, 1)):
        study, proposer = Studied(), Scripted(numbered)
        study.start(lambda: proposer, workers, ahead)  # noqa: B023 - used before the next turn
        study.waits(expected)
        assert proposer.asked == list(range(expected))


def test_proposals_are_used_in_the_order_in_which_they_were_made(studied: Studied) -> None:
    studied.start(lambda: Scripted(numbered), ahead=4)
    for trial in range(6):
        studied.waits(4)
        assert studied.begin(trial) == f"number {trial}"
        assert studied.configurations[TrialId(trial)] == {"x": trial / 1000}
    assert not studied.lines


def test_trials_do_not_wait_for_a_slow_proposer(studied: Studied) -> None:
    may_go_on = threading.Event()

    def slow(trial: int) -> Proposal:
        assert may_go_on.wait(SECONDS)
        return numbered(trial)

    proposer = Scripted(slow)
    studied.start(lambda: proposer, ahead=1)
    with proposer.is_asked:
        assert proposer.is_asked.wait_for(lambda: proposer.asked, SECONDS)
    assert [studied.begin(trial) for trial in range(3)] == ["design, no proposal was ready"] * 3
    assert [studied.configurations[TrialId(t)] for t in range(3)] == [
        studied.design.configuration(t) for t in range(3)
    ]
    may_go_on.set()
    studied.waits(1)
    assert studied.begin(3) == "number 0"
    studied.waits(1)
    assert studied.begin(4) == "number 4"


def test_a_proposer_receives_all_results_before_it_proposes(studied: Studied) -> None:
    x = [studied.design.configuration(trial) for trial in range(3)]
    for trial in range(3):
        studied.begin(trial)
    studied.finish(0, 0.5)
    common: dict[str, Any] = {"worker": WorkerId(0), "rung": 0, "seconds": 1.0}
    studied.proposals.followed(
        TrialFailed(TrialId(1), 0, "out of memory: no", is_out_of_memory=True)
    )
    studied.proposals.event(TrialWithdrawn(0.0, trial=TrialId(2), **common))
    studied.proposals.followed(Train(WorkerId(0), TrialId(0), 1, 1, 2))
    studied.finish(0, math.nan, rung=1)
    proposer = Scripted(numbered)
    studied.start(lambda: proposer, ahead=1)
    studied.waits(1)
    assert proposer.news == [
        *((Job(TrialId(trial), 0), x[trial]) for trial in range(3)),
        (Result(TrialId(0), 0, 1, (-0.5,), 2.0, memory_share=0.5), x[0]),
        (Result(TrialId(1), 0, 0, (math.inf,), 0.0, is_out_of_memory=True), x[1]),
        (Result(TrialId(2), 0, 0, (math.inf,), 0.0), x[2]),
        (Job(TrialId(0), 1), x[0]),
        (Result(TrialId(0), 1, 1, (math.inf,), 2.0, memory_share=0.5), x[0]),
    ]
    assert proposer.asked == [3]


def test_a_proposer_receives_the_violation_of_a_constraint() -> None:
    study = Studied(goal=Goal("score", "max", constraints=(Constraint("score", "<=", 2.0),)))
    study.begin(0)
    study.finish(0, 3.0)
    proposer = Scripted(numbered)
    study.start(lambda: proposer, ahead=1)
    study.waits(1)
    result = Result(TrialId(0), 0, 1, (-3.0,), 2.0, violation=0.5, memory_share=0.5)
    assert proposer.news[-1] == (result, study.design.configuration(0))


def fails(error: BaseException) -> Callable[..., Any]:
    def raising(*_: object) -> Any:
        raise error

    return raising


class MuteError(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Deaf(Scripted):
    """Raises when it hears of a result."""

    def observe(self, result: Result, configuration: Mapping[str, object]) -> None:
        raise ValueError("too loud")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (fails(ImportError("no optuna")), "ImportError: no optuna"),
        (lambda: Scripted(fails(ValueError("a\x1b[31m\nb"))), "ValueError: a"),
        (lambda: Scripted(fails(SystemExit(3))), "SystemExit: 3"),
        (lambda: Scripted(fails(MuteError())), "MuteError: (its text cannot be shown)"),
        (lambda: Deaf(numbered), "ValueError: too loud"),
        (
            lambda: Scripted(lambda trial: Proposal({"x": 2.0}, "far")),
            "SpaceError: x=2.0 is out of range",
        ),
        (lambda: Scripted(lambda trial: Proposal({}, "empty")), "SpaceError: x is missing"),
        (lambda: Scripted(lambda trial: {"x": 0.5}), "AttributeError"),
    ],
    ids=["made", "propose", "exit", "mute", "observe", "outside", "missing", "no proposal"],
)
def test_a_proposer_that_fails_is_dropped(
    make: Callable[[], Proposer], says: str, studied: Studied
) -> None:
    studied.begin(0)
    studied.finish(0, 1.0)
    studied.start(make)
    assert studied.is_dropped.wait(SECONDS)
    [line] = studied.lines
    assert line.startswith(
        "search Script has failed, so new trials are chosen without regard to results: "
    )
    assert says in line
    assert line.isprintable()
    for trial in range(1, 5):
        assert studied.begin(trial) == "design, the proposer had failed"
        assert studied.configurations[TrialId(trial)] == studied.design.configuration(trial)


def test_a_finite_space_never_tries_a_repeated_proposal_again() -> None:
    space = Space.parse({"n": (1, 6), "c": [["a"], ["b"]]})
    study = Studied(space)
    study.configurations.put(TrialId(0), {"n": 2, "c": ["a"]})
    study.start(lambda: Scripted(lambda trial: Proposal({"n": 3, "c": ["b"]}, "the same")), ahead=1)
    origins = []
    for trial in range(1, 12):
        study.waits(1)
        origins.append(study.begin(trial))
    study.proposals.close()
    tried = [study.configurations[TrialId(trial)] for trial in range(12)]
    assert len({repr(configuration) for configuration in tried}) == 12
    assert origins == ["the same", *["design, the proposal was tried before"] * 10]


def test_an_endless_design_replaces_a_repeated_configuration_with_a_nearby_configuration() -> None:
    """Half of the points of the space are one configuration."""
    branch = {"type": "EQ", "child": "x", "parent": "kind", "value": "some"}
    record = Space.parse({"kind": ["none", "some"], "x": (0.0, 1.0)}).to_record()
    study = Studied(Space({**record, "space": {**record["space"], "conditions": [branch]}}))
    for trial in range(40):
        study.begin(trial)
    tried = [study.configurations[TrialId(trial)] for trial in range(40)]
    assert len({repr(configuration) for configuration in tried}) == 40


def test_the_design_replaces_a_proposal_that_was_tried_in_the_meantime(
    studied: Studied,
) -> None:
    studied.start(lambda: Scripted(numbered), ahead=2)
    studied.waits(2)
    studied.proposals.tried({"x": 0.0})
    assert studied.begin(0) == "design, the proposal was tried before"
    assert studied.configurations[TrialId(0)] == studied.design.configuration(0)
    assert studied.begin(1) == "number 1"


def test_a_fused_study_first_uses_the_proposals_of_the_current_group() -> None:
    space = Space.parse({"x": (0.0, 1.0), "width": [16, 32]})
    study = Studied(space, grouped_by=("width",))
    study.start(
        lambda: Scripted(
            lambda trial: Proposal({"x": trial / 100, "width": 16 * (1 + trial % 2)}, str(trial))
        )
    )
    study.waits(16)
    study.proposals.close()  # nothing is added to what is ready
    widths = []
    for trial in range(16):
        study.begin(trial)
        widths.append(study.configurations[TrialId(trial)]["width"])
    assert widths == [16] * 8 + [32] * 8


def test_closing_a_study_does_not_wait_for_a_hanging_proposer(studied: Studied) -> None:
    forever = threading.Event()
    proposer = Scripted(lambda trial: forever.wait(SECONDS))
    studied.start(lambda: proposer, ahead=1)
    with proposer.is_asked:
        assert proposer.is_asked.wait_for(lambda: proposer.asked, SECONDS)
    studied.proposals.close()
    assert studied.proposals._thread is not None
    assert studied.proposals._thread.is_alive()
    forever.set()
    studied.proposals._thread.join(SECONDS)
    assert not studied.proposals._thread.is_alive()
    assert not studied.lines, "what it says after the end is nobody's business"


def test_trials_wait_for_proposals_only_a_limited_share_of_training_time(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proposal takes a second. Two workers train for two seconds a trial, and may wait for half
    of it.
    """
    may_wait(monkeypatch, 3.0, share=0.5)
    propose, moments = in_a_second(clock)
    study = Studied()
    study.start(lambda: Scripted(propose), workers=2, ahead=2)
    study.waits(1)  # the first one starts a process, and is made ahead
    assert [study.begin(trial) for trial in range(4)] == [f"number {trial}" for trial in range(4)]
    assert (study.proposals.waits, study.proposals.waited) == (3, 3.0)
    assert len(moments) == 4, "while trials wait, none is made ahead"
    assert study.begin(4) == "design, no proposal was ready"
    clock.now += 9.0
    study.looks_at(clock)
    study.waits(1)
    clock.now += 9.0
    study.looks_at(clock)
    study.waits(2)  # now they are made ahead
    assert [study.begin(5), study.begin(6)] == ["number 5", "number 6"]
    assert study.begin(7) == "design, no proposal was ready"
    study.finish(0, 1.0)
    study.finish(1, 1.0)
    assert study.begin(8) == "number 8"
    study.finish(2, 1.0)
    assert study.begin(9) == "design, no proposal was ready", (
        "half a second is too short for a proposal"
    )
    assert (study.proposals.waits, study.proposals.waited) == (4, 4.0)


def test_waiting_for_the_first_proposal_has_its_own_time_limit(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_wait(monkeypatch, 3.0)
    study = Studied()
    is_awaited = threading.Event()

    def propose(trial: int) -> Proposal:
        assert is_awaited.wait(SECONDS)
        clock.now += 2.0
        return Proposal({"x": 0.5}, "the first")

    study.start(lambda: Scripted(propose))
    wait = study.proposals._changed.wait_for
    monkeypatch.setattr(
        study.proposals._changed, "wait_for", lambda *given: (is_awaited.set(), wait(*given))[1]
    )
    assert study.begin(0) == "the first"
    assert (study.proposals.waited_at_first, study.proposals.waited) == (2.0, 0.0)


def test_the_first_proposal_may_be_awaited_longer_than_later_proposals(
    studied: Studied, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_wait(monkeypatch, 0.01)
    waits: list[float] = []

    def wait_for_one(seconds: float) -> None:
        waits.append(seconds)
        Proposals._wait_for_one(studied.proposals, seconds)

    monkeypatch.setattr(studied.proposals, "_wait_for_one", wait_for_one)
    may_begin = threading.Event()

    def slow_to_begin() -> Proposer:
        assert may_begin.wait(SECONDS)
        return Scripted(numbered)

    studied.start(slow_to_begin, ahead=2)
    threading.Timer(0.1, may_begin.set).start()
    assert studied.begin(0) == "number 0"
    assert studied.begin(1) in ("number 1", "design, no proposal was ready")
    assert waits == [proposals.WAIT_SECONDS, 0.01]


def test_a_fused_study_does_not_wait_for_proposals(monkeypatch: pytest.MonkeyPatch) -> None:
    may_wait(monkeypatch, 5.0)
    forever = threading.Event()
    study = Studied(Space.parse({"width": [16, 32]}), grouped_by=("width",))
    study.start(lambda: Scripted(lambda trial: forever.wait(SECONDS)))
    assert study.begin(0) == "design, no proposal was ready"
    forever.set()
    study.proposals.close()
    assert study.proposals.waits == 0


def test_a_proposal_that_differs_only_by_rounding_is_treated_as_tried(studied: Studied) -> None:
    values = iter((0.0010000000000000002, 0.002))
    studied.proposals.tried({"x": 0.001})
    studied.start(
        lambda: Scripted(lambda trial: Proposal({"x": next(values)}, "the model")), ahead=1
    )
    studied.waits(1)
    assert studied.begin(0) == "the model"
    assert studied.configurations[TrialId(0)] == {"x": 0.002}


def test_after_waiting_in_vain_later_trials_do_not_wait_for_proposals(
    studied: Studied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposals, "WAIT_SECONDS", 0.05)
    may_go_on = threading.Event()

    def slow(trial: int) -> Proposal:
        assert may_go_on.wait(SECONDS)
        return numbered(trial)

    proposer = Scripted(slow)
    studied.start(lambda: proposer, ahead=0)
    assert [studied.begin(trial) for trial in range(10)] == ["design, no proposal was ready"] * 10
    assert studied.proposals.waits == 1
    may_go_on.set()
    monkeypatch.setattr(proposals, "WAIT_SECONDS", SECONDS)
    studied.waits(1)
    assert [studied.begin(trial) for trial in range(10, 13)] == [
        f"number {proposer.asked[0]}",  # 0, unless its thread was slower than the wait
        "number 11",
        "number 12",
    ]
    assert studied.proposals.waits == 3


class WithStandIn(Script, frozen=True):
    """A search whose stand-in is the one that a test has made."""

    def stand_in(self, space: Space, seed: int) -> Proposer | None:
        return STAND_INS[-1]


STAND_INS: list[Proposer] = []


def with_stand_in(propose: Callable[[int], Any]) -> tuple[Studied, Scripted]:
    stand_in = Scripted(propose)
    STAND_INS.append(stand_in)
    study = Studied()
    study.proposals = Proposals(WithStandIn(), SPACE, study.design, goal=GOAL, seed=0)
    study.configurations = Configurations(study.design, proposals=study.proposals)
    return study, stand_in


def test_the_stand_in_search_proposes_if_no_proposal_is_ready() -> None:
    study, stand_in = with_stand_in(numbered)
    study.begin(0)
    study.finish(0, 1.0)
    forever = threading.Event()
    study.start(lambda: Scripted(lambda trial: forever.wait(SECONDS)), ahead=1)
    assert study.begin(1) == "number 1, no proposal was ready"
    assert [type(one) for one, _ in stand_in.news] == [Result]  # type: ignore[misc]  # pairs
    forever.set()


def test_the_stand_in_search_receives_the_known_results() -> None:
    known = [(Result(TrialId(-1 - n), 0, 1, (0.5 * n,), 0.0), {"x": 0.1 * n}) for n in range(3)]
    study, stand_in = with_stand_in(numbered)
    study.proposals = Proposals(WithStandIn(), SPACE, study.design, goal=GOAL, seed=0, known=known)
    study.configurations = Configurations(study.design, proposals=study.proposals)
    forever = threading.Event()
    study.start(lambda: Scripted(lambda trial: forever.wait(SECONDS)), ahead=1)
    study.begin(0)
    study.finish(0, 1.0)
    assert study.begin(1) == "number 1, no proposal was ready"
    assert stand_in.news[:3] == known
    forever.set()


def test_a_failing_stand_in_search_is_dropped_with_a_one_line_message() -> None:
    def fails(trial: int) -> None:
        raise ZeroDivisionError("the stand-in")

    study, _ = with_stand_in(fails)
    forever = threading.Event()
    study.start(lambda: Scripted(lambda trial: forever.wait(SECONDS)), ahead=1)
    assert [study.begin(trial) for trial in range(2)] == ["design, no proposal was ready"] * 2
    assert study.lines == [
        "search WithStandIn: the simpler search, used while proposals are late, has failed and "
        "proposes nothing more: ZeroDivisionError: the stand-in"
    ]
    forever.set()
