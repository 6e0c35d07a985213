"""Sweeps of Hydra: what is behind ``hydra/sweeper: ashtune``. Hydra finds the sweeper in ``hydra_plugins``."""
