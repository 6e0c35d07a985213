"""Did the model help? What the section says of made-up studies, where it is
known who was promoted.
"""

import io
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from scipy.stats import fisher_exact

from ashtune._src.api.study import Study
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    SessionStarted,
    TrialStarted,
    WorkerJoined,
)
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.orders import Train, TrialPromoted
from ashtune._src.reports.proposals_section import Comparison, Shares, comparison_of
from ashtune._src.search.origins import Sort
from ashtune._src.search.promotions import Promotions, Ratio
from ashtune._src.study.factory import build_controller
from ashtune._src.study.journal import NAME
from ashtune._src.study.journal_writer import Journal, create
from tests.helpers.made_up import result, settings_of
from tests.helpers.saved_page import sections

LADDER = Ladder(1, 3, 3)


def promotions_of(
    trials: int,
    is_promoted: Callable[[int, bool], bool],
    *,
    origin: str = "gp, 9 results",
    first_random: int = 0,
) -> Promotions:
    """Return those of a study in which every tenth trial is random, and so are the first ones."""
    promotions = Promotions()
    for trial in range(trials):
        is_random = trial % 10 == 9 or trial < first_random
        promotions.event(TrialStarted(0.0, trial, {"x": 1}, "random" if is_random else origin))  # type: ignore[arg-type]
        promotions.event(finished(trial, 0.5))
        if is_promoted(trial, is_random):
            promotions.followed(TrialPromoted(trial, 0, 1))  # type: ignore[arg-type]
    return promotions


def finished(trial: int, accuracy: float, rung: int = 0, time: float = 1.0) -> JobFinished:
    return result(trial, rung, LADDER.rungs[rung], {"accuracy": accuracy}, time=time)


def sentence_of(promotions: Promotions) -> str:
    comparison = comparison_of(promotions, "proposals of the model", (Sort.MODEL,))
    assert comparison is not None
    return re.sub(r" \(95 % interval [0-9.]+ to [0-9.]+\)", "", comparison.sentence())


def test_the_comparison_of_proposals_with_random_draws_states_the_promotion_ratio() -> None:
    assert (
        sentence_of(
            promotions_of(
                400, lambda trial, is_random: trial % 2 == 0 or (is_random and trial % 100 == 9)
            )
        )
        == "Proposals of the model were promoted 5.6 times as often as random draws."
    )
    assert (
        sentence_of(promotions_of(400, lambda trial, is_random: trial % 10 in (1, 5) or is_random))
        == "Proposals of the model were promoted 0.22 times as often as random draws."
    )
    assert (
        sentence_of(promotions_of(400, lambda trial, is_random: trial % 10 < 3 or trial % 40 == 9))
        == "Proposals of the model were promoted 1.3 times as often as random draws, which may be "
        "chance."
    )
    assert (
        sentence_of(promotions_of(30, lambda trial, is_random: not is_random and trial % 3 == 0))
        == "Proposals of the model: 27 proposals and 3 random draws are too few to compare."
    )
    assert (
        sentence_of(promotions_of(400, lambda trial, is_random: is_random))
        == "Proposals of the model were never promoted, and random draws were."
    )
    assert (
        sentence_of(promotions_of(400, lambda trial, is_random: not is_random))
        == "Proposals of the model were promoted, and no random draw was."
    )


def test_early_trials_are_excluded_from_the_comparison_with_random_draws() -> None:
    """Early trials are promoted more often, and the first ten are random: that says nothing of the
    model.
    """
    promotions = promotions_of(200, lambda trial, _: trial < 10 or trial % 3 == 0, first_random=10)
    comparison = comparison_of(promotions, "proposals of the model", (Sort.MODEL,))
    assert comparison is not None
    assert comparison.random.trials == 19
    assert not comparison.is_too_small
    assert "which may be chance" in comparison.sentence()


def test_mutations_are_compared_by_fishers_exact_test() -> None:
    promotions = promotions_of(
        20, lambda trial, is_random: is_random or trial < 4, origin="mutation of 3"
    )
    assert comparison_of(promotions, "proposals of the model", (Sort.MODEL,)) is None
    comparison = comparison_of(
        promotions, "mutations of the best", (Sort.MUTATION, Sort.STANDING_IN)
    )
    assert comparison is not None
    one_sided = min(fisher_exact([[2, 0], [4, 14]], side).pvalue for side in ("less", "greater"))
    assert comparison.chance == pytest.approx(2 * one_sided)
    assert (comparison.proposed, comparison.random) == (Shares(18, 4), Shares(2, 2))


def journal_of(directory: Path, *, helps: bool) -> Study:
    """A study whose model is good or bad: 10 random trials, then a tenth, one in thirty too late,
    one fails.
    """
    settings = msgspec.structs.replace(settings_of(LADDER), search={"kind": "gp"})
    create(directory / NAME, settings)
    events: list[Event] = [
        SessionStarted(0.0, unix_time=0.0, version="1", host="h", pid=1, trials=300),
        WorkerJoined(0.0, 0, 1, "h"),  # type: ignore[arg-type]
    ]  # fmt: skip
    controller = build_controller(settings)
    followed = [what for event in events for what in controller.handle(event)]
    for step in range(10_000):
        if not (orders := [what for what in followed if isinstance(what, Train)]):
            break
        (order,) = orders
        trial, now = order.trial, float(step)
        is_random = trial < 10 or trial % 10 == 9
        if not order.rung:  # nothing is saved, so a promoted trial begins again
            origin = "random" if is_random else "gp, 9 results"
            origin += ", no proposal was ready" if trial % 30 == 9 and trial > 10 else ""
            events.append(TrialStarted(now, trial, {"x": trial / 300}, origin))
            followed = controller.handle(events[-1])
        accuracy = (trial * 0.618 % 1) + (0 if is_random else 0.3 if helps else -0.9)
        event: Event = finished(trial, accuracy, order.rung, now)
        if trial == 50:
            event = JobFailed(now, worker=0, trial=trial, rung=0, seconds=1.0, reason="no")  # type: ignore[arg-type]
        events.append(event)
        followed = controller.handle(event)
    with Journal(directory / NAME) as journal:
        for event in events:
            journal.add(event)
    return Study.load(directory)


def test_the_comparison_of_proposals_appears_on_page_terminal_and_json(tmp_path: Path) -> None:
    study = journal_of(tmp_path, helps=True)
    data = study.report_data()["sections"]["model"]
    (comparison,) = data["comparisons"]
    assert comparison["chance"] < 0.05
    assert not comparison["is_too_small"]
    assert comparison["proposed"]["trials"] + comparison["random"]["trials"] == 289, (
        "without the one that failed"
    )
    assert comparison["ratio"]["low"] < comparison["ratio"]["ratio"] < comparison["ratio"]["high"]
    assert (data["no_proposal_in_time"], data["proposals_replaced"]) == (9, 0)
    study.report(stream := io.StringIO())
    ratio, ours, theirs = comparison["ratio"], comparison["proposed"], comparison["random"]
    said = (
        f"Proposals of the model were promoted {ratio['ratio']:.2g} times as often as random draws "
        f"(95 % interval {ratio['low']:.2g} to {ratio['high']:.2g})."
    )
    lines = " ".join(stream.getvalue().split("did the model help?\n")[1].split())
    assert lines.startswith(
        f"{said} Of {ours['trials']} proposals {ours['promoted']} continued; of {theirs['trials']} "
        f"random draws in the same time, {theirs['promoted']} continued. Of 300 trials: 87 % by "
        "the model, 13 % random. For 9 trials no proposal was ready in time."
    )
    study.report_html(tmp_path / "page.html")
    words, table, *_ = sections(tmp_path / "page.html")["Did the model help?"]
    assert words["texts"][0] == said
    assert ["random draws beside them", "29"] in [row[:2] for row in table["rows"]]


def test_a_report_of_a_study_without_proposals_omits_the_model_section(tmp_path: Path) -> None:
    create(tmp_path / NAME, settings_of(LADDER))
    study = Study.load(tmp_path)
    assert "model" not in study.report_data()["sections"]
    study.report(stream := io.StringIO())
    assert "model" not in stream.getvalue()


def test_the_comparison_sentence_is_correct_even_if_no_ratio_is_known() -> None:
    shares = Shares(20, 0)
    nothing = Comparison("proposals of the model", shares, shares, None, 1.0, is_too_small=True)
    assert nothing.sentence().endswith("20 proposals and 20 random draws are too few to compare.")
    some = Comparison(
        "mutations of the best", shares, shares, Ratio(0.5, 0.3, 0.8), 0.01, is_too_small=False
    )
    assert some.sentence() == (
        "Mutations of the best were promoted 0.5 times as often as random draws (95 % interval "
        "0.3 to 0.8)."
    )
