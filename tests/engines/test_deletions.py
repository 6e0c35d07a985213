"""A checkpoint is deleted once the event that says so has outlived a power loss, and before its
name is used again.
"""

from pathlib import Path

import pytest

from ashtune._src.core.jobs import TrialId
from ashtune._src.core.orders import Discard
from ashtune._src.engines.checkpoint_store import WAIT_SECONDS, DeferredDeletions
from ashtune._src.engines.engine_protocol import Engine
from ashtune._src.engines.local.local_workers import LocalEngine
from ashtune._src.engines.own_loop import OwnLoopEngine
from ashtune._src.engines.threads import ThreadEngine
from ashtune._src.study.journal_writer import SYNC_SECONDS
from ashtune.testing.engine_suite import count, open_harness

A, B, C = Discard(TrialId(1), 2), Discard(TrialId(2), 2), Discard(TrialId(1), 4)


class Deletions:
    def __init__(self) -> None:
        self.time = 100.0
        self.deleted: list[Discard] = []
        self.deletions = DeferredDeletions(self, lambda: self.time)

    def discard(self, trial: TrialId, resource: int) -> None:
        self.deleted.append(Discard(trial, resource))


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


def test_carrying_out_the_deletions_of_one_trial_deletes_only_its_files() -> None:
    it = Deletions()
    for order in (A, B, C):
        it.deletions.add(order)
    it.deletions.carry_out_of(TrialId(1))
    assert it.deleted == [A, C]


def test_carrying_out_all_deletions_deletes_every_requested_file() -> None:
    it = Deletions()
    for order in (A, B, C):
        it.deletions.add(order)
    it.deletions.carry_out_all()
    assert it.deleted == [A, B, C]
    assert not it.deletions.is_due


@pytest.mark.parametrize(
    "engine", [LocalEngine(), ThreadEngine(), OwnLoopEngine()], ids=lambda engine: engine.name
)
@pytest.mark.parametrize("deletes", [True, False])
def test_workers_delete_checkpoints_while_closing_only_if_deletion_is_allowed(
    engine: Engine, deletes: bool, tmp_path: Path
) -> None:
    workers = open_harness(engine, tmp_path, count, 1).workers
    checkpoint = tmp_path / "checkpoints" / f"{A.trial}.{A.resource}"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"state")
    workers.carry_out(A)
    workers.close(deletes=deletes)
    assert checkpoint.exists() is not deletes
