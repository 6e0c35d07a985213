"""Fused training: many small models are trained as lanes of one compiled program.

Source: HFTA (Wang et al., MLSys 2021), Hydro (Hu et al., OSDI 2023), and W. Whitney's notes on ``jax.vmap``.
"""
