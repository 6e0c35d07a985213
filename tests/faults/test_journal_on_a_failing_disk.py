"""A journal on a disk whose syncs fail: what was written survives a power loss, whoever was killed
before.
"""

from pathlib import Path
from random import Random

import pytest

from ashtune._src.core.errors import JournalError
from ashtune._src.core.events import Event, StopRequested
from ashtune._src.study import journal as journals
from ashtune._src.study.journal import read_events
from ashtune._src.study.journal_writer import TRIES, Journal, create
from tests.faults import histories
from tests.helpers.simulated_disk import NO_SPACE, SYNC_ERROR, SimulatedDisk

STUDY = Path("/study")
PATH = STUDY / journals.NAME
EVENTS: list[Event] = [StopRequested(float(number), f"event {number}") for number in range(4)]


def disk_with_a_journal(seed: int) -> SimulatedDisk:
    disk = SimulatedDisk(Random(seed))
    disk.make_folder(str(STUDY))
    create(PATH, histories.settings_of(histories.plan_of(seed)), disk)
    disk.sync_folder("/")
    return disk


def opened(disk: SimulatedDisk) -> Journal:
    return Journal(PATH, disk=disk, syncs_itself=False)


def write(journal: Journal, *events: Event) -> None:
    for event in events:
        journal.add(event)
    journal.flush()


def events_of(disk: SimulatedDisk) -> list[Event]:
    return list(read_events(PATH, disk))


@pytest.mark.parametrize("seed", range(20))
def test_the_journal_has_no_gap_if_a_kill_follows_a_failed_sync(seed: int) -> None:
    disk = disk_with_a_journal(seed)
    first = opened(disk)
    write(first, *EVENTS[:2])
    disk.fail(SYNC_ERROR)
    first.sync()
    disk.process_kill()
    second = opened(disk)
    write(second, EVENTS[2])
    second.sync()
    disk.power_loss()
    assert events_of(disk) == EVENTS[:3]


@pytest.mark.parametrize("seed", range(20))
def test_opening_a_journal_makes_unsynced_events_durable(seed: int) -> None:
    disk = disk_with_a_journal(seed)
    write(opened(disk), *EVENTS[:2])
    disk.process_kill()
    opened(disk)
    disk.power_loss()
    assert events_of(disk) == EVENTS[:2]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("failures", [1, TRIES - 1])
def test_opening_a_journal_survives_failed_syncs_of_the_rewritten_file(
    seed: int, failures: int
) -> None:
    disk = disk_with_a_journal(seed)
    write(opened(disk), *EVENTS[:2])
    disk.process_kill()
    disk.fail(SYNC_ERROR, failures)
    opened(disk)
    assert disk.names(str(STUDY)) == [journals.NAME]
    disk.power_loss()
    assert events_of(disk) == EVENTS[:2]


@pytest.mark.parametrize("seed", range(20))
def test_opening_a_journal_survives_failed_syncs_of_the_folder(seed: int) -> None:
    disk = disk_with_a_journal(seed)
    write(opened(disk), *EVENTS[:2])
    disk.process_kill()
    sync_folder, refusals = disk.sync_folder, [False, False]
    disk.sync_folder = lambda path: refusals.pop() if refusals else sync_folder(path)  # type: ignore[method-assign]
    opened(disk)
    assert not refusals
    disk.power_loss()
    assert events_of(disk) == EVENTS[:2]


@pytest.mark.parametrize("fault", [SYNC_ERROR, NO_SPACE])
def test_a_journal_that_cannot_be_rewritten_stays_unchanged(fault: str) -> None:
    disk = disk_with_a_journal(0)
    with opened(disk) as journal:
        write(journal, *EVENTS[:2])
    before = disk.tree()
    disk.rates[fault] = 1.0
    with pytest.raises(JournalError) as refused:
        opened(disk)
    assert "\n" not in str(refused.value)
    assert disk.tree() == before
    disk.rates.clear()
    with opened(disk) as journal:
        write(journal, *EVENTS[2:])
    assert events_of(disk) == EVENTS


@pytest.mark.parametrize("seed", range(20))
def test_closing_a_journal_after_a_failed_flush_syncs_the_earlier_events(seed: int) -> None:
    disk = disk_with_a_journal(seed)
    journal = opened(disk)
    write(journal, *EVENTS[:2])
    disk.rates[NO_SPACE] = 1.0
    with pytest.raises(JournalError):
        write(journal, EVENTS[2])
    with pytest.raises(JournalError):
        journal.close()
    disk.power_loss()
    assert events_of(disk)[:2] == EVENTS[:2]


@pytest.mark.parametrize("seed", range(20))
def test_closing_a_journal_after_a_failed_sync_makes_its_events_durable(seed: int) -> None:
    disk = disk_with_a_journal(seed)
    journal = opened(disk)
    write(journal, *EVENTS[:2])
    disk.fail(SYNC_ERROR)
    journal.sync()
    with pytest.raises(JournalError):
        write(journal, EVENTS[2])
    with pytest.raises(JournalError):
        journal.close()
    disk.power_loss()
    assert events_of(disk) == EVENTS[:2]
