"""Basic types and helper functions that all other packages use."""
