"""Fused training: one compiled program trains many small models as its lanes.

Source: HFTA (Wang et al., MLSys 2021), Hydro (Hu et al., OSDI 2023), and W. Whitney's notes on
``jax.vmap``.
"""
