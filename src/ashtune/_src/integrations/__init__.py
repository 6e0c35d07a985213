"""Code that modules of `ashtune.integrations` share, and code too large for one of them."""
