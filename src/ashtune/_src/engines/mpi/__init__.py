"""The engine of MPI: every other rank of the launch is a worker."""
