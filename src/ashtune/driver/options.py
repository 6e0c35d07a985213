"""The options of a study. Each is defined once: its type, its default, its check and its help.

``tune`` and ``Study.resume`` take them as keyword arguments, the commands as ``--name``. One more option is one more
field here, and a line where it is used.
"""

import inspect
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Annotated, Any, TypedDict, TypeVar, get_type_hints

import msgspec

from ashtune.core.errors import SettingsError
from ashtune.core.ladder import Ladder, Reduction
from ashtune.core.observer import Observer
from ashtune.core.plaintext import one_line, shown
from ashtune.driver import parse
from ashtune.driver.checks import (
    MOST_SEED,
    MOST_THREADS,
    MOST_WORKERS,
    check_checkpoints,
    check_directory,
    check_flag,
    check_number,
    check_profile,
    check_seconds,
    check_size,
    check_unit,
    check_whole,
)
from ashtune.engines.protocol import AUTO, Engine, RunOptions
from ashtune.engines.resources.shares import check_gpus_per_worker
from ashtune.schedulers.protocol import Scheduler
from ashtune.search.protocol import Search

MAX_FAILURES = 20
"""Of a session's first trials. Where half of the configurations fail, one study in a million stops for that."""

Check = Callable[[str, Any], Any]
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs to an option beside its name and type.

    Args:
        help: For the docstring and for ``--help``: one sentence.
        default: ``None`` stands for "not given".
        check: Takes its name and its value; returns the value in its plain form, or raises ``SettingsError``. It is
            not asked about ``None``, if that is the default. Without a check others refuse what does not fit.
        parse: Reads it from the command line, or raises ``ValueError``; without it there is no such ``--name``,
            but for flags.
        metavar: Its value in ``--help``.
        forms: For ``--help``: the forms that a command line takes; of a flag that is on, what ``--no-`` does.
        flag: More arguments of ``ArgumentParser.add_argument``.
    """

    help: str
    default: Any = None
    check: Check | None = None
    parse: Callable[[str], Any] | None = None
    metavar: str = ""
    forms: str = ""
    flag: dict[str, Any] = {}

    @property
    def is_flag(self) -> bool:
        """Whether it is given or not, without a value."""
        return isinstance(self.default, bool) and not self.flag


def _several(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """Return a check of one value or several: it returns a list without repetitions."""

    def check_each(name: str, values: Any) -> list[Any]:
        several = list(values) if isinstance(values, Sequence) and not isinstance(values, str) else [values]
        if not several:
            raise SettingsError(f"{name}={values!r} is empty; give one value or more, or leave it out")
        checked = [check(name, value) for value in several]
        return [value for place, value in enumerate(checked) if value not in checked[:place]]

    return check_each


_COUNT = {"check": check_whole, "parse": int, "metavar": "N"}
_TIME = {"check": check_seconds, "parse": parse.seconds, "metavar": "TIME", "forms": "as 90s, 15m, 2h"}


class Halving(TypedDict, total=False):
    """halving."""

    max_resource: Annotated[
        int | None, Option(help="Resource of the top rung: the most that one trial is trained.", parse=int, metavar="N")
    ]
    min_resource: Annotated[int, Option(help="Resource of the lowest rung.", default=1, parse=int, metavar="N")]
    reduction_factor: Annotated[
        Reduction,
        Option(
            help="Of ``n`` trials in a rung ``floor(n / reduction_factor)`` go on.",
            default=2,
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
            help='"ash" (promote as soon as possible), "stopping" (go on or end at the rung), "sh" (synchronous '
            'successive halving), "brackets" (the same in brackets), "hyperband", "async_hyperband" or "full" (no '
            "early stop); or one with its options, as ``ashtune.Hyperband(brackets=4)`` (``hyperband:brackets=4``).",
            default="ash",
            parse=str,
            metavar="NAME",
        ),
    ]


class Searching(TypedDict, total=False):
    """search."""

    search: Annotated[
        str | Search,
        Option(
            help='"random", "sobol" (quasi-random) or "grid", or one with options, as ``ashtune.Grid(points=5)``.',
            default="random",
            parse=str,
            metavar="NAME",
        ),
    ]
    grid_points: Annotated[
        int | Mapping[str, int] | None,
        Option(help="Points on continuous parameters of a grid: for all, or by name.", parse=int, metavar="N"),
    ]
    enqueue: Annotated[
        Iterable[Mapping[str, Any]],
        Option(help="Configurations to try first; the search of a finite space does not give them again.", default=()),
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


class Ending(TypedDict, total=False):
    """ending. What is not given stays as the study had it before."""

    trials: Annotated[int | None, Option(help="How many configurations to try in all.", **_COUNT)]
    time_limit: Annotated[
        float | None, Option(help="Seconds after which running trials are paused; the study can be resumed.", **_TIME)
    ]
    total_resource: Annotated[int | None, Option(help="Resource, all trials together, after which it stops.", **_COUNT)]
    target: Annotated[
        float | None,
        Option(
            help="Value of the metric at which it stops.",
            check=partial(check_number, above=-math.inf),
            parse=float,
            metavar="VALUE",
        ),
    ]
    max_failures: Annotated[
        int | None,
        Option(
            help="If so many trials of a session fail before any has a result, the study stops: "
            f"{MAX_FAILURES}, or as before.",
            **_COUNT,
        ),
    ]


class Running(TypedDict, total=False):
    """running."""

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
    trial_timeout: Annotated[
        float | None, Option(help="Seconds that one job, from one rung to the next, may take.", **_TIME)
    ]
    workers: Annotated[
        int | None,
        Option(
            help="Processes, all cores by default; under MPI the most ranks to use, all by default.",
            check=partial(check_whole, at_most=MOST_WORKERS),
            parse=int,
            metavar="N",
        ),
    ]
    threads: Annotated[
        int | None,
        Option(
            help="BLAS threads of each; by default the cores are shared out.",
            check=partial(check_whole, at_most=MOST_THREADS),
            parse=int,
            metavar="N",
        ),
    ]
    gpus_per_worker: Annotated[
        float | None,
        Option(
            help="GPUs that each worker sees, or a part of one, as 0.5: two workers share it.",
            check=lambda _, value: check_gpus_per_worker(value),
            parse=float,
            metavar="N",
        ),
    ]
    isolate: Annotated[
        bool,
        Option(
            help="Under MPI, train in a process of its own beside the rank, so that a crash or a hang costs one job; "
            "without, in the rank itself, for functions shorter than a millisecond.",
            forms="under MPI, train in the rank itself: for very short jobs; a crash costs the rank",
            default=True,
            check=check_flag,
        ),
    ]
    checkpoints: Annotated[
        str,
        Option(
            help='"files" in the study\'s directory, or "messages" where ranks share no directory.',
            default="files",
            check=check_checkpoints,
            parse=str,
            metavar="HOW",
        ),
    ]
    quiet: Annotated[bool, Option(help="Show nothing while it runs.", default=False, check=check_flag)]
    profile: Annotated[
        bool | str,
        Option(
            help="Profile training in every worker, for ``ashtune report --profile``: every call is timed; with "
            '"flame" the stack is looked at once a millisecond, for a flame graph.',
            default=False,
            check=check_profile,
            parse=parse.profiler,
            metavar="flame",
            flag={"nargs": "?", "const": "flat"},
        ),
    ]


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


class SessionOptions(Ending, Running, Watching, total=False):
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


class Keeping(TypedDict, total=False):
    """keeping."""

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
    accept_changes: Annotated[
        bool,
        Option(
            help="Go on with a study in ``directory`` though the training function has changed since: trials trained "
            "before and after are ranked together.",
            default=False,
            check=check_flag,
        ),
    ]


class TuneOptions(Halving, Searching, SessionOptions, Keeping, total=False):
    """What ``tune`` takes."""


def _check_scheduler(_: str, value: Any) -> Scheduler:
    from ashtune.schedulers.registry import SCHEDULERS

    return SCHEDULERS.given(value)


class WhatIfOptions(TypedDict, total=False):
    """choices."""

    workers: Annotated[
        int | Sequence[int] | None,
        Option(
            help="Numbers of workers, 1 to 64 by default.",
            check=_several(check_whole),
            parse=parse.whole_numbers,
            metavar="LIST",
            forms="as 1,8,64",
        ),
    ]
    reduction_factor: Annotated[
        Reduction | Sequence[Reduction] | None,
        Option(
            help="Reduction factors, between the study's lowest rung and its top; its own rungs by default.",
            check=_several(lambda _, value: value),
            parse=parse.factors,
            metavar="LIST",
            forms="as 2,3,4",
        ),
    ]
    scheduler: Annotated[
        str | Scheduler | Sequence[str | Scheduler] | None,
        Option(
            help="Schedulers, as those of ``tune``; its own by default.",
            check=_several(lambda _, value: SCHEDULERS.given(value)),
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
        float | None,
        Option(
            help="Seconds: asks for the fewest workers that are done by then.",
            check=check_seconds,
            parse=parse.seconds,
            metavar="TIME",
            forms="as 90s, 15m, 2h",
        ),
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
            help="Decides which they are.",
            default=0,
            check=partial(check_whole, at_least=0),
            parse=int,
            metavar="N",
        ),
    ]
    decision: Annotated[
        float | None,
        Option(
            help="Seconds that the driver needs for each result; by default it is measured, where it matters.",
            check=partial(check_number, above=-math.inf),
            parse=parse.seconds,
            metavar="TIME",
            forms="as 25us",
        ),
    ]


@cache
def options_of(kind: Callable[..., Any]) -> dict[str, tuple[Any, Option]]:
    """Return the type and the definition of each option of a kind, by name, in order."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: (hint.__origin__, hint.__metadata__[0]) for name, hint in hints.items()}


def checked(kind: Callable[..., T], given: Mapping[str, Any]) -> T:
    """Return all options of a kind: those that were given, checked, and the defaults of the others.

    Raises:
        SettingsError: In one line, if one is unknown or not what it should be, or two do not fit together.
    """
    known = options_of(kind)
    for name in given:
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}=?" if near else f"there are {', '.join(known)}"
            raise SettingsError(f"{one_line(name, 60)}= is no option here; {hint}")
    options = {name: _value(name, option, given) for name, (_, option) in known.items()}
    if options.get("trial_timeout") is not None and not options["isolate"]:
        raise SettingsError(
            f"trial_timeout={given['trial_timeout']!r} ends a worker process and isolate=False trains without; "
            "give one of them"
        )
    return kind(**options)


def _value(name: str, option: Option, given: Mapping[str, Any]) -> Any:
    value = given.get(name, option.default)
    if option.check is None or (value is None and option.default is None):
        return value
    return option.check(name, value)


def will_end(options: Ending) -> bool:
    """Whether a study that goes well will end because of its options."""
    return any(options[name] is not None for name in ("trials", "time_limit", "total_resource", "target"))


def ladder_of(options: Halving) -> Ladder:
    """Return the ladder that the options of a study describe.

    Raises:
        LadderError: If they do not fit together.
        SettingsError: If there are too few or too many of them.
    """
    rungs, max_resource = options["rungs"], options["max_resource"]
    if rungs is not None:
        if max_resource is not None:
            raise SettingsError(
                f"rungs={shown(rungs)} and max_resource={shown(max_resource)} were both given; give one of them"
            )
        return Ladder.explicit(rungs)
    if max_resource is None:
        raise SettingsError(
            f"max_resource is missing: the most {options['resource']}s one trial may get; give max_resource=64"
        )
    return Ladder(options["min_resource"], max_resource, options["reduction_factor"])


def run_options(options: Running) -> RunOptions:
    """Return what an engine is told of the options."""
    return RunOptions(**{name: options[name] for name in RunOptions.__struct_fields__})  # type: ignore[literal-required]


def takes(kind: Callable[..., Any]) -> Callable[[F], F]:
    """Make a function with ``**options`` say in its signature and its docstring which there are.

    The docstring has the line ``{options}`` in its list of arguments.
    """

    def say(function: F) -> F:
        own = inspect.signature(function)
        parameters = [each for each in own.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
        parameters += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=type_)
            for name, (type_, option) in options_of(kind).items()
        ]
        function.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]  # inspect reads it
        if function.__doc__:
            lines = [f"{name}: {option.help}" for name, (_, option) in options_of(kind).items()]
            function.__doc__ = function.__doc__.replace("{options}", "\n        ".join(lines))
        return function

    return say
