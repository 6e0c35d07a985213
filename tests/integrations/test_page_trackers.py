"""The page on trackers does what it says."""

from pathlib import Path

import pytest

from tests.helpers import pages

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),  # of MLflow to SQLAlchemy
]


def test_the_page_on_trackers_does_what_it_says(tmp_path: Path) -> None:
    steps = pages.carried_out("docs/guide/integrations/trackers.md", tmp_path)
    (block,) = [step for step in steps if "MlflowClient" in step.text]
    first, *runs = block.printed.strip().splitlines()
    assert first == f"tensorboard --logdir {tmp_path / 'runs' / 'tracked' / 'tensorboard'}"
    assert runs, "trials that were trained to the top"
    assert all(run.startswith("trial ") for run in runs)
    assert list((tmp_path / "exported" / "wandb").glob("offline-run-*"))
