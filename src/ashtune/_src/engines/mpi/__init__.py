"""The engine of MPI: every rank except 0 is a worker."""
