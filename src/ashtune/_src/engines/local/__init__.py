"""The engine of this machine: one process a worker."""
