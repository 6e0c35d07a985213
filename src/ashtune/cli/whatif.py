"""``ashtune whatif DIR``: what a study would have taken on other workers, with another scheduler or reduction factor.

Nothing of DIR is executed, and nothing is trained: its curves and timings are replayed in virtual time.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plotly.graph_objects import Figure
    from rich.table import Table

    from ashtune.analysis.loading import StudyReader
    from ashtune.schedulers.protocol import Scheduler
    from ashtune.simulation.prediction import Prediction
    from ashtune.simulation.whatif import Choice, Oracle

WORKERS = (1, 2, 4, 8, 16, 32, 64)
FEW = 64
"""With so many workers or fewer, jobs do not queue for the driver."""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from ashtune.cli import options

    parser.add_argument("directory", metavar="DIR", help="the directory of a study that was run")
    parser.add_argument("--workers", type=options.whole_numbers, metavar="LIST", help="numbers of workers (1 to 64)")
    parser.add_argument(
        "--reduction-factor", type=options.factors, metavar="LIST", help="as 2,3,4 (the study's own rungs)"
    )
    parser.add_argument(
        "--scheduler",
        type=options.names,
        metavar="LIST",
        help="of ash, stopping, sh, brackets, hyperband ... (own)",
    )
    parser.add_argument("--trials", type=int, metavar="N", help="only the first N trials of the study")
    parser.add_argument(
        "--deadline", type=options.seconds, metavar="TIME", help="the fewest workers done by then, as 2h"
    )
    parser.add_argument("--budget", type=options.hours, metavar="HOURS", help="the best use of so many core-hours")
    parser.add_argument("--cores-per-worker", type=int, metavar="N", help="cores of each, for --budget (1)")
    parser.add_argument("--draws", type=int, default=10, metavar="N", help="replays that a spread is over (10)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="decides which they are (0)")
    parser.add_argument(
        "--decision", type=options.seconds, metavar="TIME", help="of the driver for each job (measured)"
    )
    parser.add_argument("--html", metavar="FILE", help="write table and figure as a page")
    parser.add_argument("--json", action="store_true", help="print the predictions as JSON")


def main(given: argparse.Namespace) -> int:
    """Replay and print."""
    from ashtune.analysis.loading import StudyReader
    from ashtune.reports.terminal.text import show_json
    from ashtune.simulation.recording import traces_of
    from ashtune.simulation.whatif import Oracle

    _check(given)
    study = StudyReader(Path(given.directory))
    decision = _decision_seconds(given)
    oracle = Oracle(traces_of(study), decision_seconds=decision, draws=given.draws, seed=given.seed)
    choices = _choices(given, study, oracle)
    if given.deadline is not None:
        predictions, words = _by_deadline(given, oracle, choices)
    elif given.budget is not None:
        predictions, words = _within_budget(given, oracle, choices)
    else:
        predictions, words = _all(given, oracle, choices)
    words += _notes(given, oracle, decision)
    if given.json:
        show_json(predictions, sys.stdout)
        if not predictions:
            sys.stderr.write("\n".join(words) + "\n")
    else:
        _say(_title(study, oracle), _table(given, study, predictions), words)
    if given.html:
        _write(
            Path(given.html),
            _title(study, oracle),
            _table(given, study, predictions),
            _figure(study, oracle, predictions),
            words,
        )
    return 0 if predictions else 1


def _check(given: argparse.Namespace) -> None:
    """Refuse what cannot be answered before anything is replayed."""
    from ashtune.cli.showing import check_page
    from ashtune.core.errors import SettingsError
    from ashtune.driver.checks import check_number, check_whole

    check_whole("--draws", given.draws, at_least=0)
    check_whole("--seed", given.seed, at_least=0)
    if given.cores_per_worker is not None:
        check_whole("--cores-per-worker", given.cores_per_worker)
        if given.budget is None:
            raise SettingsError("--cores-per-worker is for --budget, in core-hours; give --budget HOURS too")
    if given.deadline is not None:
        check_number("--deadline", given.deadline)
        if given.budget is not None:
            raise SettingsError("--deadline and --budget were both given; ask for one, then for the other")
        if given.workers is not None:
            raise SettingsError("--deadline looks for the number of workers; leave --workers out")
    if given.budget is not None:
        check_number("--budget", given.budget)
    check_page(given.html)


def _choices(given: argparse.Namespace, study: "StudyReader", oracle: "Oracle") -> "list[Choice]":
    """Return the schedulers and ladders asked for, each with one worker."""
    from ashtune.schedulers.protocol import Rule
    from ashtune.simulation.whatif import ladders

    recorded = study.ladder
    chosen = [recorded] if given.reduction_factor is None else ladders(recorded, given.reduction_factor)
    choices = []
    for scheduler in _schedulers(given, study, oracle):
        several = chosen[:1] if scheduler.rule is Rule.ALWAYS else chosen  # it knows no rungs
        choices += [oracle.choice(scheduler, ladder, 1, given.trials) for ladder in several]
    return choices


def _schedulers(given: argparse.Namespace, study: "StudyReader", oracle: "Oracle") -> "list[Scheduler]":
    from ashtune.core.errors import SettingsError
    from ashtune.schedulers.registry import SCHEDULERS

    if given.scheduler:
        return [SCHEDULERS.given(text) for text in given.scheduler]
    recorded = oracle.traces.recorded
    if recorded is None or recorded.scheduler is None:
        raise SettingsError(f"{study.scheduler.missing}; give another with --scheduler")
    return [recorded.scheduler]


def _all(
    given: argparse.Namespace, oracle: "Oracle", choices: "Sequence[Choice]"
) -> "tuple[list[Prediction], list[str]]":
    """Predict every choice on every number of workers."""
    from ashtune.reports.whatif import whatif_words

    predictions = []
    for choice in choices:
        for workers in given.workers or WORKERS:
            one = oracle.choice(choice.scheduler, choice.ladder, workers, choice.trials)
            predictions.append(oracle.prediction(one))
    return predictions, whatif_words(predictions)


def _by_deadline(
    given: argparse.Namespace, oracle: "Oracle", choices: "Sequence[Choice]"
) -> "tuple[list[Prediction], list[str]]":
    """Find the fewest workers that are done in time."""
    from ashtune.core.numbers import plural, seconds_text
    from ashtune.reports.whatif import who

    predictions, words = [], []
    for choice in choices:
        fewest = oracle.fewest_workers(choice, given.deadline)
        if fewest is None:
            shortest = oracle.prediction(oracle.choice(choice.scheduler, choice.ladder, choice.trials, choice.trials))
            words.append(
                f"{who(shortest)}: no number of workers is done in {seconds_text(given.deadline)}; with one for each "
                f"of {plural(choice.trials, 'trial')} it takes {seconds_text(shortest.wall_seconds.likely)}."
            )
            continue
        one = oracle.prediction(fewest)
        predictions.append(one)
        words.append(
            f"{who(one)}: {_fewest(one.workers)} done in {seconds_text(given.deadline)}, after "
            f"{seconds_text(one.wall_seconds.likely)}."
        )
    return predictions, words


def _within_budget(
    given: argparse.Namespace, oracle: "Oracle", choices: "Sequence[Choice]"
) -> "tuple[list[Prediction], list[str]]":
    """Find, for each choice, the most trials that the budget suffices for; the best use first."""
    from ashtune.core.numbers import number_text, plural, seconds_text
    from ashtune.reports.whatif import who

    goal, predictions = oracle.traces.goal, []
    for choice in choices:
        for workers in given.workers or WORKERS:
            one = oracle.choice(choice.scheduler, choice.ladder, workers, choice.trials)
            affordable = oracle.most_trials(one, 3600 * given.budget / (given.cores_per_worker or 1))
            if affordable is not None and (afforded := oracle.prediction(affordable)).best is not None:
                predictions.append(afforded)
    predictions.sort(
        key=lambda one: (goal.loss({goal.metric: one.best.likely if one.best else None}), one.wall_seconds.likely)
    )
    if not predictions:
        if not math.isfinite(oracle.traces.best_loss):
            return [], ["no trial of the study has a finite result, so no use of the budget is better than another"]
        return [], [f"a budget of {number_text(given.budget)} h does not suffice for one trial; give a larger --budget"]
    best, spent = predictions[0], predictions[0].worker_hours * (given.cores_per_worker or 1)
    words = [
        f"Best use of {number_text(given.budget)} core-hours: {who(best)}, {plural(best.workers, 'worker')}, "
        f"{plural(best.trials, 'trial')}, which takes {seconds_text(best.wall_seconds.likely)} and "
        f"{number_text(spent, 3)} core-hours. Of the choices listed that find as good configurations it is the fastest."
    ]
    if best.trials == len(oracle.traces.trials):
        words.append("That is every trial of the study: what more trials would find is not in its journal.")
    return predictions, words


def _decision_seconds(given: argparse.Namespace) -> float:
    """Return what a decision costs the driver; with few workers nothing that matters besides what the journal has."""
    if given.decision is not None:
        return float(given.decision)
    if given.deadline is None and max(given.workers or WORKERS) <= FEW:
        return 0.0
    from ashtune.api.driver_cost import measured_decision_seconds

    return measured_decision_seconds()


def _fewest(workers: int) -> str:
    return "1 worker is" if workers == 1 else f"{workers:,} workers are about the fewest that are"


def _notes(given: argparse.Namespace, oracle: "Oracle", decision: float) -> list[str]:
    """Say what the predictions rest on."""
    notes = []
    if oracle.traces.recorded is not None and not oracle.traces.recorded.is_smooth:
        notes.append(
            "The study was not recorded whole, in one go and one trial at a time (stopped, several sessions, lost "
            "workers, jobs broken off, configurations withdrawn, fused training), so no line is the study itself."
        )
    if decision:
        source = "as measured here" if given.decision is None else "as given"
        notes.append(f"The driver is taken to need {1e6 * decision:.3g} us a decision, {source}.")
    return notes


def _table(given: argparse.Namespace, study: "StudyReader", predictions: "Sequence[Prediction]") -> "Table | None":
    """Return the predictions as a table; None of none."""
    from ashtune.reports.whatif import whatif_table

    if not predictions:
        return None
    cores = None if given.budget is None else given.cores_per_worker or 1
    return whatif_table(predictions, metric=study.settings.goal.metric, cores_per_worker=cores)


def _say(title: str, table: "Table | None", words: "Sequence[str]") -> None:
    from rich.text import Text

    from ashtune.cli.showing import say
    from ashtune.reports.terminal.text import show

    if table is not None:
        say(title)
        show(table, sys.stdout)
        sys.stdout.write("\n")
    show(Text("\n".join(words)), sys.stdout)


def _title(study: "StudyReader", oracle: "Oracle") -> str:
    from ashtune.core.numbers import plural, seconds_text

    tally, recorded = study.tally, oracle.traces.recorded
    workers = plural(recorded.workers if recorded else 0, "worker")
    return (
        f"What {study.settings.name} would have taken; recorded: {study.scheduler.name} on {workers}, "
        f"{plural(tally.tried, 'trial')}, {seconds_text(tally.wall_seconds)}"
    )


def _figure(study: "StudyReader", oracle: "Oracle", predictions: "Sequence[Prediction]") -> "Figure":
    """Return the predictions beside what the study really took."""
    from ashtune.reports.whatif import AsRecorded, whatif_figure

    workers = oracle.traces.recorded.workers if oracle.traces.recorded else 0
    return whatif_figure(predictions, AsRecorded(workers, study.tally.wall_seconds))


def _write(file: Path, title: str, table: "Table | None", figure: "Figure", words: "Sequence[str]") -> None:
    from ashtune.core.version import __version__
    from ashtune.reports.page import html

    sections = [html.section("words", "In words", [html.words(*words)])]
    if table is not None:
        sections = [
            html.section("figure", "Wall time by number of workers", [html.figures(whatif=figure)]),
            html.section("table", "Predictions", [html.table(table)]),
            *sections,
        ]
    page = html.page(title, [], sections, footer=f"ashtune {__version__}")
    html.write(page, file)
