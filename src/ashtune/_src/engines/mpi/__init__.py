"""The MPI engine, in which rank 0 is the driver and every other rank is a worker."""
