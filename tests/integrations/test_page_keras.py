"""The page on Keras does what it says."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.helpers import pages


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not (find_spec("keras") and find_spec("jax")), reason="Keras and JAX are not both installed")
@pytest.mark.filterwarnings("ignore")
def test_the_page_on_keras_does_what_it_says(tmp_path: Path) -> None:
    (step,) = pages.carried_out("docs/guide/integrations/keras.md", tmp_path)
    assert "'rate': " in step.printed
