"""Integrations of other libraries. Each library has its own module. Each module needs an optional
extra of ashtune.
"""
