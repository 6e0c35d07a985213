"""``tune``: the whole of ashtune as one function."""

from collections.abc import Callable, Sequence
from typing import Any, Unpack

from ashtune.api.creating import hint, make_folder, open_or_create, place_for, wanted_study
from ashtune.api.study import Study
from ashtune.core.errors import in_one_line
from ashtune.core.jobs import Mode
from ashtune.core.options import checked, takes
from ashtune.driver import hints
from ashtune.driver.engines import check_engine
from ashtune.driver.options import TuneOptions
from ashtune.driver.session import Session
from ashtune.engines.protocol import AUTO
from ashtune.engines.registry import choose_engine
from ashtune.study import journal as journals
from ashtune.study import objective_file as objectives
from ashtune.study.journal import read_events
from ashtune.study.lock import StudyLock
from ashtune.training.versions import version_of


@in_one_line
@takes(TuneOptions)
def tune(
    objective: Callable[..., Any],
    space: Any,
    *,
    metric: str | Sequence[str],
    mode: Mode | Sequence[Mode],
    **given: Unpack[TuneOptions],
) -> Study:
    """Tune a training function on every core of this machine, or on every rank of an MPI job.

    The same script runs under ``mpiexec`` or ``srun``: rank 0 drives, the others train. They leave with
    exit status 0 when rank 0's script has ended, so what follows this call runs on rank 0 only.

    A directory that holds the same study already is continued: a script that is started again, as
    after a crash or by a batch system, goes on where it was. With a higher ``max_resource`` than before
    there are more rungs above, and the best of those that finished go on.

    Args:
        objective: The training function; it is called with a :class:`~ashtune.Trial`.
        space: A dict of hyperparameters: ranges, ``(low, high, "log")``, lists of choices, constants,
            :class:`~ashtune.When`, :class:`~ashtune.Ordered`, :class:`~ashtune.Choice`, :class:`~ashtune.Prior`; or a
            ``ConfigurationSpace`` of ConfigSpace.
        metric: The reported metric that counts, or a list of several: then a rung promotes those that few others
            dominate, and ``study.front`` has those that no other does.
        mode: "max" or "min"; a list, with one for each metric, if there are several.
        {options}

    Returns:
        The study, complete or stopped.

    Raises:
        AshtuneError: In one line, for whatever cannot be used.
        NoResultError: If the study ended without a result of any trial; what happened is kept.
        KeyboardInterrupt: After Ctrl-C, when everything is kept.

    Example:
        >>> def train(trial):
        ...     for epoch in trial.epochs():
        ...         trial.report(loss=(trial["x"] - 0.5) ** 2 / epoch)
        >>> study = tune(train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=8, max_resource=4)
        >>> abs(study.best.config["x"] - 0.5) < 0.5
        True
    """
    engine = choose_engine(given.get("engine", AUTO), workers_given=given.get("workers") is not None)
    options = checked(TuneOptions, given)
    quiet = options["quiet"]
    name = objectives.name_of(objective)
    path = place_for(options["directory"], name)
    wanted = wanted_study(space, metric, mode, options, path=path, name=name, given=given, objective=objective)
    check_engine(engine, options, options["trials"])
    pickled = objectives.packed(objective, quiet=quiet)
    if not quiet:
        wanted.say()
    path = make_folder(path, is_new=options["directory"] is None)
    with StudyLock(path):
        version = version_of(objective)
        checked_version = {} if options["accept_changes"] else version
        longer = open_or_create(path, wanted, options, pickled=pickled, version=checked_version)
        session = Session(path, options, engine, longer, version=version, objective=objective, valid=options["valid"])
        session.run()
    if not quiet:
        hint(hints.of_the_results(wanted.settings.goal, read_events(path / journals.NAME)))
    return Study.load(path)
