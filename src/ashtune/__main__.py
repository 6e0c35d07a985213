"""``python -m ashtune``: the same as the command ``ashtune``."""

import sys

from ashtune.cli.main import main

sys.exit(main())
