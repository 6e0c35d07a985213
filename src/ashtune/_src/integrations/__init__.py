"""Code of `ashtune.integrations` that several modules share, or that is too
large for one module.
"""
