"""Sentences about a study's results that several views share."""

from ashtune._src.analysis.counts import BestResult, Reasons
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.numbers import number_text, plural, seconds_text, shortened
from ashtune._src.core.plaintext import REASON

MUCH_OF_THE_TIME = 0.25
SHORTEST_SHOWN = 0.05
"""A slow start is shown if it takes at least ``MUCH_OF_THE_TIME`` as a share of the study's time.
Parts of it that are shorter than ``SHORTEST_SHOWN`` seconds are not shown.
"""


def place_of_best(tally: Tally, best: BestResult, *, unit: str) -> str:
    """Return a text with the best result's rung and trial:
    ``at epoch 81, the top rung (trial 5)``.
    """
    goal = tally.goal
    rung = "the highest rung reached"
    if best.rung == tally.ladder.top:
        rung = "the top rung"
    trial = f"trial {best.trial}"
    if tally.confirmed is not None:
        trial += ", the named winner"
    text = f"at {unit} {best.resource:,}, {rung} ({trial})"
    if goal.chosen:
        text += f", the {goal.chosen}"
    if best.violation:
        text += "; no trial is feasible, and this one violates the constraints least"
    return text


def margin_text(tally: Tally) -> str:
    """Return a text that compares the best result with the next best result of the same rung, and
    with the noise, if it is known; "" if there is no next best result, or if the best result was
    chosen by several objectives, constraints or repetitions.
    """
    best = tally.best
    if best is None or not tally.goal.is_plain or tally.confirmed is not None:
        return ""
    bests = tally.rungs[best.rung].bests
    leaders = bests.leaders(2)
    if len(leaders) < 2:
        return ""
    _, trial = leaders[1]
    margin = bests.results[trial].loss - best.loss
    text = f"next best: trial {trial}, worse by {number_text(margin, 2)}"
    noise = tally.noise
    if noise:
        near = plural(tally.within_noise, "trial")
        text += f"; {near} within the noise of about {number_text(noise, 2)}"
    return text


def compared_with_first(tally: Tally, *, unit: str) -> str:
    """Return a sentence that compares the best trial with the first enqueued configuration at the
    same resource.

    Return "" if no configuration was enqueued when the study was created, or if no trial has a
    result.
    """
    results = tally.first_enqueued
    goal = tally.goal
    who = "your first configuration (trial 0)"
    best = tally.best
    if best is None or results is None:
        return ""
    if not results:
        return f"{who.capitalize()} has no result."
    first = results.get(best.rung) or results[max(results)]
    where = f"at {unit} {first.resource:,}"
    if first.rung != best.rung:
        rung = tally.rungs[first.rung]
        best = rung.bests.results.get(best.trial) or rung.best or first
        where += ", the highest rung of trial 0"
    violates = ""
    if first.violation:
        violates = ", and violates the constraints"
    if best.trial == first.trial:
        return (
            f"{who.capitalize()} is the best {where}: {tally.result_text(first.metrics)}{violates}."
        )
    if not goal.is_plain:
        ours, yours = (tally.result_text(each.metrics) for each in (best, first))
        return f"Trial {best.trial} has {ours} {where}; {who} has {yours}{violates}."
    gain = first.loss - best.loss
    judged = f"as good as {who}"
    if gain:
        side = "better"
        if gain < 0:
            side = "worse"
        judged = f"{side} than {who} by {number_text(abs(gain), 3)}"
    ours, yours = (tally.number_text(goal.metric, goal.value(each.loss)) for each in (best, first))
    values = f"{goal.metric} = {ours} against {yours} {where}"
    if gain < 0 and tally.confirmed is not None:
        values += " in the first trainings; the repetitions chose the winner"
    return f"Trial {best.trial} is {judged}: {values}."


def failures_text(tally: Tally, before: str) -> str:
    """Return a text with the share of failed trials and the most frequent reason. If no trial
    failed, return "".

    If no trial reached the top rung, the text says so: ``10 of 30 trials failed: ...; no trial
    reached the top rung (81)``. ``before`` is the text that is shown before this text. If
    ``before`` already contains the reason, the reason is left out.
    """
    failures = tally.failures
    if not failures.total:
        return ""
    most = failures.groups()[0]
    tried = plural(tally.tried + len(tally.confirmations.of), "trial")
    text = f"{failures.total:,} of {tried} failed"
    if most.count < failures.total:
        text += f" ({most.count:,} of them)"
    reason = shortened(most.reason, REASON)
    if reason not in before:
        text += f": {reason}"
    if not tally.rungs[-1].arrived:
        text += f"; no trial reached the top rung ({tally.ladder.rungs[-1]:,})"
    return text


def slow_start_text(tally: Tally, waited: float) -> str:
    """Return a text that says how long workers needed to start, and how long trials waited for the
    search. If both took little time, return "".

    Args:
        waited: The seconds that trials waited for the search: ``StudyReader.waited``.
    """
    wall = tally.wall_seconds
    starting = tally.absence
    if starting + waited < MUCH_OF_THE_TIME * wall:
        return ""
    parts = {"starting workers": starting, "waiting for the model": waited}
    took = [
        f"{seconds_text(seconds)} {what}"
        for what, seconds in parts.items()
        if seconds >= SHORTEST_SHOWN
    ]
    if not took:
        return ""
    return f"of {seconds_text(wall)}: {', '.join(took)}"


def no_result_sentence(tally: Tally) -> str:
    """Return the sentence "No trial has a result". If the reason is known, the sentence has the
    reason.
    """
    if tally.failures.total or tally.withdrawals.total:
        return f"No trial has a result: {why_no_result(tally)}."
    return "No trial has a result."


def why_no_result(tally: Tally) -> str:
    """Return a text about the failed trials and the most frequent reason. If there are more
    withdrawn trials than failed trials, the text is about the withdrawn trials.
    """
    text = max(
        (tally.failures.total, most_frequent(tally.failures, "trial", "failed")),
        (tally.withdrawals.total, most_frequent(tally.withdrawals, "trial", "withdrawn")),
    )[1]
    return text or "no trial reported"


def most_frequent(reasons: Reasons, noun: str, what: str) -> str:
    """Return a text with the number of cases and the most frequent reason:
    ``12 trials failed, 9 of them with ...``.
    """
    if not reasons.total:
        return ""
    most = reasons.groups()[0]
    text = f"{plural(reasons.total, noun)} {what}"
    if most.count < reasons.total:
        text += f", {most.count:,} of them"
    return f"{text} with {shortened(most.reason, REASON)}"
