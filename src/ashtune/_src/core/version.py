"""The version of this package, which ``pyproject.toml`` also contains."""

__version__ = "0.2.0"
