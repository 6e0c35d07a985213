"""``ashtune simulate``: runs a study in virtual time, on any number of workers, with the real
controller.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

from ashtune._src.analysis.results import Results
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.analysis.tally import Tally
from ashtune._src.api.study import Study
from ashtune._src.cli import flags as options
from ashtune._src.core import parse
from ashtune._src.core.checks import check_number, check_whole, refuse
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.jobs import Goal
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.option import Count, Folder, Option, Seed, Time, checked
from ashtune._src.driver.study_options import Halving, chosen_halving, scheduler_alone
from ashtune._src.engines.loop import Ledger
from ashtune._src.engines.simulated.simulated_times import Mortality, half_normal
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine
from ashtune._src.reports.simulated import simulated, simulated_view
from ashtune._src.reports.terminal.text import show, show_json, write
from ashtune._src.schedulers.scheduler_protocol import Scheduler
from ashtune._src.schedulers.scheduler_registry import text_of
from ashtune._src.simulation.recording import traces_of
from ashtune._src.simulation.simulated_curves import LossCurves, continue_curves, invent_curves
from ashtune._src.simulation.simulated_run import new_journal, simulate
from ashtune._src.simulation.traces import Traces, read_table
from ashtune._src.study.folders import check_directory

MOST_STRAGGLE = 1e6


Unchecked = Annotated[float | None, Option(parse=parse.seconds, metavar="TIME")]
"""A time that may be 0."""


def _check_straggle(name: str, value: float) -> float:
    return value and check_number(name, value, at_most=MOST_STRAGGLE)


class SimulateOptions(Halving, total=False):
    """simulation.

    Args:
        workers: Number of workers.
        epoch: Average time of an epoch (1s).
        straggle: Jobs take 1 + |z| times as long.
        drop: Probability that a job is lost, for each second.
        save: Time to save a checkpoint (0, or as recorded).
        load: Time to load one (0).
        deaths: Mean lifetime of a worker (unlimited).
        replaced: Time until a dead worker is replaced (never).
        until: Stop the study after this virtual time.
        seed: Seed of curves, stragglers and deaths.
        directory: Write the study's journal to DIR, for `ashtune report`.
    """

    trials: Count
    workers: Annotated[int, Option(default=8, check=check_whole, parse=int)]
    epoch: Time
    straggle: Annotated[float, Option(default=0, check=_check_straggle, parse=float, metavar="SD")]
    drop: Annotated[float, Option(default=0, parse=float, metavar="P")]
    save: Unchecked
    load: Unchecked
    deaths: Time
    replaced: Unchecked
    until: Time
    seed: Seed
    directory: Folder


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Without CURVES, learning curves are invented; this is enough for questions about time. A "
        "study's scheduler and rungs are used unless others are given here. A study's curves are "
        "extrapolated beyond what was trained; `ashtune whatif` says how large the error may be."
    )
    parser.add_argument(
        "curves",
        nargs="?",
        metavar="CURVES",
        help="a study's directory, or an .npz table of curves",
    )
    table = parser.add_argument_group("a table")
    table.add_argument(
        "--metric",
        metavar="NAME",
        help="the metric, and the name of its array (trials by epochs)",
    )
    table.add_argument("--mode", choices=("min", "max"), help="minimize or maximize the metric")
    table.add_argument(
        "--times",
        metavar="ARRAY",
        help="the array of the training seconds up to each epoch (or give --epoch, one time for "
        "all epochs)",
    )
    options.add(parser, SimulateOptions)
    options.add_json(parser)


def main(given: argparse.Namespace) -> int:
    """Simulate and print."""
    halving = options.given_options(Halving, given)
    options.complete(SimulateOptions, given)
    _check(given)
    unit = _unit(given, halving)
    curves, scheduler, ladder = _curves(given, halving)
    trials = _trials(given, scheduler, curves)
    # No trial may start yet, because the session's first event has the number of trials.
    machine = scheduler.build(ladder, 0, given.seed)
    engine = _engine(given, curves, has_curves=machine.reads_curves or given.directory is not None)
    tally = Tally(ladder, curves.goal)
    results = Results(curves.goal)
    began = time.perf_counter()
    limit: dict[str, Any] = {} if given.until is None else {"until": given.until}
    ledger_of: AbstractContextManager[Ledger | None] = nullcontext()
    if given.directory is not None and trials is not None:
        name = f"simulation of {Path(given.curves).name}" if given.curves else "simulation"
        ledger_of = new_journal(
            Path(given.directory),
            name,
            curves.goal,
            scheduler,
            ladder,
            trials=trials,
            seed=given.seed,
            resource=unit,
        )
    with ledger_of as ledger:
        end = simulate(
            machine,
            engine,
            [tally, results],
            trials=trials,
            goal=curves.goal,
            ledger=ledger,
            **limit,
        )
    real = time.perf_counter() - began
    outcome = simulated(
        text_of(scheduler), given.workers, tally, results, wall_seconds=end, real_seconds=real
    )
    if given.json:
        show_json(outcome, sys.stdout)
    else:
        show(simulated_view(outcome, unit=unit), sys.stdout)
        if given.directory:
            write(f"saved; see it with `ashtune report {given.directory}`\n", sys.stdout)
    return 0


def _check(given: argparse.Namespace) -> None:
    """Raise an error if an option cannot be simulated."""
    dies = given.deaths is not None
    is_table = str(given.curves).endswith(".npz")
    of_a_table = [
        f"--{name}" for name in ("metric", "mode", "times") if getattr(given, name) is not None
    ]
    has_times = given.curves is not None and not (is_table and given.times is None)
    exists = given.directory is not None and Path(given.directory).exists()
    never_ends = dies and given.replaced is None and given.until is None
    lacks_goal = is_table and None in (given.metric, given.mode)
    refuse(
        {
            f"--drop {given.drop:g} is not a probability below 1; give a number, as in --drop "
            "0.01": not 0 <= given.drop < 1,
            "--replaced needs --deaths; add for example --deaths 4h": given.replaced is not None
            and not dies,
            "--deaths would in the end leave no worker; add --replaced 5m, or --until": never_ends,
            f"{given.curves} needs a metric; add --metric NAME and --mode min or max": lacks_goal,
            f"{', '.join(of_a_table)} needs a table of curves; give an .npz file": of_a_table
            and not is_table,
            f"--epoch: {given.curves} has its own times; leave --epoch out": has_times
            and given.epoch is not None,
            f"--directory {given.directory} exists already; give a new one": exists,
        }
    )


def _curves(
    given: argparse.Namespace, halving: Mapping[str, Any]
) -> tuple[LossCurves, Scheduler, Ladder]:
    recorded = None
    if given.curves is None:
        curves = invent_curves(epoch_seconds=given.epoch or 1.0, seed=given.seed)
    else:
        traces = _traces(given)
        recorded = traces.recorded
        curves = continue_curves(traces, seed=given.seed)
    # Options of the command line replace the options of the recorded study, so that a user can ask
    # how another scheduler performs with the same curves.
    scheduler = halving.get("scheduler", recorded.scheduler if recorded else given.scheduler)
    if scheduler is None:
        raise SettingsError(
            f"the scheduler of {given.curves} is unknown here; give another with --scheduler"
        )
    recorded_ladder = None if recorded is None else recorded.ladder
    return curves, *_halving(given, {**halving, "scheduler": scheduler}, recorded_ladder)


def _halving(
    given: argparse.Namespace, halving: Mapping[str, Any], recorded: Ladder | None
) -> tuple[Scheduler, Ladder]:
    """Return the scheduler and the ladder of the recorded study. Given options replace the recorded
    values.
    """
    low = given.min_resource
    high = given.max_resource
    factor = given.reduction_factor
    is_as_recorded = low is None and high is None and factor is None
    if given.rungs is not None and not is_as_recorded:
        raise SettingsError(
            "--rungs cannot be combined with --min-resource, --max-resource or --reduction-factor; "
            "remove --rungs, or remove these"
        )
    if given.rungs is not None or recorded is None:
        return chosen_halving(checked(Halving, halving))
    chosen = scheduler_alone("scheduler", halving["scheduler"])
    if is_as_recorded:
        return chosen, recorded
    if low is None:
        low = recorded.rungs[0]
    if high is None:
        high = recorded.rungs[-1]
    if factor is None:
        if len(set(recorded.kept)) > 1:
            raise SettingsError(
                f"{given.curves} has several reduction factors; add --reduction-factor, or --rungs"
            )
        factor = 2
        if recorded.kept:
            factor = 1 / recorded.kept[0]
    return chosen, Ladder(low, high, factor)


def _unit(given: argparse.Namespace, halving: Mapping[str, Any]) -> str:
    """Return the resource's unit that the user gives, or else the unit of the recorded study."""
    is_study = given.curves is not None and not given.curves.endswith(".npz")
    if is_study and "resource" not in halving:
        return Study.load(given.curves).unit
    unit: str = given.resource
    return unit


def _traces(given: argparse.Namespace) -> Traces:
    """Return the recorded learning curves and times of a table or a study."""
    if not given.curves.endswith(".npz"):
        return traces_of(StudyReader(check_directory(given.curves)))

    return read_table(
        Path(given.curves),
        Goal(given.metric, given.mode),
        times=given.times or "",
        epoch_seconds=given.epoch or 1.0,
    )


def _trials(given: argparse.Namespace, scheduler: Scheduler, curves: LossCurves) -> int | None:
    """Return the number of trials that the user gives, or the number of trials in the table or
    study.
    """
    if curves.size is not None and given.trials is not None and given.trials > curves.size:
        raise SettingsError(
            f"--trials {given.trials:,}: {given.curves} has {curves.size:,}; give at most that many"
        )
    trials: int | None = given.trials or curves.size
    if trials is None and (
        given.until is None or scheduler.needs_trials or given.directory is not None
    ):
        raise SettingsError(
            "give --trials, the number of configurations, for example --trials 1000"
        )
    return trials


def _engine(given: argparse.Namespace, curves: LossCurves, *, has_curves: bool) -> SimulatedEngine:
    saving: dict[str, Any] = {}
    if given.save is not None:
        saving = {"save_seconds": given.save, "release_seconds": None}
    training = curves.training(
        stretch=half_normal(given.straggle) if given.straggle else None,
        drop=given.drop,
        load_seconds=given.load or 0.0,
        has_curves=has_curves,
        **saving,
    )
    return SimulatedEngine(
        training,
        workers=[curves.timing.start(number) for number in range(given.workers)],
        seed=given.seed,
        deaths=None if given.deaths is None else Mortality(given.deaths, given.replaced),
    )
