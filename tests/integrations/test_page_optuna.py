"""The page on Optuna does what it says."""

from pathlib import Path

import pytest

from tests.helpers import pages


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_page_on_optuna_does_what_it_says(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed")
    block, command = pages.carried_out("docs/guide/integrations/optuna.md", tmp_path)
    assert block.printed.startswith("True {'rate': ")
    assert command.printed == "study.log\n"
