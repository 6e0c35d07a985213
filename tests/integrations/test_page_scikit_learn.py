"""The page on scikit-learn does what it says."""

from pathlib import Path

from tests.helpers import pages


def test_the_page_on_scikit_learn_does_what_it_says(tmp_path: Path) -> None:
    (step,) = pages.carried_out("docs/guide/integrations/scikit-learn.md", tmp_path)
    assert "'batch_size': " in step.printed
