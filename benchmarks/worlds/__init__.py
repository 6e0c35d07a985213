"""Worlds: tuning problems in virtual time, on which the searches are compared by
``search_worlds.py``.

A world has a space, learning curves over ``top`` epochs, and a best loss that is known. Three kinds
exist: made up (``made_up.py``), recorded as a table (``recorded.py``), and LCBench's surrogate
(``of_surrogate.py``).
"""
