"""What made training slow, on trials whose times are known."""

from pathlib import Path
from typing import Any

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.analysis.trials import trials_of
from ashtune._src.core.events import Event, JobFailed, JobFinished, TrialStarted
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.reports.cost import CostSection
from tests.helpers.made_up import settings_of, tell

LADDER = Ladder(1, 4, 2)


def cost(*trials: tuple[dict[str, Any], float]) -> CostSection:
    """Return the section of a study of trials with a configuration and the seconds that each of 4
    epochs took.
    """
    study = StudyReader(Path("nowhere"), settings=settings_of(LADDER), ladder=LADDER)
    section = CostSection(study)
    trials_of_study = trials_of(study.settings, LADDER)
    study.use(trials_of_study)
    events: list[Event] = []
    for number, (configuration, seconds) in enumerate(trials):
        who: dict[str, Any] = {"worker": WorkerId(0), "trial": TrialId(number), "rung": 2}
        events.append(TrialStarted(0.0, TrialId(number), configuration))
        events.append(
            JobFinished(
                1.0, **who, resource=4, start=0, metrics={"accuracy": 0.5}, seconds=4 * seconds
            )
            if seconds
            else JobFailed(1.0, **who, seconds=1000.0, reason="no")
        )
    tell(trials_of_study, *events)
    return section


def text_of(section: CostSection) -> str:
    return "\n".join(text for block in section.blocks() for text in block.texts)


def test_a_hyperparameter_that_slows_training_is_named() -> None:
    trials = [
        ({"width": 8 * (n + 1), "rate": (n * 7) % 12, "is_deep": n % 2 == 0}, 0.25 * (n + 1))
        for n in range(12)
    ]
    text = text_of(cost(*trials))
    assert (
        "In the median of 12 trials, one epoch took 1.6 s; in the slowest, trial 11, it took 3.0 "
        "s." in text
    )
    assert "Training takes longer if width is larger (rank correlation 1.00)." in text
    assert "rate is" not in text and "is_deep is" not in text
    assert "Training takes longer if width is smaller" in text_of(
        cost(*[(c, 4 - s) for c, s in trials])
    )


def test_the_report_shows_the_time_of_each_choice_that_affects_training_speed() -> None:
    trials = [
        ({"kind": ["a", "b"][n % 2], "other": ["c", "d"][n // 6]}, [0.01, 0.03][n % 2])
        for n in range(12)
    ]
    section = cost(*trials)
    assert "kind: 30 ms with b, 10 ms with a." in text_of(section)
    assert section.value()["median_seconds_by_value"] == {"kind": {"b": 0.03, "a": 0.01}}


def test_the_time_per_epoch_ignores_failed_trials() -> None:
    section = cost(*[({"width": n}, 0.0 if n == 3 else 1.0) for n in range(12)])
    slowest = section.value()["slowest"]
    assert [row["trial"] for row in slowest] == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]
