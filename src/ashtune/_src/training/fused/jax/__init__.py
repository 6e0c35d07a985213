"""Lanes by JAX: pure functions, of which XLA compiles programs."""
