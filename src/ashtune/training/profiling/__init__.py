"""Profiles of what workers train: their files, and the sampler that is on while a worker trains."""
