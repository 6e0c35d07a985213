"""Searches whose proposers misbehave, for the process that they run in."""

import os
import time
from typing import Any

from ashtune.search.mutation import Mutation
from ashtune.search.protocol import Proposal, Proposer


class Counting(Mutation, frozen=True):
    """Proposes how much it was told, and misbehaves at some trials."""

    is_apart = True

    def proposer(self, space: Any, seed: int, max_resource: int) -> Proposer:
        return _Counting(max_resource)


class _Counting(Proposer):
    def __init__(self, max_resource: int) -> None:
        self.told = 0
        self.max_resource = max_resource

    def started(self, job: Any, configuration: Any) -> None:
        self.told += 1

    def observe(self, result: Any, configuration: Any) -> None:
        self.told += 1

    def propose(self, trial: int) -> Proposal | None:
        print("what a model prints is no answer")
        if trial == 1:
            return None
        if trial == 2:
            raise ValueError("the second")
        if trial == 3:
            os._exit(1)
        if trial == 4:
            time.sleep(600)
        return Proposal({"x": self.told / 100}, f"told {self.told}, {os.getpid()}, top {self.max_resource}")
