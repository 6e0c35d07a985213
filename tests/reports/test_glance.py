"""A study at a glance: its state, its best, its rungs and how to go on, as HTML and as text, whatever the study was."""

from collections.abc import Iterator

import pytest

from ashtune._src.analysis.loading import Outcome
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.ladder import Ladder
from ashtune._src.reports import html
from ashtune._src.reports.glance import Glance, glance, glance_html, glance_text
from ashtune._src.reports.sections import ReportedStudy, Section
from ashtune.testing.sections import check_section
from tests.helpers.html_parts import Parts
from tests.helpers.made_up import ACCURACY, MadeUpStudy, info_of, settings_of, show

LADDER = Ladder(1, 16, 2)


class AtAGlance(Section):
    """A study at a glance as a section, for the suite that every section passes."""

    name, title = "glance", "At a glance"
    uses = ("tally", "trials")
    shows_live = True

    def blocks(self) -> Iterator[html.Block]:
        yield html.Block(glance_html(glance(self.study, can_resume=True)))

    def lines(self) -> Iterator[str]:
        yield from glance_text(glance(self.study, can_resume=True)).splitlines()


def seen(outcome: Outcome, *, can_resume: bool = True) -> Glance:
    study = MadeUpStudy(LADDER, 64, 4)
    tally = show(Tally(LADDER, ACCURACY), study)
    reported = ReportedStudy(settings_of(LADDER), LADDER, info_of(study), tally=tally, outcome=outcome)
    return glance(reported, can_resume=can_resume)


def test_it_shows_every_kind_of_study_and_no_text_of_one_becomes_markup() -> None:
    check_section(AtAGlance)


def test_both_forms_have_the_name_the_state_the_best_the_rungs_and_the_next_step() -> None:
    shown = seen(Outcome(is_complete=False, stopped="Ctrl-C received"))
    texts = " ".join(Parts(glance_html(shown)).texts)
    for form in (texts, glance_text(shown)):
        for part in ("digits", "stopped: Ctrl-C received", "64 trials", "Best: accuracy = ", "the top rung", "width ="):
            assert part in " ".join(form.split())
        assert "study.resume()" in form
        assert "runs/digits" in form
        for resource in LADDER.rungs:
            assert str(resource) in form.split()


@pytest.mark.parametrize(
    ("outcome", "can_resume", "call"),
    [
        (Outcome(), True, "study.resume(trials=...)"),
        (Outcome(is_complete=False), True, "study.resume()"),
        (Outcome(is_complete=False), False, ""),
    ],
    ids=["complete", "not complete", "simulated"],
)
def test_the_next_step_is_one_that_can_be_taken(outcome: Outcome, can_resume: bool, call: str) -> None:
    calls = seen(outcome, can_resume=can_resume).calls
    assert ("resume" in calls) == bool(call)
    assert call in calls
