"""A checkpoint is deleted once the event that says so has outlived a power loss, and before its name is used again."""

from ashtune.core.jobs import TrialId
from ashtune.core.orders import Discard
from ashtune.engines.checkpoint_store import WAIT_SECONDS, DeferredDeletions
from ashtune.study.journal import SYNC_SECONDS

A, B, C = Discard(TrialId(1), 2), Discard(TrialId(2), 2), Discard(TrialId(1), 4)


class Deletions:
    def __init__(self) -> None:
        self.time = 100.0
        self.deleted: list[Discard] = []
        self.deletions = DeferredDeletions(self.deleted.append, lambda: self.time)


def test_nothing_is_deleted_before_the_journal_is_synced() -> None:
    it = Deletions()
    it.deletions.add(A)
    it.time += SYNC_SECONDS
    assert not it.deletions.is_due
    it.time += WAIT_SECONDS - SYNC_SECONDS
    it.deletions.add(B)
    assert it.deletions.is_due
    it.deletions.carry_out_one()
    assert it.deleted == [A]
    assert not it.deletions.is_due


def test_what_a_trial_may_write_again_is_deleted_at_once_and_nothing_else() -> None:
    it = Deletions()
    for order in (A, B, C):
        it.deletions.add(order)
    it.deletions.carry_out_of(TrialId(1))
    assert it.deleted == [A, C]


def test_in_the_end_all_is_deleted() -> None:
    it = Deletions()
    for order in (A, B, C):
        it.deletions.add(order)
    it.deletions.carry_out_all()
    assert it.deleted == [A, B, C]
    assert not it.deletions.is_due
