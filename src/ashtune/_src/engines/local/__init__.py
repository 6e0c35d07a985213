"""The engine that runs one process per worker on this machine."""
