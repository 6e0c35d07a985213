"""Defines the options of a study: the type, default, check and parser of each option.

Commands take an option as ``--name``, and show help texts from the docstrings. ``tune``,
``open_study`` and ``Study.resume`` take the common options as arguments, and the other options as
fields of ``stop=Stop(...)``, ``engine=Local(...)`` and ``scheduler=Ash(...)``. The function
:func:`flat` returns all options by name. The options of the engine are in
:class:`~ashtune.engines.RunOptions`.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypedDict, cast

import msgspec

from ashtune._src.core import parse
from ashtune._src.core.checks import (
    check_budget,
    check_confirm,
    check_flag,
    check_number,
    check_unit,
    check_whole,
    refuse,
)
from ashtune._src.core.confirm import Confirm
from ashtune._src.core.enough import NotWorthIt
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.ladder import Ladder, Reduction
from ashtune._src.core.observer import Observer
from ashtune._src.core.option import (
    Count,
    CountFromZero,
    Flag,
    Option,
    Seed,
    Size,
    Time,
    each_value,
)
from ashtune._src.core.plaintext import shown
from ashtune._src.driver.gain_rate import check_enough, read_enough
from ashtune._src.engines.engine_protocol import AUTO, Engine
from ashtune._src.engines.session_options import Auto, Local, RunOptions
from ashtune._src.schedulers.adaptive import AdaptiveAsh
from ashtune._src.schedulers.ash import Ash
from ashtune._src.schedulers.scheduler_protocol import Scheduler
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS
from ashtune._src.search.search_protocol import Search
from ashtune._src.study.folders import check_directory

MAX_FAILURES = 20
"""A session stops after this many failures without a result.

Even if each trial fails with probability 1/2, a session stops only with probability 1e-6.
"""


class TopRung(TypedDict, total=False):
    """halving."""

    max_resource: Annotated[int | None, Option(parse=int)]


class RungOptions(TopRung, total=False):
    """rungs."""

    min_resource: Annotated[int | str | None, Option(parse=parse.min_resource)]
    reduction_factor: Annotated[Reduction | None, Option(parse=parse.reduction_factor)]
    rungs: Annotated[
        Sequence[int] | None, Option(parse=parse.whole_numbers, metavar="LIST", forms="as 1,5,20")
    ]
    resource: Annotated[str, Option(default="epoch", check=check_unit, metavar="UNIT")]


class Halving(RungOptions, total=False):
    """halving."""

    scheduler: Annotated[str | Scheduler, Option(default="ash", metavar="NAME")]


class Searching(TypedDict, total=False):
    """search."""

    search: Annotated[str | Search | None, Option(metavar="NAME")]
    valid: Annotated[Callable[[dict[str, Any]], Any] | None, Option(parse=None)]
    enqueue: Annotated[Iterable[Mapping[str, Any]], Option(default=(), parse=None)]
    warm_start: Annotated[
        Any, Option(parse=parse.names, metavar="LIST", forms="as results.csv,runs/a")
    ]
    other_tasks: Annotated[Any, Option(parse=parse.names, metavar="LIST", forms="as runs/a,runs/b")]
    seed: Seed


class Preferring(TypedDict, total=False):
    """preferences.

    Args:
        weights: With several metrics, ``study.best`` is the knee of the front; weights by metric
            choose another result of the front.
    """

    weights: Annotated[
        Mapping[str, float] | None,
        Option(
            parse=parse.numbers_by_name,
            metavar="LIST",
            forms="as accuracy=0.7,latency=0.3",
        ),
    ]
    constraints: Annotated[
        Mapping[str, str] | None,
        Option(parse=parse.bounds, metavar="LIST", forms="as 'latency<=5'"),
    ]


class Ending(TypedDict, total=False):
    """ending. An option that is not given keeps the value of the previous session."""

    trials: Count
    time_limit: Time
    budget: Annotated[str | float | None, Option(check=check_budget, metavar="TIME")]
    total_resource: Count
    target: Annotated[float | dict[str, float] | None, Option(parse=parse.target, metavar="VALUE")]
    patience: Count
    stop_when: Annotated[
        str | NotWorthIt | None,
        Option(
            check=check_enough,
            parse=read_enough,
            metavar="RULE",
            forms="as not_worth_it:gain=0.001:per=30m",
        ),
    ]
    confirm: Annotated[
        int | Confirm | None,
        Option(
            check=check_confirm,
            parse=parse.confirm,
            metavar="K",
            forms="here 5, or 5x3 for three seeds each",
        ),
    ]
    max_failures: Count


class EngineOption(TypedDict, total=False):
    """The option that chooses the engine, which starts the workers."""

    engine: Annotated[str | Engine, Option(default=AUTO, metavar="NAME")]


class WorkerOptions(EngineOption, RunOptions, total=False):
    """running."""


def _check_observers(_: str, value: Any) -> Any:
    from ashtune._src.driver.observing import check_observers

    return check_observers(value)


def _check_watch(name: str, value: Any) -> Any:
    return value if value == "keep" else check_flag(name, value)


class Watching(TypedDict, total=False):
    """watching.

    Args:
        watch: Show a live page of the study, by ``ashtune watch`` in its own process, and print its
            address; the page ends with the process that started it.
        control: Let everybody who can open the live page pause and stop the study, add trials,
            change the number of workers and enqueue configurations; implies ``watch``.
    """

    observers: Annotated[
        Sequence[Observer | str],
        Option(default=(), check=_check_observers, parse=parse.names, metavar="NAMES"),
    ]
    watch: Annotated[
        bool | Literal["keep"],
        Option(default=False, check=_check_watch),
    ]
    control: Flag


class SessionOptions(Ending, WorkerOptions, Watching, total=False):
    """The options of every session on a study."""


class ResumeOptions(TopRung, SessionOptions, total=False):
    """The options of ``Study.resume``."""


class Storage(TypedDict, total=False):
    """storage."""

    checkpoint_limit: Size
    directory: Annotated[
        str | os.PathLike[str] | None,
        Option(check=lambda _, value: check_directory(value), metavar="DIR"),
    ]
    accept_changes: Flag
    overwrite: Flag


class TuneOptions(Halving, Searching, Preferring, SessionOptions, Storage, total=False):
    """The options of ``tune``."""


# A ``TypedDict`` does not know its bases in Python 3.11, so --help gets its groups from here.
SESSION_GROUPS = (Ending, WorkerOptions, Watching)
TUNE_GROUPS = (Halving, Searching, Preferring, *SESSION_GROUPS, Storage)


def scheduler_alone(name: str, value: Any) -> Scheduler:
    """Return the scheduler that the user gave as an instance or a name, or raise if the scheduler
    contains rungs.

    Raises:
        SettingsError: If the scheduler is unknown, or contains rungs.
    """
    scheduler = SCHEDULERS.part(value)
    if scheduler != scheduler.without_rungs():
        raise SettingsError(
            f"{name}={shown(value)} contains rungs, but here other options set the rungs; leave "
            f"the rungs out of {name}"
        )
    return scheduler


class WhatIfOptions(TypedDict, total=False):
    """choices."""

    workers: Annotated[
        int | Sequence[int] | None,
        Option(
            check=each_value(check_whole),
            parse=parse.whole_numbers,
            metavar="LIST",
            forms="as 1,8,64",
        ),
    ]
    reduction_factor: Annotated[
        Reduction | Sequence[Reduction] | None,
        Option(
            check=each_value(lambda _, value: value),
            parse=parse.factors,
            metavar="LIST",
            forms="as 2,3,4",
        ),
    ]
    scheduler: Annotated[
        str | Scheduler | Sequence[str | Scheduler] | None,
        Option(
            check=each_value(scheduler_alone), parse=parse.names, metavar="LIST", forms="as ash,sh"
        ),
    ]
    trials: CountFromZero
    deadline: Time
    budget: Annotated[float | None, Option(check=check_number, parse=float, metavar="HOURS")]
    cores_per_worker: Count
    draws: CountFromZero
    seed: Seed


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """The less common rules that end a search.

    Args:
        budget: The search ends when the workers have been present for this time, such as "40 hours"
            (or "40 worker-hours"). The times of all workers are added, over all sessions and idle
            time included. In "40 gpu-hours", an hour of a worker counts as ``gpus_per_worker``
            hours. The present value of ``gpus_per_worker`` is used for earlier sessions too, even
            if a worker had another number of GPUs then.
        total_resource: The search ends when all trials together have used this much resource.
        patience: The search ends after this many results or failures in a row at the top rung
            without a new best.
        stop_when: "not_worth_it": the search ends when an hour of results at the top rung gains
            less than the noise; or ``ashtune.NotWorthIt(gain=0.001, per="1h")``.
        max_failures: The study stops if this many trials of a session fail before the session's
            first result. The default is 20, or the number of the previous session. The study also
            stops if five promoted trials in a row (or a quarter of ``max_failures``, if that is
            more) fail for one reason. These failures count only until a trial that continued in the
            same way (in memory, or from its checkpoint) has a result in this session.

    Example:
        >>> def train(trial):
        ...     for epoch in trial.epochs():
        ...         trial.report(loss=1 / epoch)
        >>> study = tune(
        ...     train,
        ...     {"x": (0.0, 1.0)},
        ...     metric="loss",
        ...     mode="min",
        ...     max_resource=2,
        ...     quiet=True,
        ...     stop=Stop(patience=3),
        ... )
        >>> study.stopped
        'patience=3: 3 results at the top rung without an improvement'
    """

    __module__ = "ashtune"

    budget: str | None = None
    total_resource: int | None = None
    patience: int | None = None
    stop_when: str | NotWorthIt | None = None
    max_failures: int | None = None


def _refuse_class(name: str, value: object) -> None:
    """Raise an error if a value is a class, because the user forgot the brackets of a call."""
    if isinstance(value, type):
        package = "ashtune." if f"{value.__module__}.".startswith("ashtune.") else ""
        raise SettingsError(
            f"{name}={value.__name__} is a class; write {name}={package}{value.__name__}()"
        )


def flat(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options by name, including options inside ``stop``, ``engine``, ``scheduler`` and
    ``metric``.

    Raises:
        SettingsError: If an option is given twice, is a class in place of an object, or ``stop`` is
            no :class:`Stop`.
    """
    for name in ("search", "scheduler", "engine", "stop", "confirm"):
        _refuse_class(name, given.get(name))
    options = {name: value for name, value in given.items() if name not in ("self", "stop")}
    stop = given.get("stop")
    if not isinstance(stop, Stop | None):
        raise SettingsError(
            f"stop={shown(stop)} is not an ashtune.Stop; give for example "
            "stop=ashtune.Stop(patience=20); max_resource= sets the last epoch"
        )
    # An engine or a scheduler keeps its other options, which are no options of the study.
    for place, kind, has_all in (
        ("stop", Stop, Stop),
        ("engine", Local, Auto),
        ("scheduler", Scheduler, Scheduler),
    ):
        value = given.get(place)
        if not isinstance(value, kind):
            continue
        for name in has_all.__struct_fields__:
            held = getattr(value, name, None)
            if held is not None and options.get(name) is not None:
                raise SettingsError(
                    f"{name}={shown(options[name])} and "
                    f"{place}={type(value).__name__}({name}={shown(held)}) are both given; give "
                    "one of them"
                )
            if held is not None:
                options[name] = held
        match value:
            case Local():
                options["engine"] = value if isinstance(value, Engine) else value.name
            case Scheduler():
                options["scheduler"] = value.without_rungs()
    metric = given.get("metric")
    if isinstance(metric, Mapping):
        options |= {"metric": list(metric), "weights": metric}
    if given.get("watch") == "control":
        options |= {"watch": True, "control": True}
    return options


def will_end(options: Ending) -> bool:
    """Return whether the options set a limit at which the study ends even if no trial fails."""
    return any(
        options[name] is not None
        for name in ("trials", "time_limit", "budget", "total_resource", "target", "patience")
    )


def worker_seconds(options: SessionOptions) -> float | None:
    """Return the budget in seconds of workers, or None without a budget.

    Raises:
        SettingsError: If the budget is GPU time, and the number of GPUs per worker is not given.
    """
    if (budget := options["budget"]) is None:
        return None
    seconds, is_of_gpus = cast("tuple[float, bool]", budget)
    gpus = options["gpus_per_worker"] if is_of_gpus else 1.0
    complaint = (
        "budget= counts the time of GPUs, but gpus_per_worker is not given; give "
        "engine=ashtune.Local(gpus_per_worker=1), or a time of workers, such as budget='40 hours'"
    )
    refuse({complaint: gpus is None})
    return seconds / cast("float", gpus)


def chosen_halving(options: Halving, *, weighs_seconds: bool = False) -> tuple[Scheduler, Ladder]:
    """Return the scheduler and the ladder.

    If the user gives no lowest rung, the scheduler may choose the lowest rung.

    Args:
        weighs_seconds: Whether the search takes the training seconds of results into account, so
            that the scheduler may do this too.

    Raises:
        SettingsError: If the resources do not fit together, or the scheduler is unknown.
    """
    scheduler = scheduler_alone("scheduler", options["scheduler"])
    rungs = options["rungs"]
    low = options["min_resource"]
    high = options["max_resource"]
    factor = options["reduction_factor"]
    if rungs is not None:
        if high is not None:
            raise SettingsError(
                f"rungs={shown(rungs)} and max_resource={shown(high)} were both given; give one of "
                "them"
            )
        return scheduler, Ladder.explicit(rungs)
    if high is None:
        raise SettingsError(
            f"give max_resource=, the most {options['resource']}s that one trial may get, for "
            "example max_resource=64"
        )
    if factor is None:
        factor = scheduler.default_reduction_factor
    if isinstance(low, str) and low == "auto":
        if scheduler != Ash() and not isinstance(scheduler, AdaptiveAsh):
            raise SettingsError(
                'min_resource="auto" works only with the scheduler "ash" without options; with '
                f"{shown(options['scheduler'])}, give a number"
            )
        scheduler = AdaptiveAsh()
        low = None
    if low is None and scheduler.least_share is not None:
        scheduler = scheduler.where_rungs_are_chosen(weighs_seconds=weighs_seconds)
        return scheduler, Ladder.from_above(high, factor, scheduler.least_share or 1)
    return scheduler, Ladder(1 if low is None else cast("int", low), high, factor)
