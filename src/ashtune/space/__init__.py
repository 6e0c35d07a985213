"""The search space, on ConfigSpace."""
