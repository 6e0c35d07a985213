"""The engine that runs each worker as a process on this machine."""
