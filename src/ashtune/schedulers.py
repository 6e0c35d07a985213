"""The schedulers of ashtune, and the base classes for your own scheduler.

A scheduler decides which trial trains next, and how long. How to add a scheduler:
``docs/how-to/add-a-scheduler.md``.
"""

from ashtune._src.core.order import ranked
from ashtune._src.schedulers.ash import Ash, AshMachine
from ashtune._src.schedulers.hyperband import AsyncHyperband, Hyperband
from ashtune._src.schedulers.pasha import Pasha
from ashtune._src.schedulers.scheduler_protocol import Budget, Machine, Rule, Scheduler

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
