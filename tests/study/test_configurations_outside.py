"""A journal with right check values and a configuration outside of the study's space is refused,
and never shown.

The driver writes no such journal, whatever a search gives.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

import ashtune
from ashtune._src.core.errors import JournalError, SpaceError
from ashtune._src.core.events import TrialStarted
from ashtune._src.core.jobs import TrialId
from ashtune._src.dashboard.followed_study import FollowedStudy
from ashtune._src.search.search_protocol import Design, Proposal, Search
from ashtune._src.space.space import Space
from ashtune._src.study.configurations import Configurations
from ashtune._src.study.journal import NAME, read_events, read_settings
from ashtune._src.study.journal_writer import Journal, create
from tests.helpers.studies import tuned

CONDITIONAL = {"kind": ["a", "b"], "x": ashtune.When("kind", "a", (0.0, 1.0))}


class LeavesInactive(Search, frozen=True):
    """Gives trial 3 a value of an inactive hyperparameter."""

    def build(self, space: Any, seed: int) -> Design:
        return _LeavesInactive()


class _LeavesInactive:
    size = None

    def configuration(self, trial: int) -> dict[str, object]:
        return {"kind": "b" if trial == 3 else "a", "x": trial / 100}

    def find(self, configuration: Mapping[str, object]) -> int | None:
        return None


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a finished study."""
    return tuned(
        tmp_path_factory.mktemp("finished"), space={"x": (0.0, 1.0), "kind": ["a", "b"]}
    ).directory


def written_again(finished: Path, directory: Path, **changes: Any) -> Path:
    """Write the study's journal again in another directory, with another
    configuration of trial 3.
    """
    shutil.copytree(finished, directory, ignore=shutil.ignore_patterns(NAME))
    create(directory / NAME, read_settings(finished / NAME))
    with Journal(directory / NAME) as journal:
        for event in read_events(finished / NAME):
            if isinstance(event, TrialStarted) and event.trial == 3:
                configuration = {
                    name: value
                    for name, value in (event.configuration | changes).items()
                    if value != ""
                }
                journal.add(msgspec.structs.replace(event, configuration=configuration))
            else:
                journal.add(event)
            journal.flush()
    return directory


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"x": 7.0}, "x=7.0 is out of range; the lines before it are complete"),
        ({"kind": "c"}, "kind='c' is out of range"),
        ({"other": 1}, "other=1 is not in the space"),
        ({"kind": ""}, "kind is missing"),
    ],
)
def test_a_journal_with_a_configuration_outside_of_the_space_is_refused(
    finished: Path, tmp_path: Path, changes: dict[str, Any], text: str
) -> None:
    directory = written_again(finished, tmp_path / "altered", **changes)
    with pytest.raises(JournalError, match=f"trial 3: {text}"):
        ashtune.Study.load(directory).resume(trials=17, quiet=True)
    with pytest.raises(JournalError, match=f"trial 3: {text}"):
        _ = ashtune.Study.load(directory).best
    study = FollowedStudy(directory)
    study.start()
    study.wait_until_read(60)
    summary = study.summary()
    study.close()
    assert summary["state"] == "unreadable"


def test_a_journal_that_was_rewritten_without_changes_can_be_read(
    finished: Path, tmp_path: Path
) -> None:
    directory = written_again(finished, tmp_path / "same")
    assert ashtune.Study.load(directory).best.metrics == ashtune.Study.load(finished).best.metrics


def test_a_search_that_proposes_values_outside_of_the_space_ends_the_study(tmp_path: Path) -> None:
    said = r"gave trial 3 an invalid configuration: x=.* is inactive in this configuration.*; correct the search"
    with pytest.raises(SpaceError, match=said):
        tuned(
            tmp_path,
            lambda trial: trial["x"],
            CONDITIONAL,
            search=LeavesInactive(),
            max_resource=1,
            workers=1,
        )
    assert len(ashtune.Study.load(tmp_path / "study").trials) == 3


def test_a_proposal_of_the_stand_in_search_is_checked_against_the_space() -> None:
    class Proposes:
        def take(self, trial: int) -> Proposal:
            return Proposal({"kind": "c"}, "a stand-in")

    space = Space.parse(CONDITIONAL)
    configurations = Configurations(_LeavesInactive(), written=space, proposals=Proposes())  # type: ignore[arg-type]
    with pytest.raises(SpaceError, match="kind='c' is out of range; correct the search"):
        configurations.draw(TrialId(0))
    assert TrialId(0) not in configurations
