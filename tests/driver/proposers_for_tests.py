"""Searches whose proposers misbehave, for the process that they run in."""

import os
import time
from typing import Any

import numpy as np

from ashtune._src.search.mutation import Mutation
from ashtune._src.search.search_protocol import Proposal, Proposer


class Counting(Mutation, frozen=True):
    """Proposes the number of its messages, and misbehaves at some trials."""

    is_apart = True
    ahead: int = 0

    @property
    def most_ahead(self) -> int:
        return self.ahead

    def proposer(self, space: Any, seed: int, max_resource: int) -> Proposer:
        if max_resource < 0:
            raise ValueError(f"no rung has {max_resource}")
        return _Counting(max_resource)


class _Counting(Proposer):
    def __init__(self, max_resource: int) -> None:
        self.messages = 0
        self.max_resource = max_resource

    def started(self, job: Any, configuration: Any) -> None:
        self.messages += 1

    def observe(self, result: Any, configuration: Any) -> None:
        self.messages += 1
        if result.losses[0] == 7.0:
            raise ValueError("no result may be seven")

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
        if trial == 5:
            return Proposal({"x": np.float32(0.25)}, "numpy")
        if trial == 6:
            if not (helper := os.fork()):
                time.sleep(600)
                os._exit(0)
            return Proposal({"x": 0.5}, f"helper {helper}")
        if trial == 7:
            return Proposal({"x": 0.5}, f"helper {_in_a_session_of_its_own()}")
        return Proposal(
            {"x": self.messages / 10_000},
            f"messages {self.messages}, {os.getpid()}, top {self.max_resource}",
        )


def _in_a_session_of_its_own() -> int:
    """Fork a process that is in its own session when this returns."""
    here, there = os.pipe()
    if not (helper := os.fork()):
        os.setsid()
        os.write(there, b".")
        time.sleep(600)
        os._exit(0)
    os.read(here, 1)
    return helper
