"""Which name is probably meant by one that is unknown."""

from collections.abc import Iterable

_ELSEWHERE = {"asha": "ash", "bayesian": "gp", "bo": "gp", "successive_halving": "sh", "tpe": "optuna"}
"""What Optuna and Ray Tune call it, and its name here."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that an unknown one probably means, if there is one."""
    from difflib import get_close_matches

    names, low = list(known), name.lower()
    if (ours := _ELSEWHERE.get(low)) in names:
        return ours
    return next(iter(get_close_matches(low, names, 1)), None)
