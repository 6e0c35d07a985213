"""The engine of ``docs/how-to/add-an-engine.md`` passes the suites, trains a study, and is found by
its entry point.
"""

import textwrap

import pytest

from tests.helpers.how_to import Page

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(400)]
STUDY = """
    import os
    from pathlib import Path

    import ashtune

    def train(trial):
        trained = trial.restore() or 0
        for epoch in trial.epochs():
            trained += 1
            trial.report(score=trial["x"], right=float(trained == epoch))
            if trial.number == 3 and not Path("died").exists():
                Path("died").touch()
                os._exit(1)
        trial.save(trained)

    if __name__ == "__main__":
        study = ashtune.tune(train, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=12, max_resource=4, workers=3,
                             quiet=True, engine="pipes", directory="study")
        print(study.is_complete, all(trial.metrics["right"] == 1.0 for trial in study.top(5)))
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    page = Page("add-an-engine", tmp_path_factory.mktemp("package"))
    assert page.install() == "pipes"
    return page


def test_the_example_engine_of_the_guide_passes_the_engine_test_suites(page: Page) -> None:
    assert " passed" in page.test("test_pipes.py", timeout=380)


def test_a_study_with_the_example_engine_survives_a_dead_process(page: Page) -> None:
    (page.folder / "script.py").write_text(textwrap.dedent(STUDY))
    assert page.run("script.py").strip() == "True True"
    assert (page.folder / "died").exists()
