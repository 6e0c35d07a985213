"""Simulates studies in virtual time: the same loop, controller and schedulers, on known learning curves."""

from ashtune.simulation.run import simulate

__all__ = ["simulate"]
