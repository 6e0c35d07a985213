"""The page on boosters does what it says."""

from pathlib import Path

import pytest

from tests.helpers import pages

for _library in ("xgboost", "lightgbm", "catboost", "sklearn"):
    pytest.importorskip(_library, reason=f"{_library} is not installed")


@pytest.mark.slow
def test_the_page_on_boosters_does_what_it_says(tmp_path: Path) -> None:
    steps = pages.carried_out("docs/guide/integrations/boosters.md", tmp_path)
    printed = "".join(step.printed for step in steps)
    assert printed.count("best_round") == len(steps)
