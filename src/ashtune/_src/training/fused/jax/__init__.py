"""Fused training with JAX. JAX's compiler XLA makes programs from the user's pure functions."""
