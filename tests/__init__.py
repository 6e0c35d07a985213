"""The tests, run by pytest from the repository's root. ``helpers`` holds what several folders of
them use.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The repository. A script in its own process imports ``tests`` with this on its path."""
