"""``ashtune plan``: prints the rungs, trials and resource of a study, without running the study."""

import argparse
import sys

import msgspec

from ashtune._src.cli import flags as options
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.option import Count, Time
from ashtune._src.driver.study_options import Halving, chosen_halving
from ashtune._src.reports.plan_of_rungs import plan, plan_view, wall_seconds, wall_time_line
from ashtune._src.reports.terminal.text import show, show_json
from ashtune._src.schedulers.scheduler_registry import SchedulerView, text_of


class PlanOptions(Halving, total=False):
    """plan.

    Args:
        epoch: The time of an epoch, such as 30s: also show the wall time.
        workers: The number of workers for ``--epoch``; default: 1.
    """

    trials: Count
    epoch: Time
    workers: Count


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add(parser, PlanOptions)
    options.add_json(parser)


def main(given: argparse.Namespace) -> int:
    """Print the plan."""
    halving = options.complete(PlanOptions, given)
    trials = given.trials
    seconds = given.epoch
    if trials is None:
        raise SettingsError("give --trials, the number of configurations, for example --trials 256")
    if seconds is None and given.workers is not None:
        raise SettingsError(
            f"--workers {given.workers} needs the time of an epoch; add --epoch 30s"
        )
    workers = given.workers or 1
    scheduler, ladder = chosen_halving(halving)
    unit = given.resource
    # The plan uses a scheduler's machine without results, so it has the rungs of a new study.
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
