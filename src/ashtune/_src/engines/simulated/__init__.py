"""The engine whose workers are simulated in virtual time."""
