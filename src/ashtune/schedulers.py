"""Schedulers: those of ashtune, and what one of your own derives from.

A scheduler decides which trial trains next, and how far. How to add one: ``docs/how-to/add-a-scheduler.md``.
"""

from ashtune._src.core.order import ranked
from ashtune._src.schedulers.ash import Ash, AshMachine
from ashtune._src.schedulers.hyperband import AsyncHyperband, Hyperband
from ashtune._src.schedulers.pasha import Pasha
from ashtune._src.schedulers.protocol import Budget, Machine, Rule, Scheduler

__all__ = [
    "Ash",
    "AshMachine",
    "AsyncHyperband",
    "Budget",
    "Hyperband",
    "Machine",
    "Pasha",
    "Rule",
    "Scheduler",
    "ranked",
]
