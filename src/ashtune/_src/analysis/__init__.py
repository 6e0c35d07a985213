"""Observers and analyses: they turn events into numbers and draw nothing."""
