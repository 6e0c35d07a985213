"""``ashtune roofline``: measures the roofline and a training step on this machine.

    python -m ashtune._src.cli.roofline_command DIR CONFIGURATION

trains and times some epochs of a study's network, with the number of threads in the environment,
and prints the counts as JSON. ``ashtune roofline`` runs this module in a separate process, which
loads the study's training function from a pickle and executes the function.
"""

# Why separate processes: the number of threads of BLAS and PyTorch is fixed by environment
# variables when their libraries are loaded, but this command measures with one core and with all
# cores.

import argparse
import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path

import msgspec

from ashtune._src.api.study import Study
from ashtune._src.cli.load_names import load_function
from ashtune._src.cli.showing import check_page, say
from ashtune._src.core.checks import refuse
from ashtune._src.core.errors import AshtuneError, ObjectiveError
from ashtune._src.core.plaintext import error_line
from ashtune._src.dashboard.one_file import blocks_page, write
from ashtune._src.driver import environment as facts
from ashtune._src.engines.worker_resources import available_cores, thread_variables
from ashtune._src.performance.counting import describe_step
from ashtune._src.performance.machine import child, measure
from ashtune._src.performance.roofline import Roof, Roofs, Step, place
from ashtune._src.reports import html
from ashtune._src.reports import roofline_section as section
from ashtune._src.reports.terminal.text import show, show_json
from ashtune._src.study.objective_file import NAME
from ashtune._src.training.fused.dry_run import Epochs
from ashtune._src.training.objectives import load_objective

_GIGA = 1e9
_WIDTH = 24


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "Without options it measures this machine, in about 10 s, and times a step of the demo's\n"
        "network on one core. With --step or --study, that step is timed; with --roof the machine\n"
        "is not measured.\n\n"
        "--step names a function without arguments in a file. The function returns a call of JAX\n"
        "or PyTorch to count and time, (function, *arguments); or figures,\n"
        "{'flops': ..., 'bytes': ..., 'seconds': ..., 'name': ...}:\n\n"
        "    def step():\n"
        "        model, batch = Net(), torch.randn(64, 8)\n"
        "        return lambda x: model(x).sum().backward(), batch\n\n"
        "JAX programs are counted by XLA's cost analysis. PyTorch's are counted by its\n"
        "FlopCounterMode, for which elementwise operations count 0; their bytes are those of\n"
        "parameters, inputs and gradients, each once.\n\n"
        "--study measures the network of a study with fused training (ashtune.fused,\n"
        "fused_torch): an epoch of one model alone, and an epoch of as many models in one program\n"
        "as a dry run finds best. This takes about 20 seconds, and runs the training function in\n"
        "DIR, which is a pickle: use it only for studies whose origin you trust."
    )
    parser.add_argument(
        "--step",
        metavar="FILE:FUNCTION",
        help="a training step, whose operations are counted and timed; FILE is executed",
    )
    parser.add_argument(
        "--study",
        metavar="DIR",
        help="measure the network of the study in DIR, alone and as lanes; the result is saved in "
        "DIR, or in the folder of --keep",
    )
    parser.add_argument(
        "--roof", type=float, nargs=2, metavar=("GFLOPS", "GBPS"),
        help="the machine's peak in Gflop/s and memory bandwidth in GB/s, which are then not "
             "measured",
    )  # fmt: skip
    parser.add_argument(
        "--keep", metavar="DIR", help="save the result in a study's directory, for `ashtune report`"
    )
    parser.add_argument("--html", metavar="FILE", help="write the figure and the text as a page")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the result as JSON, in flop/s, byte/s and seconds",
    )


def main(given: argparse.Namespace) -> int:
    """Measure the machine and the training step, and show the results."""
    check_page(given.html)
    no_folder = given.keep and not Path(given.keep).is_dir()
    refuse(
        {
            f"--keep {given.keep}: no such folder; give the directory of a study": no_folder,
            "--step and --study exclude each other; give one of them": given.step and given.study,
        }
    )
    steps: list[Step] = []
    sizing = None
    # The step is measured first: a wrong step is refused before the measurement of the machine,
    # which takes 10 s.
    if given.study:
        epochs = study_epochs(Path(given.study))
        steps = epochs.steps
        sizing = epochs.sizing
    elif given.step:
        steps = [_count_step(given.step)]
    machine = _machine(given)
    if not (given.study or given.step or given.roof):
        steps = [demo_step()]
    placed = section.Placed(
        machine=machine,
        placements=[place(step, machine.for_step(step)) for step in steps],
        sizing=sizing,
    )
    if given.json:
        show_json(placed, sys.stdout)
    else:
        _show(placed)
    if given.html:
        _write(Path(given.html), placed)
    if given.keep or given.study:
        section.keep(placed, Path(given.keep or given.study))
    return 0


def measure_machine() -> Roofs:
    """Measure the roofline of this machine."""
    return measure(available_cores(), environment)


def demo_step() -> Step:
    """Time one training step of the demo's network on one core, in a separate process."""
    return msgspec.json.decode(
        child("ashtune._src.demo.network", environment=environment(1)), type=Step
    )


def study_epochs(directory: Path) -> Epochs:
    """Train some epochs of the best trial's network on one core in a separate process. Return their
    costs and times.
    """
    best = Study.load(directory).best
    sys.stderr.write(
        f"trying several numbers of lanes for the network of trial {best.trial}; this takes about "
        "20 s ...\n"
    )
    printed = child(
        "ashtune._src.cli.roofline_command",
        directory.resolve(),
        msgspec.json.encode(best.config).decode(),
        environment=environment(1),
        refusal=f"--study {directory}: the network of this study cannot be measured",
        remedy="give a step with --step",
    )
    return msgspec.json.decode(printed, type=Epochs)


def environment(threads: int) -> Mapping[str, str]:
    """Return the environment for a process that may use ``threads`` threads."""
    return {**os.environ, **thread_variables(threads, threads, os.environ)}


def _count_step(place: str) -> Step:
    """Return the cost and the time of the step from FILE:FUNCTION.

    If the user's code raises, the error is one line.
    """
    function = load_function(place)
    try:
        return describe_step(function(), place)
    except AshtuneError:
        raise
    except Exception as error:
        reason = error_line(error, 300)
        raise ObjectiveError(
            f"{place}() failed, or the step that it returned failed: {reason}"
        ) from error


def _machine(given: argparse.Namespace) -> Roofs:
    """Return the roofline that the user has given.

    If the user has given none, measure this machine.
    """
    if given.roof:
        peak, bandwidth = given.roof
        return Roofs(roofs=[Roof(peak=peak * _GIGA, bandwidth=bandwidth * _GIGA)])
    sys.stderr.write("measuring this machine, about 10 s ...\n")
    return measure_machine()


def _show(placed: section.Placed) -> None:
    if placed.machine.array_bytes:
        say(facts.processor(), *section.machine_lines(placed.machine))
    show(section.roofs_table(placed.machine), sys.stdout)
    for placement in placed.placements:
        rows = [
            f"{name.ljust(_WIDTH)}{value}"
            for name, value in section.placement_rows(placement).items()
        ]
        say("", *rows, "", *section.diagnosis(placement, placed.machine.caches))
    if placed.sizing is not None:
        say("", section.lanes_words(placed.sizing))


def _write(file: Path, placed: section.Placed) -> None:
    roofs = [
        html.figures(**section.roofline_figures(placed)),
        html.table(section.roofs_table(placed.machine)),
    ]
    steps = [html.pairs(section.placement_rows(placement)) for placement in placed.placements]
    sections = [
        html.PageSection("Roofs", roofs),
        html.PageSection("In words", [html.words(*section.roofline_words(placed)), *steps]),
        html.PageSection("The run", [html.pairs(facts.environment())]),
    ]
    write(blocks_page("Roofline", sections), file)


def _print_epochs(directory: str, configuration: str) -> None:
    with redirect_stdout(sys.stderr):  # for any output of the user's modules
        objective, _ = load_objective(Path(directory, NAME), as_main=True)
        epochs = getattr(objective, "epochs", None)
        if epochs is None:
            sys.exit(
                f"the study in {directory} does not tune a function made by ashtune.fused or "
                "ashtune.fused_torch"
            )
        counted = epochs(msgspec.json.decode(configuration))
    sys.stdout.write(msgspec.json.encode(counted).decode())


if __name__ == "__main__":
    _print_epochs(*sys.argv[1:])
