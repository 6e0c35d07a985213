"""Packs: one group, the highest rung first, who is suspected alone."""

import math
import random
from collections.abc import Hashable
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from ashtune._src.training.fused.pack import next_pack


class Waiting(msgspec.Struct):
    """What is looked at of a lane; it is trained with as many as its rung and ``most`` say."""

    group: Hashable
    rung: int = 0
    due: float = math.inf
    alone: bool = False
    most: int = 4

    @property
    def shape(self) -> Any:
        return SimpleNamespace(most=self.most)


def next_of(waiting: list[Waiting], now: float) -> list[Any]:
    return next_pack(cast(Any, waiting), now)


def test_the_largest_pack_is_trained_first_if_no_promotion_is_due() -> None:
    new = [Waiting(("narrow", 0)) for _ in range(5)]
    promoted = [
        Waiting(("wide", 1), 1, due=3.0),
        Waiting(("narrow", 1), 1, due=2.0),
        Waiting(("wide", 1), 1, due=5.0),
    ]
    waiting = [*promoted, *new]
    assert next_of(waiting, 1.0) == new[:4]
    assert next_of(waiting, 2.0) == [promoted[1]]
    assert next_of(waiting, 3.0) == [promoted[0], promoted[2]], "and all of its group"
    for lane in waiting:
        lane.most = 2
    assert next_of(waiting, 1.0) == [promoted[0], promoted[2]], (
        "of full packs that of the highest rung"
    )


def test_a_single_waiting_job_is_trained_without_waiting_for_more_jobs() -> None:
    lonely = Waiting("a", 2, due=100.0)
    assert next_of([lonely], 0.0) == [lonely]


def test_of_all_due_jobs_the_job_of_the_highest_rung_goes_first() -> None:
    waiting = [Waiting("a", 1, due=0.0), Waiting("b", 3, due=0.5), Waiting("c", 2, due=0.0)]
    assert next_of(waiting, 1.0) == [waiting[1]]


def test_a_suspected_trial_is_trained_alone_before_all_other_trials() -> None:
    waiting = [
        Waiting("a", 3, due=0.0),
        Waiting("b"),
        Waiting("b", alone=True),
        Waiting("b", alone=True),
    ]
    assert next_of(waiting, 1.0) == [waiting[2]]


def test_each_job_is_trained_in_one_pack_of_jobs_of_its_kind() -> None:
    chance = random.Random(4)
    waiting = [
        Waiting(
            (chance.randrange(3), rung := chance.randrange(4)),
            rung,
            due=chance.random(),
            most=1 + rung,
        )
        for _ in range(200)
    ]
    now = 0.0
    while waiting:
        pack = next_of(waiting, now)
        due = [job.rung for job in waiting if job.due <= now]
        assert not due or pack[0].rung == max(due)
        assert len(pack) <= 1 + pack[0].rung
        assert len({job.group for job in pack}) == 1
        kept = [id(job) for job in pack]
        waiting = [job for job in waiting if id(job) not in kept]
        now += 0.02
