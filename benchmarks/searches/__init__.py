"""Searches of scikit-learn's kind on the same models and data, one process a run, for
``scikit_learn.py``.

Nothing here imports ashtune but for the runs of ashtune: Dask-ML has an environment of its own.
"""
