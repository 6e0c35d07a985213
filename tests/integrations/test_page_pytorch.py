"""The page on PyTorch does what it says."""

from pathlib import Path

from tests.helpers import pages


def test_the_page_on_pytorch_does_what_it_says(tmp_path: Path) -> None:
    (step,) = pages.carried_out("docs/guide/integrations/pytorch.md", tmp_path)
    assert "'dropout': " in step.printed
    assert "['model', 'optimizer', 'scheduler']" in step.printed
