"""``tune``: search for good hyperparameters of a training function."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, Unpack

from ashtune._src.api.creating import open_session, place_for, study_request
from ashtune._src.api.study import Study
from ashtune._src.core.confirm import Confirm
from ashtune._src.core.errors import in_one_line
from ashtune._src.core.jobs import Mode
from ashtune._src.core.ladder import Reduction
from ashtune._src.core.observer import Observer
from ashtune._src.core.option import checked, suggesting
from ashtune._src.core.plaintext import say
from ashtune._src.core.words import ARGUMENTS
from ashtune._src.driver import hints
from ashtune._src.driver.study_options import Stop, TuneOptions, flat
from ashtune._src.engines.engine_protocol import AUTO, Engine
from ashtune._src.engines.engine_registry import engine_for
from ashtune._src.engines.session_options import Local
from ashtune._src.schedulers.scheduler_protocol import Scheduler
from ashtune._src.search.search_protocol import Search
from ashtune._src.study import journal as journals
from ashtune._src.study import objective_file as objectives
from ashtune._src.study.journal import read_events


@in_one_line
@suggesting(ARGUMENTS)
def tune(
    objective: Callable[..., Any],
    space: Any,
    *,
    metric: str | Sequence[str] | Mapping[str, float],
    mode: Mode | Sequence[Mode],
    trials: int | None = None,
    max_resource: int | None = None,
    min_resource: int | str | None = None,
    reduction_factor: Reduction | None = None,
    resource: str = "epoch",
    time_limit: float | str | timedelta | None = None,
    target: float | dict[str, float] | None = None,
    stop: Stop | None = None,
    constraints: Mapping[str, str] | None = None,
    scheduler: str | Scheduler = "ash",
    search: str | Search | None = None,
    valid: Callable[[dict[str, Any]], Any] | None = None,
    enqueue: Iterable[Mapping[str, Any]] = (),
    warm_start: Any = None,
    other_tasks: Any = None,
    seed: int = 0,
    confirm: int | Confirm | None = None,
    engine: str | Engine | Local = AUTO,
    workers: int | None = None,
    observers: Sequence[Observer | str] = (),
    watch: bool | Literal["control", "keep"] = False,
    quiet: bool = False,
    directory: str | os.PathLike[str] | None = None,
    checkpoint_limit: int | str | None = None,
    accept_changes: bool = False,
    overwrite: bool = False,
) -> Study:
    """Tune a training function on every core of this machine, or on every rank of an MPI job.

    If ``mpiexec`` or ``srun`` starts the script, rank 0 runs the study and the other ranks train.
    Only rank 0 executes the code after the call of ``tune``. The other ranks exit when the script
    of rank 0 ends.

    If the directory already has the same study, the study continues. Therefore a script that is
    started again, for example after a crash, continues its study. A higher ``max_resource`` than
    before adds rungs above the old top rung. If the directory has another study with results,
    ``tune`` refuses. Another study without results is moved to the folder ``failed-1``, and a new
    study starts.

    Args:
        objective: The training function; it is called with a :class:`~ashtune.Trial`.
        space: A dict of hyperparameters: ranges, ``(low, high, "log")``,
            ``{"low": 0, "high": 100, "step": 5}``, lists of choices, constants,
            :class:`~ashtune.When`, :class:`~ashtune.Ordered`, :class:`~ashtune.Choice`,
            :class:`~ashtune.Prior`; or a ``ConfigurationSpace`` of ConfigSpace.
        metric: The name of the reported metric, or a list of names. With several metrics, a rung
            promotes the trials that few other trials dominate, ``study.front`` is the Pareto front,
            and ``study.best`` is the knee of the front. A dict such as
            ``{"accuracy": 0.7, "latency": 0.3}`` gives each metric a weight for the choice of the
            best trial.
        mode: "max" or "min"; with several metrics, a list with a mode for each metric.
        trials: The total number of configurations to try.
        max_resource: Resource of the top rung: the largest resource to which a trial is trained.
        min_resource: Resource of the lowest rung. With "auto", the scheduler "ash" learns from the
            results at which resource to judge trials first. By default, "ash" and "stopping" start
            at a ninth of ``max_resource`` or above; the other schedulers start at 1.
        reduction_factor: Of ``n`` trials in a rung, ``floor(n / reduction_factor)`` continue; by
            default 3 for asynchronous schedulers and 2 for other schedulers.
        resource: The unit of the resource, in the singular: "epoch", "tree", "step", "sample"; used
            in all output.
        time_limit: Seconds, or a time as "10m", after which running trials are paused; the study
            can be resumed. A timedelta is accepted too.
        target: Value of the metric at which the study stops. With several metrics, a dict: one
            result must reach all values.
        stop: Rarely needed rules that end the search, such as ``ashtune.Stop(patience=20)``.
        constraints: Bounds on reported metrics, such as ``{"latency": "<= 5"}``; results outside
            the bounds rank last.
        scheduler: "ash" (promote as soon as possible), "pasha" (go no higher than needed to rank
            the trials), "adaptive" (min_resource="auto"), "stopping" (continue or end at the rung),
            "sh" (synchronous successive halving), "hyperband", "async_hyperband" or "full" (no
            early stop); or a scheduler with options, such as ``ashtune.Hyperband(brackets=4)``
            (``hyperband:brackets=4``). A scheduler with options may set the rungs, as in
            ``ashtune.Ash(rungs=[1, 5, 20])``.
        search: "gp" (learns from the results), "random", "mutation" (of the best), "optuna" (its
            TPE or another of its samplers), "sobol" (quasi-random) or "grid"; or a search with
            options, such as ``ashtune.Grid(points=5)``. The default is "gp", or "random" if the
            scheduler is "sh" or if many models are trained as one program.
        valid: Function that returns True for valid configurations, such as
            ``lambda c: c['warmup'] < c['epochs']``. An invalid configuration is drawn again.
        enqueue: Configurations to try first; the search of a finite space does not propose them
            again. Hyperparameters that a configuration leaves out are drawn at random, so that all
            given hyperparameters are active.
        warm_start: Earlier results of the same task, which the search knows from its first proposal
            on; these results are not trials. A DataFrame, list of dicts or csv file with a column
            for each hyperparameter and metric, and a column ``resource`` unless all rows were
            trained to the top; or the directory of a study, or a study of Optuna; or a list of
            these.
        other_tasks: Earlier results of other tasks, such as other data: one of the forms of
            ``warm_start``, or a list with one for each task. The first trials, at most ten, have
            the best configurations of these tasks. The search learns nothing else from these tasks.
        seed: Seed for drawing configurations.
        confirm: When the search has ended, even if a limit ended it, the best configurations are
            trained again from the beginning with other seeds. The configuration with the best mean
            is the winner. Give the number of configurations, such as 5, or
            ``ashtune.Confirm(best=5, seeds=3)``.
        engine: "auto" (the ranks of an MPI launch, else processes on this machine), "local", "mpi",
            "cluster" (workers that join by ``ashtune worker DIR`` while the study runs), "threads"
            (threads of this process, for functions that release the interpreter lock or wait for
            something else; these threads are not isolated and cannot be killed), the name of an
            installed engine, or an engine object. With options: ``ashtune.Auto(...)``,
            ``ashtune.Local(gpus_per_worker=1)``, ``ashtune.MPI(...)`` or ``ashtune.Cluster(...)``.
        workers: Number of processes, all cores by default; under MPI the maximum number of ranks,
            all by default.
        observers: Objects that receive the events of the running study, each in its own thread,
            such as ``ashtune.observers.CsvLog()``, or their names, such as "csv".
        watch: Show a live page of the study, by ``ashtune watch`` in a separate process, and print
            its address; the page ends together with the process that started it. With "control",
            the page can also pause and stop the study, add trials, change the number of workers and
            enqueue configurations. With "keep", the process does not exit before Ctrl-C, so that
            the page can be read after the study.
        quiet: Show nothing while the study runs. Failed trials and ignored results are still
            reported in one line.
        directory: Directory of the study; by default a new directory under ``runs``.
        checkpoint_limit: Limit of the checkpoints in bytes, as a number or a text such as "20GB";
            the checkpoints of the least promising trials are deleted first.
        accept_changes: Continue a study in ``directory`` although its training function has
            changed. Trials trained before and after the change are then ranked together. A changed
            comment counts as a change.
        overwrite: If ``directory`` already has a study, move it to ``DIR.1`` (or the next free
            number) and start a new study. Nothing is deleted. A script with this option never
            continues its study.

    Returns:
        The study, complete or stopped.

    Raises:
        AshtuneError: If an argument is wrong.
        NoResultError: If the study ended without a result of any trial; its files are kept.
        KeyboardInterrupt: After Ctrl-C, once everything is saved.

    Example:
        >>> def train(trial):
        ...     for epoch in trial.epochs():
        ...         trial.report(loss=(trial["x"] - 0.5) ** 2 / epoch)
        >>> study = tune(
        ...     train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=8, max_resource=4
        ... )
        >>> abs(study.best.config["x"] - 0.5) < 0.5
        True
    """
    return run_study(**flat(locals()))


def run_study(
    objective: Callable[..., Any],
    space: Any,
    *,
    metric: str | Sequence[str],
    mode: Mode | Sequence[Mode],
    **given: Unpack[TuneOptions],
) -> Study:
    """Run a study with the options of the command line. See :func:`tune`."""
    engine = engine_for(given)
    options = checked(TuneOptions, given)
    name = objectives.name_of(objective)
    path = place_for(options["directory"], name)
    request = study_request(
        space, metric, mode, options, path=path, name=name, given=given, objective=objective
    )
    with open_session(path, request, options, engine, objective) as session:
        session.run()
    if not options["quiet"]:
        results = read_events(session.directory / journals.NAME)
        say(*(f"hint: {line}" for line in hints.of_the_results(session.settings.goal, results)))
    return Study.load(session.directory)
