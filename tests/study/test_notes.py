"""What a study's scheduler and its search mean for each other is in the study's notes."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.jobs import Goal
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS
from ashtune._src.search.search_registry import SEARCHES
from ashtune._src.space.space import Space
from ashtune._src.study.factory import built_study, caution_of, new_study
from ashtune._src.study.journal import NAME
from ashtune._src.study.journal_writer import create
from ashtune._src.study.settings import Settings

CAUTION = "the scheduler expects random configurations, but the search proposes similar ones"


def settings_of(scheduler: Any, search: str) -> Settings:
    return new_study(
        name="s", goal=Goal("loss", "min"), scheduler=SCHEDULERS.part(scheduler), ladder=Ladder(1,
        9, 3),
        space=Space.parse({"x": (0.0, 1.0)}), search=SEARCHES.part(search), seed=0,
    ).settings  # fmt: skip


@pytest.mark.parametrize(
    ("scheduler", "search", "is_cautioned"),
    [
        ("adaptive", "gp", True),
        ("adaptive", "mutation", True),
        ("adaptive", "random", False),
        ("ash", "gp", False),
    ],
)
def test_a_note_warns_of_schedulers_that_use_proposals_badly(
    tmp_path: Path, scheduler: str, search: str, is_cautioned: bool
) -> None:
    settings = settings_of(scheduler, search)
    caution = caution_of(settings)
    assert caution.startswith(CAUTION) if is_cautioned else caution == ""
    assert built_study(settings).caution == caution
    create(tmp_path / NAME, settings)
    assert (CAUTION in StudyReader(tmp_path).outcome.notes) == is_cautioned


def test_no_warning_is_given_for_a_search_that_is_not_installed() -> None:
    settings = msgspec.structs.replace(settings_of("adaptive", "gp"), search={"kind": "magic"})
    assert caution_of(settings) == ""
