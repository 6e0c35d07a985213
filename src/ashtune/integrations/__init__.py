"""Integrations of other libraries, one file each. Each needs an extra."""
