"""Simulates studies in virtual time: the same loop, controller and schedulers, on known learning curves."""
