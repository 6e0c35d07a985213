"""Searches of scikit-learn that halve asynchronously: :class:`AshSearchCV`."""

from ashtune.integrations.scikit_learn.search import AshSearchCV

__all__ = ["AshSearchCV"]
