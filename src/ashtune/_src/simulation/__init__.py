"""Simulates studies in virtual time, with the real loop, controller and schedulers, on known
learning curves.
"""
