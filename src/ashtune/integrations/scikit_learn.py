""":class:`AshSearchCV`: a search like scikit-learn's searches, but with asynchronous halving."""

from typing import TYPE_CHECKING, Any

from ashtune._src.core.errors import needs_extra

if TYPE_CHECKING:
    from ashtune._src.integrations.scikit_learn.search import AshSearchCV

__all__ = ["AshSearchCV"]


def __getattr__(name: str) -> Any:
    """Import :class:`AshSearchCV` at its first use, because workers do not need the class."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needs_extra("scikit-learn", "sklearn"):
        import sklearn  # noqa: F401 - before joblib, which comes with scikit-learn

        from ashtune._src.integrations.scikit_learn import search

    return getattr(search, name)
