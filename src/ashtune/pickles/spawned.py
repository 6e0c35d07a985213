"""The main module of processes that training starts with ``multiprocessing`` (spawn, forkserver): the script's names.

Such a process runs the main module of the one that started it once more, so that what it is sent can be unpickled. A
worker's main module says that this is it.
"""

import os
import sys
from pathlib import Path

from ashtune.pickles.arrival import MAIN, VARIABLE, installed

if __name__ == "__mp_main__":
    installed(Path(os.environ[VARIABLE]))
    _names = vars(sys.modules[MAIN])
    globals().update({name: value for name, value in _names.items() if not name.startswith("__")})
