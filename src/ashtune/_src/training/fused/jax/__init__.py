"""Lanes with JAX: pure functions that XLA compiles into programs."""
