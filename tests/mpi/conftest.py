"""Tests under a launcher have more time than others: what they start may compete with much else for
the cores.
"""

from pathlib import Path

import pytest

SECONDS = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if (
            Path(__file__).parent in item.path.parents
            and item.get_closest_marker("timeout") is None
        ):
            item.add_marker(pytest.mark.timeout(SECONDS))
