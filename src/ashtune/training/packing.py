"""Which of the jobs that wait at a worker are trained together, as lanes of one program.

Rule 1: a pack is of one group: the same program, the same stretch of epochs.
Rule 2: promotions first, the highest rung before the others: but not until they have waited for a moment, in which
fuller packs go before them and others join them. Then they go first, however few they are.
Rule 3: nobody waits for a fuller pack while there is nothing else to train.
Rule 4: a job that was in the hands of a worker that died is alone, and before all others: should it be to blame, no
other suffers.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import Protocol, TypeVar


class Packable(Protocol):
    """A job, as far as this is concerned."""

    @property
    def group(self) -> Hashable:
        """What it has in common with those that it can be trained with."""

    @property
    def rung(self) -> int:
        """Up to which rung it is trained."""

    @property
    def due(self) -> float:
        """When it has waited long enough; infinite for one that may wait."""

    @property
    def alone(self) -> bool:
        """Whether it must have no companions."""


Waiting = TypeVar("Waiting", bound=Packable)


def next_pack(waiting: Iterable[Waiting], most: Callable[[Waiting], int], now: float) -> list[Waiting]:
    """Return the jobs to train next: those of the highest rung that is due, else the fullest pack. O(n).

    Args:
        waiting: In the order in which they came; at least one.
        most: Job -> with how many, itself included, it can be trained at most.
        now: The time, as that at which they are due.
    """
    jobs = list(waiting)
    first = next((job for job in jobs if job.alone), None)
    if first is not None:
        return [first]
    groups: dict[Hashable, list[Waiting]] = {}
    for job in jobs:
        groups.setdefault(job.group, []).append(job)
    due = [job for job in jobs if job.due <= now]
    if due:
        first = max(due, key=lambda job: job.rung)  # of equal ones the first
        return groups[first.group][: most(first)]
    packs = [group[: most(group[0])] for group in groups.values()]
    return max(packs, key=lambda pack: (len(pack) / most(pack[0]), pack[0].rung))
