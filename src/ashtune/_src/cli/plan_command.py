"""``ashtune plan``: prints the rungs, trials and resource of a study, without running the study."""

import argparse
import sys

import msgspec

from ashtune._src.cli import flags as options
from ashtune._src.core.checks import check_seconds, check_whole
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.option import checked
from ashtune._src.driver.study_options import Ending, Halving, chosen_halving
from ashtune._src.reports.plan_of_rungs import plan, plan_view, wall_seconds, wall_time_line
from ashtune._src.reports.terminal.text import show, show_json
from ashtune._src.schedulers.scheduler_registry import SchedulerView, text_of


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add(parser, Halving, has_defaults=True)
    options.add(parser, Ending, "trials", title="trials", has_defaults=True)
    parser.add_argument(
        "--epoch",
        metavar="TIME",
        help="the time of an epoch, such as 30s, from which the wall time is computed",
    )
    parser.add_argument(
        "--workers", metavar="N", type=int, help="the number of workers for --epoch; default: 1"
    )
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")


def main(given: argparse.Namespace) -> int:
    """Print the plan."""
    if given.trials is None:
        raise SettingsError("trials is missing, the number of configurations; give --trials 256")
    trials = check_whole("trials", given.trials)
    seconds = None if given.epoch is None else check_seconds("--epoch", given.epoch)
    if seconds is None and given.workers is not None:
        raise SettingsError(
            f"--workers {given.workers} needs the time of an epoch; add --epoch 30s"
        )
    workers = 1 if given.workers is None else check_whole("--workers", given.workers)
    halving = checked(Halving, options.given_options(Halving, given))
    scheduler, ladder = chosen_halving(halving)
    unit = halving["resource"]
    # The plan asks a machine that has no results, so it has the rungs of a study that begins.
    view = SchedulerView(text_of(scheduler), scheduler.rule, scheduler.build(ladder, trials))
    planned = plan(view, ladder, trials)
    if given.json:
        times = {} if seconds is None else {"wall_seconds": wall_seconds(planned, seconds, workers)}
        show_json(msgspec.to_builtins(planned) | times, sys.stdout)
    else:
        show(plan_view(planned, unit=unit), sys.stdout)
        if seconds is not None:
            show(wall_time_line(planned, seconds, workers, unit=unit), sys.stdout)
    return 0
