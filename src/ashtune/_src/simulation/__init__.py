"""Simulates studies in virtual time: the real loop, controller and schedulers run on known learning curves."""
