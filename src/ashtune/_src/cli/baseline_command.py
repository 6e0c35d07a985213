"""``ashtune baseline``: measures each rung's computation time on one worker, for different numbers
of models.
"""

# A row of the output compares two studies with the same number of models, configurations and rungs.
# The two studies differ only in the way of training. A study that is already complete is read and
# not run again, as a series may take hours and may be interrupted.

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.api.tuning import run_study
from ashtune._src.cli import flags as options
from ashtune._src.cli.load_names import load_function, load_space
from ashtune._src.cli.showing import check_page, say
from ashtune._src.core import parse
from ashtune._src.core.checks import check_whole, refuse
from ashtune._src.core.option import Flag, Folder, Option, Seed, each_value
from ashtune._src.dashboard.one_file import blocks_page, write
from ashtune._src.driver.environment import environment
from ashtune._src.driver.study_options import RungOptions
from ashtune._src.engines.session_options import WorkerCount
from ashtune._src.reports import html
from ashtune._src.reports.baseline_section import (
    Run,
    baseline_figure,
    baseline_table,
    baseline_words,
    run_of,
)
from ashtune._src.reports.terminal.text import show, show_json

MAX_RESOURCE = 64


class BaselineOptions(RungOptions, total=False):
    """series.

    Args:
        models: Numbers of models; one study is run for each number.
        parallel: For each number, also run ASH on all cores.
        seed: Seed of the configurations.
        workers: Processes of ``--parallel`` (all cores).
        threads: BLAS threads of each worker.
        directory: The folder of the studies (default: a new one in runs).
    """

    models: Annotated[
        Sequence[int],
        Option(
            default=[8, 16, 32, 64, 128],
            check=each_value(check_whole),
            parse=parse.whole_numbers,
            metavar="LIST",
        ),
    ]
    parallel: Flag
    seed: Seed
    workers: WorkerCount
    threads: Annotated[int, Option(default=1, check=check_whole, parse=int)]
    directory: Folder


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = f"Without --max-resource or --rungs the top rung is at {MAX_RESOURCE}."

    parser.add_argument(
        "objective",
        nargs="?",
        metavar="FILE:FUNCTION",
        help="the training function (default: the demo's network on digits)",
    )
    parser.add_argument(
        "--space", default="space", metavar="SPACE", help="as for `ashtune run`; default: space"
    )
    parser.add_argument("--metric", metavar="NAME", help="the reported metric to optimize")
    parser.add_argument("--mode", choices=("min", "max"), help="minimize or maximize the metric")
    options.add(parser, BaselineOptions)
    # all compared runs have the same rungs
    parser.set_defaults(min_resource=1, reduction_factor=2)
    parser.add_argument("--html", metavar="FILE", help="write the figure and the table as a page")
    options.add_json(parser)


def main(given: argparse.Namespace) -> int:
    """Run the studies of the baseline, and print the times."""
    _check(given)
    base = Path(given.directory or Path("runs", f"baseline-{time.strftime('%Y%m%d-%H%M%S')}"))
    runs, sequential = _series(given, base)
    if given.json:
        show_json(runs, sys.stdout)
    else:
        _say(runs, sequential, base, given.resource)
    if given.html:
        _write(Path(given.html), runs, sequential, given.resource)
    return 0


def _check(given: argparse.Namespace) -> None:
    """Check the options before the studies start, because the studies may take hours."""
    check_page(given.html)
    options.complete(BaselineOptions, given)
    is_ours = given.objective is None
    lacks_parallel = given.workers is not None and not given.parallel
    lacks_function = is_ours and (given.metric or given.mode)
    lacks_goal = not (is_ours or (given.metric and given.mode))
    refuse(
        {
            f"--workers {given.workers} needs --parallel, as the sequential baseline has one "
            f"worker; add --parallel": lacks_parallel,
            "--metric and --mode are for your own function; give FILE:FUNCTION": lacks_function,
            f"{given.objective} needs a metric; add --metric NAME and "
            "--mode min or max": lacks_goal,
        }
    )


def _say(runs: Sequence[Run], sequential: Sequence[Run], base: Path, unit: str) -> None:
    say(
        f'Seconds of all workers, by rung: "to 9" is the training up to {unit} 9, with saving '
        "and waiting for the driver"
    )
    show(baseline_table(runs, unit=unit), sys.stdout)
    say(
        "",
        *(sentence for run in sequential for sentence in baseline_words(run, unit=unit)),
        f"saved in {base}",
    )


def _series(given: argparse.Namespace, base: Path) -> tuple[Sequence[Run], Sequence[Run]]:
    """Run a sequential study for each number of models. If ``--parallel`` is given, also run
    parallel studies.

    Return the runs of all studies, and the runs of the sequential studies.
    """
    objective, space, goal = _what(given)
    max_resource = given.max_resource
    if max_resource is None and given.rungs is None:
        max_resource = MAX_RESOURCE
    common: dict[str, Any] = {
        **options.given_options(RungOptions, given),
        "max_resource": max_resource,
        "search": "random",  # both kinds get the same configurations
        "seed": given.seed,
        "threads": given.threads,
        "quiet": True,
        **goal,
    }
    runs = []
    sequential = []
    for models in given.models:
        ways: list[tuple[str, dict[str, Any]]] = [("sh", {"workers": 1})]
        if given.parallel:
            ways.append(("ash", {"workers": given.workers}))
        for scheduler, means in ways:
            directory = base / f"{scheduler}-{models}"
            note = ""
            if directory.exists():
                note = " (exists already; a complete study is not run again)"
            sys.stderr.write(f"{models:,} models by {scheduler} ...{note}\n")
            study = run_study(
                objective,
                space,
                scheduler=scheduler,
                trials=models,
                directory=directory,
                **common,
                **means,
            )
            reader = StudyReader(study.directory)
            runs.append(run_of(scheduler, reader.tally, reader.timeline))
        sequential.append(runs[-len(ways)])
    return runs, sequential


def _what(given: argparse.Namespace) -> tuple[Any, Any, dict[str, Any]]:
    if given.objective is None:
        from ashtune._src.demo import demo_objective as objective
        from ashtune._src.demo import digits

        digits.load()  # a missing scikit-learn is reported before anything starts
        return objective.train, objective.space(), {"metric": "accuracy", "mode": "max"}
    function = load_function(given.objective)
    return (
        function,
        load_space(given.space, given.objective),
        {"metric": given.metric, "mode": given.mode},
    )


def _write(file: Path, runs: Sequence[Run], sequential: Sequence[Run], unit: str) -> None:
    sections = [
        html.PageSection(
            "Broken down by rung", [html.figures(baseline=baseline_figure(runs, unit=unit))]
        ),
        html.PageSection("Seconds", [html.table(baseline_table(runs, unit=unit))]),
        html.PageSection(
            "In words", [html.words(*baseline_words(run, unit=unit)) for run in sequential]
        ),
        html.PageSection("The run", [html.pairs(environment())]),
    ]
    write(blocks_page("Computation time by number of models", sections), file)
