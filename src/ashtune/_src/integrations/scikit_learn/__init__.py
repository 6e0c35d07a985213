"""Searches of scikit-learn that halve asynchronously."""
