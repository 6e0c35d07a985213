"""A study's training function, read where it is to be run."""

from pathlib import Path

from ashtune.pickles.arrival import installed, looked_at
from ashtune.training.runner import Objective


def load_objective(path: Path, *, as_main: bool = False) -> tuple[Objective, str]:
    """Return a study's training function and the file it stands in, whose folder is searched for modules.

    Args:
        path: Of a pickle: what it holds is executed.
        as_main: This process has no script of its own, as a worker: ``__main__`` and ``sys.argv`` are to be those of
            the function's script from now on.
    """
    objective: Objective
    if as_main:
        objective, file = installed(path)
    else:
        objective, _, file = looked_at(path)
    return objective, file
