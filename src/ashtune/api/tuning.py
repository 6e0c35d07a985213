"""``tune``: the whole of ashtune as one function."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Unpack

import msgspec

from ashtune.analysis.loading import events_of
from ashtune.api.study import Study
from ashtune.api.warm_start import known_results
from ashtune.core.checks import MOST_NAME
from ashtune.core.errors import FunctionChanged, SettingsError, StudyError, in_one_line
from ashtune.core.jobs import Goal, Mode
from ashtune.core.known import KnownResult
from ashtune.core.ladder import MOST_WHOLE, Ladder, whole_number
from ashtune.core.numbers import plural
from ashtune.core.options import checked, takes
from ashtune.core.plaintext import one_line, shown
from ashtune.driver import hints
from ashtune.driver.engines import check_engine
from ashtune.driver.goal import check_one_metric, goal_of, target_of
from ashtune.driver.options import TuneOptions, chosen_halving, will_end
from ashtune.driver.session import Session
from ashtune.engines.protocol import AUTO
from ashtune.engines.registry import choose_engine
from ashtune.reports.terminal.text import write
from ashtune.search.grid import Grid
from ashtune.search.protocol import Search
from ashtune.search.registry import SEARCHES, design_of
from ashtune.space.space import Space
from ashtune.study import journal as journals
from ashtune.study import objective_file as objectives
from ashtune.study.disk import DISK, FOLDER_FOR_THE_OWNER
from ashtune.study.factory import new_settings
from ashtune.study.ladders import continued, first_ladder, ladder_in_force
from ashtune.study.lock import StudyLock
from ashtune.study.settings import Settings, differences
from ashtune.training.objectives import ChecksSpace
from ashtune.training.runner import HasRunner
from ashtune.training.versions import Version, changed, version_before, version_of

NAME_IN_PLACE = 40
PARTS_SHOWN = 5


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
        space: A dict of hyperparameters (ranges, ``(low, high, "log")``, lists of choices, ConfigSpace ones) or a
            ConfigurationSpace.
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
    goal = goal_of(metric, mode, weights=options["weights"], constraints=options["constraints"])
    options["target"] = target_of(goal, options["target"])
    scheduler, ladder = chosen_halving(options)
    if scheduler.ranks_one_loss and not goal.is_plain:
        raise SettingsError(
            f"scheduler={shown(scheduler)} ranks by one metric without constraints, and the study has {goal}; "
            'give another, as scheduler="ash"'
        )
    trials, quiet = options["trials"], options["quiet"]
    parsed = Space.parse(space)
    if isinstance(objective, ChecksSpace):
        objective.check(parsed.names)
    enqueued = _enqueued(parsed, options["enqueue"])
    grouped_by: tuple[str, ...] = tuple(getattr(objective, "grouped_by", ()))
    # Lanes of one program share hyperparameters and start together: two proposals ahead are too few for them.
    by_default = "random" if grouped_by else scheduler.default_search
    chosen = _search(by_default if options["search"] is None else options["search"], options["grid_points"])
    size = design_of(chosen, parsed, options["seed"], enqueued=enqueued).size
    is_endless = size is None or size > MOST_WHOLE
    if is_endless and not will_end(options):
        raise SettingsError(
            "the study would never end; give trials=, time_limit=, total_resource=, target= or patience="
        )
    if scheduler.needs_trials and trials is None and is_endless:
        raise SettingsError(f"scheduler={shown(options['scheduler'])} halves a known number of trials; give trials=256")
    check_engine(engine, options, trials)
    for option in ("confirm", "patience", "stop_when"):
        check_one_metric(goal, option, given.get(option))
    if options["confirm"] is not None and isinstance(objective, HasRunner):
        raise SettingsError(
            f"confirm={shown(given.get('confirm'))} needs other seeds, and a fused function trains all trials with the "
            "same seed; leave it out"
        )
    pickled = objectives.packed(objective, quiet=quiet)
    name = objectives.name_of(objective)
    path = _place(options["directory"], name)
    known, lines = _known(options, path, chosen, space=parsed, goal=goal, ladder=ladder)
    settings = new_settings(
        name=one_line(name, MOST_NAME) or "study",
        goal=goal,
        scheduler=scheduler,
        ladder=ladder,
        space=parsed,
        search=chosen,
        enqueued=enqueued,
        known=known,
        resource=options["resource"],
        grouped_by=grouped_by,
        grouped_for=trials if grouped_by else None,
        seed=options["seed"],
        checkpoint_limit=options["checkpoint_limit"],
    )
    if not quiet:
        _say(lines)
        _hint(hints.of_the_space(space) + hints.of_the_search(chosen, parsed) + hints.of_the_goal(goal))
    try:
        path.mkdir(FOLDER_FOR_THE_OWNER, parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(f"{path}: {error.strerror}; give a directory that can be written") from None
    with suppress(OSError):  # a folder above that cannot be read
        DISK.sync_folder(str(path.parent))
    with StudyLock(path):
        version = version_of(objective)
        longer = _open_or_create(path, settings, options, pickled, {} if options["accept_changes"] else version)
        Session(path, options, engine, longer, version=version, objective=objective).run()
    if not quiet:
        _hint(hints.of_the_results(goal, events_of(path / journals.NAME)))
    return Study.load(path)


def _enqueued(space: Space, enqueue: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if not isinstance(enqueue, Iterable) or isinstance(enqueue, str | bytes | Mapping):
        raise SettingsError(f"enqueue={shown(enqueue)} is no list of configurations; give enqueue=[{{...}}, {{...}}]")
    return [space.check(configuration) for configuration in enqueue]


def _search(search: str | Search, points: int | Mapping[str, int] | None) -> Search:
    """Return the search with its options; its design says what does not fit the space."""
    chosen = SEARCHES.given(search)
    if points is None:
        return chosen
    if not isinstance(chosen, Grid):
        raise SettingsError(f"grid_points={shown(points)} is for a grid; add search='grid', or leave it out")
    if isinstance(points, Mapping):
        return Grid(points={name: whole_number(count) or count for name, count in points.items()})
    return Grid(points=whole_number(points) or points)


def _known(
    options: TuneOptions, path: Path, search: Search, *, space: Space, goal: Goal, ladder: Ladder
) -> tuple[list[KnownResult], list[str]]:
    """Return the results from before that the study has, and what to say of them.

    A study that is there keeps those that it began with, so that its proposals follow from its journal alone.
    """
    source, journal = options["warm_start"], path / journals.NAME
    if journal.exists():
        known = journals.read_settings(journal).known
        line = f"warm start: {path} goes on with the {plural(len(known), 'result')} that it began with"
        if not known:
            line = f"warm start: {path} began without and goes on so; give another directory to begin with results"
        return known, [] if source is None else [one_line(line)]
    if source is None:
        return [], []
    found = known_results(source, space, goal, top=ladder.rungs[-1], unit=options["resource"])
    if not search.has_proposer:
        kind = SEARCHES.record(search)["kind"]
        return [], [f"warm start: search={kind!r} looks at no results, so these count for nothing; give search='gp'"]
    return found.results, [found.line]


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        write(f"{line}\n", sys.stderr)


def _hint(lines: Sequence[str]) -> None:
    _say([f"hint: {line}" for line in lines])


def _place(directory: "str | os.PathLike[str] | None", name: str) -> Path:
    """Return where the study goes: as given, or a new directory under ``runs``.

    Raises:
        SettingsError: If its name cannot be written down.
        StudyError: If nobody can say whether it is there.
    """
    try:
        path = _new_place(name) if directory is None else Path(directory)
        there = os.path.abspath(path)  # noqa: PTH100 - a name, whether or not it is there
        (path / journals.NAME).exists()
    except OSError as error:
        raise StudyError(f"{directory or 'runs'}: {error.strerror}; give a directory that can be written") from None
    try:
        there.encode()
    except UnicodeEncodeError:
        raise SettingsError(f"directory={shown(there)} is not UTF-8; give a directory elsewhere") from None
    return path


def _new_place(name: str) -> Path:
    """Return a directory under ``runs`` that is not there yet."""
    word = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:NAME_IN_PLACE] or "study"
    stem = f"{word}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, suffix = Path("runs", stem), 1
    while path.exists():
        suffix += 1
        path = Path("runs", f"{stem}-{suffix}")
    return path


def _refuse_changes(path: Path, version: Version) -> None:
    """Refuse to go on with a study whose training function is another one now."""
    if names := changed(version_before(path / journals.NAME), version):
        parts = one_line(", ".join(names[:PARTS_SHOWN])) + (", ..." if len(names) > PARTS_SHOWN else "")
        raise FunctionChanged(
            f"{path} was trained by another version of the training function: {parts} changed since; give another "
            "directory, or accept_changes=True (--accept-changes) to go on with the function as it is now"
        )


def _meant(options: TuneOptions, first: Ladder) -> Ladder:
    """Return the ladder that is asked for: on the rungs that a study began with, if the options would make them again.

    Rungs that the user did not choose follow from the top one, so with another top one all of them would differ.
    """
    ladder = chosen_halving(options)[1]
    if options["rungs"] is None and ladder.rungs[-1] >= first.rungs[-1]:
        as_before: TuneOptions = {**options, "max_resource": first.rungs[-1]}
        if chosen_halving(as_before)[1] == first:
            return first.lengthened(ladder.rungs[-1])
    return ladder


def _open_or_create(
    path: Path, settings: Settings, options: TuneOptions, pickled: bytes, version: Version
) -> Ladder | None:
    """Make a directory a study's, or make sure that it is this study's already; return how high it is to go then."""
    journal = path / journals.NAME
    ladder = None
    if journal.exists():
        there = journals.read_settings(journal)
        first = first_ladder(there)
        ladder = continued(first, ladder_in_force(journal), _meant(options, first))
        if ladder is not None:  # it may go higher than before
            settings = msgspec.structs.replace(settings, rungs=there.rungs, kept=there.kept)
        different = differences(there, settings)
        if different:
            raise StudyError(
                f"{path} holds another study, where {different[0]}; give another directory, or continue that "
                f"study with `ashtune resume {path}`"
            )
        _refuse_changes(path, version)
    objectives.keep(path, pickled)
    if not journal.exists():
        journals.create(journal, settings)
    return ladder
