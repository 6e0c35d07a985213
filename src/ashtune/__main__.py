"""The command ``ashtune``, and ``python -m ashtune``."""

import signal
import sys
from typing import NoReturn


def run() -> NoReturn:
    """Run one command of the command line, and exit with the command's status.

    Ctrl-C ends the process immediately and without a traceback while modules are imported and after
    the command has ended.
    """
    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ashtune._src.cli.main import main
    from ashtune._src.core import process

    process.is_our_command = True
    try:
        signal.signal(signal.SIGINT, interrupt)
        status = main()
    except KeyboardInterrupt:
        status = 130
    if interrupt is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(status)


if __name__ == "__main__":
    run()
