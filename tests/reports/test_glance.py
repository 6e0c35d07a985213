"""What a notebook and a prompt show of a study: its state, its best, its rungs and how to continue."""

from pathlib import Path

import ashtune
from ashtune._src.analysis.study_reader import Outcome
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.ladder import Ladder
from ashtune._src.reports.report import summary
from ashtune._src.reports.terminal.text import as_html, as_text
from tests.helpers.html_parts import Parts
from tests.helpers.made_up import ACCURACY, MadeUpReader, MadeUpStudy, show

LADDER = Ladder(1, 16, 2)


def test_html_and_text_summaries_show_state_best_trial_rungs_and_next_step() -> None:
    study = MadeUpStudy(LADDER, 64, 4)
    tally, outcome = (
        show(Tally(LADDER, ACCURACY), study),
        Outcome(is_complete=False, stopped="Ctrl-C received"),
    )
    shown = summary(MadeUpReader(study, tally, outcome))
    for form in (" ".join(Parts(as_html(shown)).texts), as_text(shown)):
        words = form.split()
        for part in (
            "digits",
            "stopped: Ctrl-C received",
            "64 trials",
            "best accuracy = ",
            "the top rung",
            "width ",
        ):
            assert part in " ".join(words)
        assert "ashtune resume runs/digits" in " ".join(words)
        assert {str(resource) for resource in LADDER.rungs} <= set(words)


def test_names_of_hyperparameters_are_escaped_in_the_html_summary(tmp_path: Path) -> None:
    study = ashtune.tune(
        lambda trial: trial.report(loss=trial["<b>x</b>"]), {"<b>x</b>": (0.0, 1.0)}, metric="loss",
        mode="min",
        trials=2, max_resource=1, engine="threads", quiet=True, directory=tmp_path / "study",
    )  # fmt: skip
    shown = study._repr_mimebundle_()
    assert "<b>x</b>" in shown["text/plain"]
    assert "&lt;b&gt;x&lt;/b&gt;" in shown["text/html"]
    assert "<b>" not in shown["text/html"]
