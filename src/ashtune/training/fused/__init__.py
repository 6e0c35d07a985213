"""Fused training: many small models as lanes of one compiled program.

Source: the idea is older than this package: HFTA (Wang et al., MLSys 2021) fuses under synchronous Hyperband, Hydro (Hu
et al., OSDI 2023) under a stopping rule; ParallelMLPs and W. Whitney's notes train ensembles by ``jax.vmap``.
"""
