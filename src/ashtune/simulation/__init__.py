"""Simulate and predict: the same loop, controller and schedulers in virtual time, on curves that are known.

:func:`simulate` runs a study whose training is a function or a table; :mod:`~ashtune.simulation.whatif` asks of a
study that was run what it would have taken under other choices.
"""

from ashtune.simulation.run import simulate

__all__ = ["simulate"]
