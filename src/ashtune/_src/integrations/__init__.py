"""What the modules of `ashtune.integrations` share, and what is too large for one of them."""
