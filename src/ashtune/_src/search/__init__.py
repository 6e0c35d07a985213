"""What a new trial is: the space, and the searches that draw configurations from it.

Rule 1: a design's configuration of trial ``i`` is a pure function of the space, the seed and ``i``. It does
not depend on which worker came back first, so a resumed study needs no random state.
Rule 2: importing this package does not import numpy, which the functions that use it import: so workers and ``--help``
start fast.
Rule 3: only plain Python values leave this package: None, bool, int, float, str and lists of these.
"""
