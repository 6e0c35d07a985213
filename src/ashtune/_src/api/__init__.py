"""The names that ``import ashtune`` provides."""
