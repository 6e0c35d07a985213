"""Measures the peak performance of this machine, and compares training steps with this peak."""
