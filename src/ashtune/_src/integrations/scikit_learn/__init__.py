"""Searches in the style of scikit-learn with asynchronous halving."""
