"""The page on Lightning does what it says."""

from pathlib import Path

import pytest

from tests.helpers import pages


@pytest.mark.filterwarnings("ignore")  # Lightning's own
def test_the_page_on_lightning_does_what_it_says(tmp_path: Path) -> None:
    (step,) = pages.carried_out("docs/guide/integrations/lightning.md", tmp_path)
    assert "'width': " in step.printed
    assert "['last.ckpt', 'random-0.pt']" in step.printed
