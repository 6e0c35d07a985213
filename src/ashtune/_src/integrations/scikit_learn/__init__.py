"""Searches like scikit-learn's searches, but with asynchronous halving."""
