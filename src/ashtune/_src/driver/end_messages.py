"""The last messages of a session: how the study ended, and how the user can continue it."""

import sys

from ashtune._src.analysis.advice import advice_of
from ashtune._src.analysis.study_reader import Outcome
from ashtune._src.core.errors import NoResultError
from ashtune._src.core.numbers import plural
from ashtune._src.core.plaintext import say
from ashtune._src.driver.session_context import DrivenStudy, SessionContext
from ashtune._src.reports.sentences import compared_with_first, failures_text, why_no_result
from ashtune._src.reports.terminal.live import in_a_notebook
from ashtune._src.reports.terminal.text import show


def say_the_end(
    context: SessionContext, *, has_trained: bool, is_whole: bool, is_budget_used: bool
) -> None:
    """Print how the study ended, and which command shows the report or resumes the study.

    Args:
        has_trained: Whether this session had work.
        is_whole: Whether to print the whole summary of a stopped study.
    """
    tally = context.tally
    controller = context.study.controller
    failures = failures_text(tally, controller.stopping)
    if failures and tally.best is None:
        failures = f"no trial has a result yet; {why_no_result(tally)}"
    if controller.is_complete:
        _say_it_is_complete(context, failures, has_trained=has_trained)
    else:
        _say_how_to_continue(context, failures, is_whole=is_whole, is_budget_used=is_budget_used)


def refuse_to_end_without_result(context: SessionContext) -> None:
    """Raise ``NoResultError`` if the study has ended and no trial has a result."""
    # A study that was stopped before its first result is unfinished, and raises nothing.
    # Decision 19 (docs/decisions/0019-refusals-and-giving-up.md).
    controller = context.study.controller
    if context.tally.best is not None or not (controller.is_complete or controller.gave_up):
        return
    shown = context.shown
    how = "ended" if controller.is_complete else f"stopped as {controller.stopping}"
    raise NoResultError(
        f"the study in {shown} {how} without a result: {why_no_result(context.tally)}; `ashtune "
        f"report {shown}` shows the errors; fix them, and start a new study",
        shown,
    )


def _say_it_is_complete(context: SessionContext, failures: str, *, has_trained: bool) -> None:
    """Print who proposed the trials, where the study is stored, and which command shows the
    report.

    If the study is quiet, or if a notebook's display shows the rest already, print only which
    trials failed.
    """
    tally = context.tally
    shown = context.shown
    study = context.study
    rules = study.space.rules
    what = f"; {failures}" if failures else ""
    quiet = context.options["quiet"]
    if study.ladder != study.ladder_before and not quiet:
        _say_if_no_trial_used_the_new_rungs(context)
    if quiet or (has_trained and in_a_notebook()):
        if failures:
            say(f"complete{what}")
        return
    if not has_trained:
        what += "; nothing was trained"
    if tally.origins:
        what += f"; {plural(tally.started, 'trial')}: {tally.origins}"
    if rules.refused:
        what += f"; {rules.refused:,} of {plural(rules.asked, 'draw')} were not valid"
    compared = compared_with_first(tally, unit=study.settings.resource)
    if compared:
        say(compared)
    for each in advice_of(DrivenStudy(context)):
        say(each.sentence)
    say(f"complete{what}; saved in {shown}; `ashtune report {shown}` shows the results")


def _say_how_to_continue(
    context: SessionContext, failures: str, *, is_whole: bool, is_budget_used: bool
) -> None:
    """Print the command that resumes the study. If ``is_whole``, print the whole summary of the
    study.

    If the study is quiet, print only which trials failed.
    """
    tally = context.tally
    study = context.study
    stopped = study.controller.stopping
    what = f"stopped: {stopped}" + (f"; {failures}" if failures else "")
    if context.options["quiet"]:
        if failures:
            say(what)
        return
    if is_whole:
        from ashtune._src.reports.report import summary

        outcome = Outcome(is_complete=False, stopped=stopped)
        show(summary(DrivenStudy(context, outcome=outcome)), sys.stderr)
        return
    how = "continue with"
    more = ""
    if study.controller.gave_up:
        how = "fix the error, then resume with"
        if not tally.is_program:
            more = " FILE:FUNCTION"
    if is_budget_used:
        more += " --budget TIME, with a larger time"
    say(f"{what}; {how}: ashtune resume {context.shown}{more}")


def _say_if_no_trial_used_the_new_rungs(context: SessionContext) -> None:
    """If no trial reached the rungs that this session added, print why."""
    study = context.study
    number = study.ladder_before.top
    rungs = context.tally.rungs
    if any(rung.trained for rung in rungs[number + 1 :]):
        return
    finished = rungs[number].trained
    share = study.ladder.kept[number]
    say(
        f"no trial continues beyond {rungs[number].resource:,}: {plural(finished, 'trial')} "
        f"reached it, and only the best {share} of these, rounded down, may continue; give more "
        f"trials, as in trials={2 * max(1, context.tally.started)}"
    )


def say_if_the_best_model_is_lost(context: SessionContext) -> None:
    """If the limit of checkpoints left no room for the best trial's model, print how to train this
    model again.
    """
    best = context.tally.best
    limit = context.study.settings.checkpoint_limit
    kept = context.study.controller.checkpoints
    if best is None or limit is None or not context.tally.saves or context.options["quiet"]:
        return
    if best.trial not in kept:
        say(
            f"checkpoint_limit={limit} left no room for the model of the best trial, "
            f"{best.trial}; study.train({best.trial}, {best.resource}) trains it again"
        )
