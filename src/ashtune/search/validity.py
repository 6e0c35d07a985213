"""Which vectors are configurations: conditions and forbidden clauses, many vectors at a time.

Vectors stand in the columns of a matrix of shape ``(hyperparameters, n)``, rows in ConfigSpace's
order, NaN where inactive. ConfigSpace's own checks are one configuration at a time (30 us), and
its sampler makes unconditional spaces five configurations at a time.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from ashtune.errors import SpaceError

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import ConfigurationSpace
    from ConfigSpace.forbidden import ForbiddenLike
    from numpy.typing import NDArray

    from ashtune.search.columns import Column

    Vectors: TypeAlias = NDArray[np.float64]
    Mask: TypeAlias = NDArray[np.bool_]

# A space whose clauses forbid more than 999 of 1,000 draws is refused rather than waited for.
_ROUNDS = 1000


def draw(
    space: "ConfigurationSpace", columns: Iterable["Column"], count: int, random: "np.random.RandomState"
) -> "Vectors":
    """Draw configurations from the space.

    Args:
        space: Where the conditions and forbidden clauses stand.
        columns: Its hyperparameters, in its own order.
        count: How many to draw.
        random: Where chance comes from; it is advanced.

    Returns:
        Exactly ``count`` valid vectors, shape ``(hyperparameters, count)``.

    Raises:
        SpaceError: If nearly everything is forbidden.
    """
    import numpy as np

    parts: list[Vectors] = []
    missing = count
    for _ in range(_ROUNDS):
        parts.append(draw_allowed(space, columns, count, random)[:, :missing])
        missing -= parts[-1].shape[1]
        if missing == 0:
            return np.concatenate(parts, axis=1)
    raise SpaceError(
        f"the forbidden clauses left {count - missing} of {_ROUNDS * count} draws; narrow the ranges, or use a grid"
    )


def draw_allowed(
    space: "ConfigurationSpace", columns: Iterable["Column"], count: int, random: "np.random.RandomState"
) -> "Vectors":
    """Draw ``count`` vectors once, and return those that are allowed, inactive values blanked."""
    import numpy as np

    matrix = np.stack([column.sample(count, random) for column in columns]).astype(np.float64, copy=False)
    allowed = settle(space, matrix)
    return matrix[:, allowed]


def settle(space: "ConfigurationSpace", matrix: "Vectors") -> "Mask":
    """Blank the inactive values of a matrix in place, and tell which columns are allowed.

    Returns:
        True where no clause forbids the column, shape ``(n,)``.
    """
    import numpy as np

    for name in space:  # parents come before their children
        for condition in space.parent_conditions_of[name]:
            matrix[space.index_of[name], ~condition.satisfied_by_vector_array(matrix)] = np.nan
    allowed: Mask = np.ones(matrix.shape[1], dtype=np.bool_)
    for clause in space.forbidden_clauses:
        allowed &= ~is_forbidden(clause, matrix)
    return allowed


def is_forbidden(clause: "ForbiddenLike", matrix: "Vectors") -> "Mask":
    """Tell which columns of a matrix a clause forbids, shape ``(n,)``."""
    import numpy as np
    from ConfigSpace.forbidden import (
        ForbiddenAndConjunction,
        ForbiddenLessThanEqualsClause,
        ForbiddenOrConjunction,
    )

    if isinstance(clause, (ForbiddenAndConjunction, ForbiddenOrConjunction)):
        parts = np.stack([is_forbidden(part, matrix) for part in clause.components])
        joined: Mask = (np.all if isinstance(clause, ForbiddenAndConjunction) else np.any)(parts, axis=0)
        return joined
    # ConfigSpace 1.2.2 compares an array the wrong way round (>=) in this one clause.
    if isinstance(clause, ForbiddenLessThanEqualsClause):
        below: Mask = matrix[clause.vector_id] <= clause.vector_value
        return below
    mask: Mask = clause.is_forbidden_vector_array(matrix)
    return mask
