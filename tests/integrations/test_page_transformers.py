"""The page on Hugging Face Transformers does what it says."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers import pages


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed")
@pytest.mark.filterwarnings("ignore")
def test_the_page_on_transformers_does_what_it_says(tmp_path: Path) -> None:
    (step,) = pages.carried_out("docs/guide/integrations/transformers.md", tmp_path)
    assert "'eval_accuracy': " in step.printed
