"""The searches, which draw the configurations of new trials from the search space.

Rule 1: the configuration that a design gives to trial ``i`` is a pure function of the space, the
seed and ``i``. The configuration of a trial does not depend on the order of results, so a resumed
study needs no random state.
Rule 2: the functions of this package import numpy only when they are called, so workers and
``--help`` start fast.
Rule 3: all values that this package returns are plain Python values: None, bool, int, float, str
and lists of these.
"""

# Rule 1: decision 23 (docs/decisions/0023-searches.md).
