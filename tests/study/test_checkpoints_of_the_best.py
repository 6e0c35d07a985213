"""The model of the best trial is there at every moment, whatever the scheduler, the goal, or what
is confirmed.
"""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashtune._src.analysis.tally import Tally
from ashtune._src.core.confirm import Confirm
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    SessionStarted,
    TrialStarted,
    WorkerJoined,
)
from ashtune._src.core.jobs import Constraint, Goal, Objective, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.order import front_of
from ashtune._src.core.orders import Train
from ashtune._src.schedulers.ash import Ash
from ashtune._src.schedulers.brackets import SuccessiveHalving
from ashtune._src.schedulers.hyperband import Hyperband
from ashtune._src.schedulers.stopping import StoppingAsh
from ashtune._src.study.checkpoint_index import RungBests
from ashtune._src.study.controller import Controller

GOALS = {
    "one objective": Goal("loss", "min"),
    "a constraint": Goal("loss", "min", constraints=(Constraint("size", "<=", 2.0),)),
    "two objectives": Goal("loss", "min", others=(Objective("size", "max"),)),
    "two objectives and a constraint": Goal(
        "loss",
        "min",
        others=(Objective("size", "max"),),
        constraints=(Constraint("size", "<=", 2.0),),
        weights=(3, 1),
    ),
}
SIZE = 10


class Driven:
    """A study whose workers save every checkpoint, and which checks after every event that the best
    has its own.
    """

    def __init__(
        self, goal: Goal, scheduler: Any, trials: int, confirm: Confirm | None, limit: int | None
    ) -> None:
        ladder = Ladder(1, 9, 3)
        self.controller = Controller(scheduler.build(ladder, 0), goal, checkpoint_limit=limit)
        self.tally = Tally(ladder, goal)
        self.running: list[Train] = []
        self.most_bytes = 0
        self.take(SessionStarted(0, 0.0, "", "", 0, trials=trials, confirm=confirm))

    def take(self, event: Event) -> None:
        followed = self.controller.handle(event)
        self.tally.event(event)
        for what in followed:
            self.tally.followed(what)
        orders = [order for order in followed if isinstance(order, Train)]
        self.running += orders
        for order in orders:
            self.tally.event(TrialStarted(0, order.trial, {}, confirms=order.confirms))
        self.most_bytes = max(self.most_bytes, self.controller.checkpoints.total_bytes)
        best = self.tally.best
        if best is not None:
            assert self.controller.checkpoints.resources().get(best.trial, 0) >= best.resource, best

    def end(self, order: Train, metrics: dict[str, float | None], *, fails: bool) -> None:
        self.running.remove(order)
        job = {"worker": order.worker, "trial": order.trial, "rung": order.rung}
        if fails:
            self.take(JobFailed(0, **job, seconds=1, reason="no"))
        else:
            self.take(
                JobFinished(
                    0,
                    **job,
                    resource=order.target,
                    start=order.start,
                    metrics=metrics,
                    seconds=1,
                    checkpoint=SIZE,
                )
            )


@pytest.mark.parametrize("goal", GOALS)
@given(
    scheduler=st.sampled_from([Ash(), Ash(ahead=1, exponent=0.8), SuccessiveHalving(),
    StoppingAsh(), Hyperband()]),
    trials=st.integers(1, 30), workers=st.integers(1, 4), best=st.integers(0, 3),
    seed=st.integers(0, 2**32),
    has_limit=st.booleans(),
)  # fmt: skip
def test_the_best_trial_has_a_checkpoint_at_every_moment(
    goal: str, *, scheduler: Any, trials: int, workers: int, best: int, seed: int, has_limit: bool
) -> None:
    plain = GOALS[goal].is_plain
    if scheduler.ranks_one_loss and not plain:
        return
    confirm = Confirm(best, 1) if best and plain else None
    # The best of three rungs, what is confirmed, and what jobs continue from; fronts have no bound.
    limit = SIZE * (3 + best + 2 * workers) if has_limit and plain else None
    study, chance = Driven(GOALS[goal], scheduler, trials, confirm, limit), random.Random(seed)
    for worker in range(workers):
        study.take(WorkerJoined(0, WorkerId(worker)))
    while study.running:
        metrics: dict[str, float | None] = {
            "loss": chance.randrange(5),
            "size": chance.randrange(5),
        }
        study.end(chance.choice(study.running), metrics, fails=chance.random() < 0.1)
    assert study.controller.is_complete
    assert limit is None or study.most_bytes <= limit


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)),
        min_size=1,
        max_size=30,
    ),
    st.randoms(),
)
def test_all_trials_on_the_pareto_front_keep_their_checkpoints(
    results: list[tuple[int, int, int, int]], chance: random.Random
) -> None:
    entries = [(tuple(map(float, key)), TrialId(trial)) for trial, key in enumerate(results)]
    chance.shuffle(entries)
    bests, replaced = RungBests(), set()
    for key, trial in entries:
        replaced.update(bests.arrive(trial, 0, key))
    front = {trial for _, trial in front_of(entries, key=lambda entry: entry)}
    assert {trial for _, trial in entries if trial in bests} == front
    assert not replaced & front
