"""The searches, which draw the configurations of new trials from the search space.

Rule 1: a design's configuration of trial ``i`` is a pure function of the space, the seed and ``i``. The configuration
does not depend on the order of the results, so a resumed study needs no random state.
Rule 2: importing this package does not import numpy (functions do later), so workers and ``--help`` start fast.
Rule 3: all values that leave this package are plain Python values: None, bool, int, float, str and lists of these.
"""
