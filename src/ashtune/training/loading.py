"""A study's training function, read where it is to be run."""

import pickle
import sys
from pathlib import Path

from ashtune.training.objective import Objective


def load_objective(path: Path) -> tuple[Objective, str]:
    """Return a study's training function and the file it stands in, whose folder is searched for modules.

    The file is a pickle: what it holds is executed.
    """
    file, pickled = pickle.loads(path.read_bytes())
    folder = str(Path(file).parent) if file else ""
    if folder and folder not in sys.path:
        sys.path.append(folder)
    sys.argv = [file]  # not this process's own arguments
    objective: Objective = pickle.loads(pickled)
    return objective, file
