"""The version of this package, which ``pyproject.toml`` also contains."""

__version__ = "0.1.0"
