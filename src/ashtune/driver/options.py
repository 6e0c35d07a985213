"""The options of a study. Each is defined once: its type, its default, its check and its help.

``tune`` and ``Study.resume`` take them as keyword arguments, the commands as ``--name``. One more option is one more
field here, or in :class:`~ashtune.engines.options.RunOptions` if it is for the engine, and a line where it is used.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, TypedDict, cast

from ashtune.core import parse
from ashtune.core.checks import (
    MOST_SEED,
    check_confirm,
    check_directory,
    check_flag,
    check_number,
    check_size,
    check_unit,
    check_whole,
)
from ashtune.core.confirm import Confirm
from ashtune.core.enough import NotWorthIt
from ashtune.core.errors import SettingsError
from ashtune.core.ladder import Ladder, Reduction
from ashtune.core.observer import Observer
from ashtune.core.options import COUNT, TIME, Option, several
from ashtune.core.plaintext import shown
from ashtune.driver.enough import check_enough, read_enough
from ashtune.engines.options import MOST_WORKERS, RunOptions
from ashtune.engines.protocol import AUTO, Engine
from ashtune.schedulers.adaptive import AdaptiveAsh
from ashtune.schedulers.ash import Ash
from ashtune.schedulers.protocol import Scheduler
from ashtune.schedulers.registry import SCHEDULERS
from ashtune.search.protocol import Search

MAX_FAILURES = 20
"""Of a session's first trials. Where half of the configurations fail, one study in a million stops for that."""


class Halving(TypedDict, total=False):
    """halving."""

    max_resource: Annotated[
        int | None, Option(help="Resource of the top rung: the most that one trial is trained.", parse=int, metavar="N")
    ]
    min_resource: Annotated[
        int | str | None,
        Option(
            help='Resource of the lowest rung, or "auto": "ash" chooses from the results where trials are judged '
            'first. By default "ash" and "stopping" begin at a ninth of ``max_resource`` or above, the others at 1.',
            parse=parse.min_resource,
            metavar="N",
        ),
    ]
    reduction_factor: Annotated[
        Reduction | None,
        Option(
            help="Of ``n`` trials in a rung ``floor(n / reduction_factor)`` go on; by default 3 for the asynchronous "
            "schedulers and 2 for the others.",
            parse=parse.reduction_factor,
            metavar="N",
        ),
    ]
    rungs: Annotated[
        Sequence[int] | None,
        Option(
            help="The rungs themselves, in place of the three above.",
            parse=parse.rungs,
            metavar="LIST",
            forms="as 1,5,20",
        ),
    ]
    resource: Annotated[
        str,
        Option(
            help='What the resource counts, in the singular: "epoch", "tree", "step", "sample"; so say all tables and '
            "figures.",
            default="epoch",
            check=check_unit,
            parse=str,
            metavar="UNIT",
        ),
    ]
    scheduler: Annotated[
        str | Scheduler,
        Option(
            help='"ash" (promote as soon as possible), "pasha" (no higher than it takes to tell trials apart), '
            '"adaptive" (min_resource="auto"), "stopping" (go on or end at the rung), "sh" (synchronous successive '
            'halving), "hyperband", "async_hyperband" or "full" (no early stop); or '
            "one with its options, as ``ashtune.Hyperband(brackets=4)`` (``hyperband:brackets=4``).",
            default="ash",
            parse=str,
            metavar="NAME",
        ),
    ]


class Searching(TypedDict, total=False):
    """search."""

    search: Annotated[
        str | Search | None,
        Option(
            help='"gp" (learns from the results), "random", "mutation" (of the best), "optuna" (its TPE, or another '
            'of its samplers), "sobol" (quasi-random) or "grid", or one with options, as ``ashtune.Grid(points=5)``; '
            'by default "gp", but "random" with the scheduler "sh" and where many models are trained as one program.',
            parse=str,
            metavar="NAME",
        ),
    ]
    grid_points: Annotated[
        int | Mapping[str, int] | None,
        Option(help="Points on continuous parameters of a grid: for all, or by name.", parse=int, metavar="N"),
    ]
    valid: Annotated[
        Callable[[dict[str, Any]], Any] | None,
        Option(
            help="Says of a configuration whether it is valid, as ``lambda c: c['warmup'] < c['epochs']``; others are "
            "drawn again.",
        ),
    ]
    enqueue: Annotated[
        Iterable[Mapping[str, Any]],
        Option(help="Configurations to try first; the search of a finite space does not give them again.", default=()),
    ]
    warm_start: Annotated[
        Any,
        Option(
            help="Results from before that the search knows from its first proposal on, and that are no trials: a "
            "DataFrame, list of dicts or csv file with a column for each hyperparameter and metric, and ``resource`` "
            "if not all were trained to the top; the directory of a study; or a study of Optuna.",
            parse=str,
            metavar="PATH",
        ),
    ]
    seed: Annotated[
        int,
        Option(
            help="Decides the configurations drawn.",
            default=0,
            check=partial(check_whole, at_least=0, at_most=MOST_SEED),
            parse=int,
            metavar="N",
        ),
    ]


class Preferring(TypedDict, total=False):
    """preferences."""

    weights: Annotated[
        Mapping[str, float] | None,
        Option(
            help="With several metrics, how much each counts in ``study.best``, by name; without them that is the knee "
            "of the front.",
            parse=parse.numbers_by_name,
            metavar="LIST",
            forms="as accuracy=0.7,latency=0.3",
        ),
    ]
    constraints: Annotated[
        Mapping[str, str] | None,
        Option(
            help='Bounds on reported metrics by name, as ``{"latency": "<= 5"}``: results that violate one rank after '
            "all that do not.",
            parse=parse.bounds,
            metavar="LIST",
            forms="as 'latency<=5'",
        ),
    ]


class Ending(TypedDict, total=False):
    """ending. What is not given stays as the study had it before."""

    trials: Annotated[int | None, Option(help="How many configurations to try in all.", **COUNT)]
    time_limit: Annotated[
        float | str | None,
        Option(
            help='Seconds, or a time as "10m", after which running trials are paused; the study can be resumed.', **TIME
        ),
    ]
    total_resource: Annotated[int | None, Option(help="Resource, all trials together, after which it stops.", **COUNT)]
    target: Annotated[
        float | dict[str, float] | None,
        Option(
            help="Value of the metric at which it stops; with several metrics, values by name, all of them to be "
            "reached by one result.",
            parse=parse.target,
            metavar="VALUE",
        ),
    ]
    patience: Annotated[
        int | None,
        Option(
            help="Results at the top rung in a row, failures included, that bring no better one: then the search ends.",
            **COUNT,
        ),
    ]
    stop_when: Annotated[
        str | NotWorthIt | None,
        Option(
            help='"not_worth_it": the search ends when an hour of results at the top rung gains less than the noise; '
            'or ``ashtune.NotWorthIt(gain=0.001, per="1h")``.',
            check=check_enough,
            parse=read_enough,
            metavar="RULE",
            forms="as not_worth_it:gain=0.001:per=30m",
        ),
    ]
    confirm: Annotated[
        int | Confirm | None,
        Option(
            help="When the search has ended, also by a limit, train so many of the best configurations once more from "
            "the beginning with other seeds, and name the winner by its mean: 5, or "
            "``ashtune.Confirm(best=5, seeds=3)``.",
            check=check_confirm,
            parse=parse.confirm,
            metavar="K",
            forms="as 5, or 5x3 for three seeds each",
        ),
    ]
    max_failures: Annotated[
        int | None,
        Option(
            help="If so many trials of a session fail before any has a result, the study stops: "
            f"{MAX_FAILURES}, or as before.",
            **COUNT,
        ),
    ]


class EngineOption(TypedDict, total=False):
    """Where the workers come from."""

    engine: Annotated[
        str | Engine,
        Option(
            help='"auto" (the ranks of an MPI launch, else processes on this machine), "local", "mpi", "threads" (of '
            "this process, for functions that release the interpreter lock or wait for something else; nothing "
            "isolates or ends them), the name of an installed one, or an engine itself.",
            default=AUTO,
            parse=str,
            metavar="NAME",
        ),
    ]


class Running(EngineOption, RunOptions, total=False):
    """running."""


def _check_observers(_: str, value: Any) -> Any:
    from ashtune.driver.observing import check_observers

    return check_observers(value)


class Watching(TypedDict, total=False):
    """watching."""

    observers: Annotated[
        Sequence[Observer | str],
        Option(
            help="Told what happens while the study runs, each in a thread of its own, as "
            '``ashtune.observers.CsvLog()``, or its name, "csv".',
            default=(),
            check=_check_observers,
            parse=parse.names,
            metavar="NAMES",
        ),
    ]
    watch: Annotated[
        bool,
        Option(
            help="Show a live page of the study, by ``ashtune watch`` in a process of its own, and print its address; "
            "it ends with the process that started it.",
            default=False,
            check=check_flag,
        ),
    ]


class Controlling(TypedDict, total=False):
    """control."""

    control: Annotated[
        bool,
        Option(
            help="Let whoever has the address of the live page pause and stop the study, add trials, change the number "
            "of workers and enqueue configurations; it implies ``watch``.",
            default=False,
            check=check_flag,
        ),
    ]


class SessionOptions(Ending, Running, Watching, Controlling, total=False):
    """What every session on a study takes."""


class ResumeOptions(SessionOptions, total=False):
    """What ``Study.resume`` takes."""

    max_resource: Annotated[
        int | None,
        Option(
            help="Resource of the top rung, if higher than before: there are more rungs above, and the best of those "
            "that finished at the old top rung go on.",
            parse=int,
            metavar="N",
        ),
    ]


class Place(TypedDict, total=False):
    """Where a study is kept, and how much of it."""

    checkpoint_limit: Annotated[
        int | str | None,
        Option(
            help='Most bytes of checkpoints, as a number or as "20GB"; the least promising go first.',
            check=check_size,
            parse=parse.size,
            metavar="SIZE",
        ),
    ]
    directory: Annotated[
        str | os.PathLike[str] | None,
        Option(
            help="Where the study is kept; by default a new one under ``runs``.",
            check=lambda _, value: check_directory(value),
            parse=str,
            metavar="DIR",
        ),
    ]


class Storage(Place, total=False):
    """storage."""

    accept_changes: Annotated[
        bool,
        Option(
            help="Go on with a study in ``directory`` though the training function has changed since: trials trained "
            "before and after are ranked together. A changed comment counts as a change.",
            default=False,
            check=check_flag,
        ),
    ]


class TuneOptions(Halving, Searching, Preferring, SessionOptions, Storage, total=False):
    """What ``tune`` takes."""


class OwnLoop(TypedDict, total=False):
    """A loop of the user's own."""

    workers: Annotated[
        int | None,
        Option(
            help="How many trials will be out at a time, 1 by default: how long a trial may wait for its proposal "
            "depends on it. More may be asked for.",
            default=None,
            check=partial(check_whole, at_most=MOST_WORKERS),
        ),
    ]
    quiet: Annotated[
        bool,
        Option(help="Print no hints, and show no progress in a notebook.", default=False, check=check_flag),
    ]


class OpenOptions(Halving, Searching, Preferring, Ending, OwnLoop, Watching, Place, total=False):
    """What ``open_study`` takes."""


def _check_scheduler(_: str, value: Any) -> Scheduler:
    from ashtune.schedulers.registry import SCHEDULERS

    return SCHEDULERS.given(value)


class WhatIfOptions(TypedDict, total=False):
    """choices."""

    workers: Annotated[
        int | Sequence[int] | None,
        Option(
            help="Numbers of workers, 1 to 64 by default.",
            check=several(check_whole),
            parse=parse.whole_numbers,
            metavar="LIST",
            forms="as 1,8,64",
        ),
    ]
    reduction_factor: Annotated[
        Reduction | Sequence[Reduction] | None,
        Option(
            help="Reduction factors, between the study's lowest rung and its top; its own rungs by default.",
            check=several(lambda _, value: value),
            parse=parse.factors,
            metavar="LIST",
            forms="as 2,3,4",
        ),
    ]
    scheduler: Annotated[
        str | Scheduler | Sequence[str | Scheduler] | None,
        Option(
            help="Schedulers, as those of ``tune``; its own by default.",
            check=several(_check_scheduler),
            parse=parse.names,
            metavar="LIST",
            forms="as ash,sh",
        ),
    ]
    trials: Annotated[
        int | None,
        Option(
            help="Only the first trials of the study.",
            check=partial(check_whole, at_least=0),
            parse=int,
            metavar="N",
        ),
    ]
    deadline: Annotated[
        float | str | None,
        Option(help='Seconds, or a time as "2h": asks for the fewest workers that are done by then.', **TIME),
    ]
    budget: Annotated[
        float | None,
        Option(
            help="Core-hours: asks for their best use.", check=check_number, parse=parse.hours, metavar="HOURS",
        ),
    ]  # fmt: skip
    cores_per_worker: Annotated[
        int | None,
        Option(help="Cores of each worker, for ``budget``; 1 by default.", check=check_whole, parse=int, metavar="N"),
    ]
    draws: Annotated[
        int | None,
        Option(
            help="Replays that a spread is over, 10 by default.",
            check=partial(check_whole, at_least=0),
            parse=int,
            metavar="N",
        ),
    ]
    seed: Annotated[
        int,
        Option(
            help="Decides which replays are drawn.",
            default=0,
            check=partial(check_whole, at_least=0),
            parse=int,
            metavar="N",
        ),
    ]


def will_end(options: Ending) -> bool:
    """Whether a study that goes well will end because of its options."""
    return any(options[name] is not None for name in ("trials", "time_limit", "total_resource", "target", "patience"))


def chosen_halving(options: Halving) -> tuple[Scheduler, Ladder]:
    """Return the scheduler and the rungs: the scheduler's own where the user names no lowest one.

    Raises:
        LadderError: If the resources do not fit together.
        SettingsError: If there are too few or too many of them, or there is no such scheduler.
    """
    scheduler = SCHEDULERS.given(options["scheduler"])
    rungs, low, high = options["rungs"], options["min_resource"], options["max_resource"]
    factor = options["reduction_factor"]
    if rungs is not None:
        if high is not None:
            raise SettingsError(
                f"rungs={shown(rungs)} and max_resource={shown(high)} were both given; give one of them"
            )
        return scheduler, Ladder.explicit(rungs)
    if high is None:
        raise SettingsError(
            f"max_resource is missing: the most {options['resource']}s one trial may get; give max_resource=64"
        )
    if factor is None:
        factor = scheduler.reduction_factor
    if isinstance(low, str) and low == "auto":
        if scheduler != Ash() and not isinstance(scheduler, AdaptiveAsh):
            raise SettingsError(
                'min_resource="auto" is for the scheduler "ash" without options; give a number with '
                f"{shown(options['scheduler'])}"
            )
        scheduler, low = AdaptiveAsh(), None
    if low is None and scheduler.least_share is not None:
        return scheduler.where_rungs_are_chosen(), Ladder.from_above(high, factor, scheduler.least_share)
    return scheduler, Ladder(1 if low is None else cast("int", low), high, factor)
