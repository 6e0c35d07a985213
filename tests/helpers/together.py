"""Workers that all take part, for tests that look at each of them: none does all before another has
come.
"""

import tempfile
from pathlib import Path

TOGETHER = """
    import os
    import time
    from pathlib import Path

    def wait_for_all(part=""):
        folder = Path(os.environ.get("TOGETHER_IN", ".")) / f"all{part}"
        count = int(os.environ.get("TOGETHER", "0"))
        if count:
            folder.mkdir(exist_ok=True)
            (folder / f"{os.uname().nodename}-{os.getpid()}").touch()
        while count and len(list(folder.iterdir())) < count:
            time.sleep(0.005)
"""
"""What a script begins with whose training function calls this first, for each of its studies as
another part.
"""


def together(workers: int, folder: Path) -> dict[str, str]:
    """Return the variables by which so many workers, each a process, wait for each other as they
    begin to train.

    Args:
        workers: How many.
        folder: All of them see it, on whichever host.
    """
    return {
        "TOGETHER": str(workers),
        "TOGETHER_IN": tempfile.mkdtemp(prefix="together-", dir=folder),
    }
