"""Fused training with JAX, whose compiler XLA makes programs from the user's pure functions."""
