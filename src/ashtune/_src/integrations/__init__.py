"""Code that modules of `ashtune.integrations` share, and code that is too large for one module."""
