"""Creates a study's directory from the arguments of ``tune`` and ``open_study``, or checks an
existing directory.
"""

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ashtune._src.core import process
from ashtune._src.core.checks import MOST_NAME, refuse
from ashtune._src.core.errors import (
    FunctionChanged,
    ObjectiveError,
    SettingsError,
    StudyError,
    instead_of_os_error,
)
from ashtune._src.core.events import JobFinished
from ashtune._src.core.jobs import Goal, KnownResult, Mode
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.numbers import plural
from ashtune._src.core.plaintext import error_line, one_line, say, shown
from ashtune._src.driver import hints
from ashtune._src.driver.goal import fit_to_goal, goal_of
from ashtune._src.driver.session import Session
from ashtune._src.driver.study_options import TuneOptions, chosen_halving, will_end
from ashtune._src.engines.engine_protocol import Engine
from ashtune._src.engines.engine_registry import check_engine
from ashtune._src.search.random import completed
from ashtune._src.search.search_protocol import Search
from ashtune._src.search.search_registry import SEARCHES
from ashtune._src.space.space import Space
from ashtune._src.study import journal as journals
from ashtune._src.study import objective_file as objectives
from ashtune._src.study.checkpoints import FOLDER as CHECKPOINTS
from ashtune._src.study.checkpoints import OWN_FOLDER
from ashtune._src.study.differences import differences
from ashtune._src.study.disk import DISK, FOLDER_FOR_THE_OWNER
from ashtune._src.study.factory import BuiltStudy, build_controller, built_study, new_study
from ashtune._src.study.journal import ladder_in_force, read_events
from ashtune._src.study.journal_writer import create
from ashtune._src.study.lock import StudyLock
from ashtune._src.study.remote import URL_FILE
from ashtune._src.study.replay import replay
from ashtune._src.study.settings import Settings, extend_ladder, first_ladder
from ashtune._src.training import printed
from ashtune._src.training.objectives import ChecksSpace
from ashtune._src.training.runner import HasRunner
from ashtune._src.training.versions import Version, changes, version_before, version_of

NAME_IN_PLACE = 40
PARTS_SHOWN = 5
PARTS_CHARACTERS = 240


class StudyRequest(NamedTuple):
    """The study that the user requested, lines to print, and the pickled function ``valid``."""

    study: BuiltStudy
    lines: list[str]
    valid: bytes | None


def study_request(
    space: Any,
    metric: str | Sequence[str],
    mode: Mode | Sequence[Mode],
    options: TuneOptions,
    *,
    path: Path,
    name: str,
    given: Mapping[str, Any],
    objective: Callable[..., Any] | None = None,
) -> StudyRequest:
    """Return the study that the arguments of ``tune`` describe. Nothing is written.

    Args:
        options: The checked options; this function turns their target into one value per metric.
        path: The study's directory, existing or not.
        given: The options as the user gave them, for messages.
        objective: The training function; None if the user has their own loop.

    Raises:
        AshtuneError: If the arguments do not fit together.
    """
    # Everything is checked before a directory is made, so a refused call leaves nothing behind.
    # Decision 19 (docs/decisions/0019-refusals-and-giving-up.md).
    if process.loads_a_function:
        raise ObjectiveError(
            "the file calls tune() while it is loaded; run the file with python, or call tune() "
            "under `if __name__ == '__main__':`"
        )
    goal = goal_of(metric, mode, weights=options["weights"], constraints=options["constraints"])
    fit_to_goal(options, goal, given)
    scheduler = chosen_halving(options)[0]
    trials = options["trials"]
    valid = options["valid"]
    parsed = Space.parse(space, valid)
    pickled = None if valid is None else objectives.pack(valid, quiet=True)
    if isinstance(objective, ChecksSpace):
        objective.check(parsed.names)
    enqueue = options["enqueue"]
    if not isinstance(enqueue, Iterable) or isinstance(enqueue, str | bytes | Mapping):
        raise SettingsError(
            f"enqueue={shown(enqueue)} is not a list of configurations; give enqueue=[{{...}}, "
            "{...}]"
        )
    enqueued = completed(parsed, enqueue, options["seed"])
    grouped_by: tuple[str, ...] = tuple(getattr(objective, "grouped_by", ()))
    # The lanes of one program share hyperparameters and start together, so two proposals in advance
    # are too few.
    search = options["search"]
    if search is None:
        search = "random" if grouped_by else scheduler.default_search
    chosen = SEARCHES.part(search)
    scheduler, ladder = chosen_halving(options, weighs_seconds=chosen.weighs_seconds)
    needs_one_loss = scheduler.ranks_one_loss and not goal.is_plain
    has_one_seed = options["confirm"] is not None and isinstance(objective, HasRunner)
    refuse(
        {
            f"scheduler={shown(scheduler)} can rank only by one metric without constraints, but "
            f"the study has {goal}; give another scheduler, as in scheduler='ash'": needs_one_loss,
            f"confirm={shown(given.get('confirm'))} needs several seeds, but fused training gives "
            "all trials the same seed; leave confirm out": has_one_seed,
        }
    )
    known, lines = _known(options, path, chosen, space=parsed, goal=goal, ladder=ladder)
    study = new_study(
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
    # These two are checked last: whether a search ends depends on its design, which depends on the
    # configurations of other tasks.
    is_endless = study.settings.configurations is None
    never_ends = is_endless and not will_end(options)
    needs_trials = scheduler.needs_trials and trials is None and is_endless
    refuse(
        {
            "the study would never end; "
            "give trials=, time_limit= or target=, or stop=ashtune.Stop(patience=20)": never_ends,
            f"scheduler={shown(options['scheduler'])} needs the number of trials; give for example "
            "trials=256": needs_trials,
        }
    )
    # One hint builds a scheduler's machine to make a forecast. A quiet study does not need this
    # hint.
    if not options["quiet"]:
        guesses = hints.of_the_space(space) + hints.of_the_search(chosen, parsed)
        guesses += hints.of_the_trials(scheduler, ladder, trials, unit=options["resource"])
        lines += [f"hint: {line}" for line in guesses]
    return StudyRequest(study, lines, pickled)


@contextmanager
def open_session(
    path: Path,
    request: StudyRequest,
    options: TuneOptions,
    engine: Engine,
    objective: Callable[..., Any] | None = None,
) -> Iterator[Session]:
    """Create or continue the requested study, lock its directory, and yield its session.

    Raises:
        SettingsError: If the engine cannot provide the workers.
        ObjectiveError: If the function cannot be sent to workers.
        StudyError: If the directory is in use, holds another study, or cannot be written.
    """
    quiet = options["quiet"]
    check_engine(engine, options, options["trials"])
    # A user's own loop has no training function that could be sent to workers or compared.
    pickled = None
    version: dict[str, str] = {}
    if objective is not None:
        pickled = objectives.pack(objective, quiet=quiet)
        version = version_of(objective)
    if not quiet:
        say(*request.lines)
    if options["overwrite"]:
        move_aside(path, quiet=quiet)
    path = make_folder(path, is_new=options["directory"] is None)
    with StudyLock(path):
        # The session writes the version in any case, so that the next call compares its function
        # with this version.
        checked_version = version
        if options["accept_changes"]:
            checked_version = {}
        study = open_or_create(path, request, options, pickled=pickled, version=checked_version)
        yield Session(path, study, options, engine, version=version, objective=objective)


def _known(
    options: TuneOptions, path: Path, search: Search, *, space: Space, goal: Goal, ladder: Ladder
) -> tuple[list[KnownResult], list[str]]:
    """Return the warm-start results, and lines about them for the user. A study that continues
    keeps its results.
    """
    source = options["warm_start"]
    if source is not None and not search.has_proposer:
        # This is printed even with quiet=True: otherwise the user would believe that the results
        # count.
        kind = SEARCHES.record(search)["kind"]
        say(
            f"warm start: search={kind!r} cannot use earlier results, so they are ignored; give "
            "search='gp' to use them"
        )
        source = None
    sources = {"warm start": source, "other tasks": options["other_tasks"]}
    sources = {name: value for name, value in sources.items() if value is not None}
    given = " and ".join(sources)
    journal = path / journals.NAME
    # The source is not read again: the results are in the journal's first line, which never
    # changes. Decision 37 (docs/decisions/0037-results-from-before.md).
    continues = options["directory"] is not None and not options["overwrite"]
    if continues and journal.exists() and _has_result(journal):
        known = journals.read_settings(journal).known
        if not given:
            return known, []
        line = (
            f"{given}: the study in {path} keeps the {plural(len(known), 'result')} from its "
            "start, and the results given now are ignored"
        )
        if not known:
            line = (
                f"{given}: the study in {path} began without earlier results, and results can be "
                "given only at the start; give another directory"
            )
        return known, [one_line(line)]
    if not given:
        return [], []
    from ashtune._src.api.warm_start import best_of_other_tasks, known_results

    top = ladder.rungs[-1]
    unit = options["resource"]
    read = {"warm start": known_results, "other tasks": best_of_other_tasks}
    found = [read[name](value, space, goal, top=top, unit=unit) for name, value in sources.items()]
    return [result for each in found for result in each.results], [each.line for each in found]


def place_for(directory: "str | os.PathLike[str] | None", name: str) -> Path:
    """Return the path of the study's directory. The default path is in ``runs`` and has the current
    time in its name.

    Raises:
        StudyError: If the path cannot be checked, or its name cannot be encoded.
    """
    word = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:NAME_IN_PLACE] or "study"
    if directory is None:
        directory = Path("runs", f"{word}-{time.strftime('%Y%m%d-%H%M%S')}")
    path = Path(directory)
    # If the file system does not allow the name, this is found here, before anything is made.
    try:
        (path / journals.NAME).exists()
        os.path.abspath(path).encode()  # noqa: PTH100 - a name, whether or not it is there
    except (OSError, UnicodeEncodeError) as error:
        raise StudyError(
            f"{path}: {error_line(error)}; give a directory that can be written"
        ) from None
    return path


def make_folder(path: Path, *, is_new: bool) -> Path:
    """Make the directory of a study if it does not exist, and return its path.

    If the directory must be new, and another study has just made this directory, a number is added
    to the name.

    Raises:
        StudyError: If the directory cannot be made.
    """
    names = chain([path], (path.with_name(f"{path.name}-{number}") for number in count(2)))
    for place in names:
        try:
            place.mkdir(FOLDER_FOR_THE_OWNER, parents=True, exist_ok=not is_new)
        except OSError as error:
            if is_new and isinstance(error, FileExistsError):
                continue
            raise StudyError(
                f"{place}: {error.strerror}; give a directory that can be written"
            ) from None
        break
    with suppress(OSError):  # a parent folder that cannot be read
        DISK.sync_folder(str(place.parent))
    return place


def open_or_create(
    path: Path,
    request: StudyRequest,
    options: TuneOptions,
    *,
    pickled: bytes | None,
    version: Version,
) -> BuiltStudy:
    """Create the requested study in a locked directory, or check that the directory contains this
    study.

    A study without results is set aside if it has ended, or differs from the requested study in any
    way.

    Args:
        version: Version of the training function. A study with another version is refused; an empty
            version is always accepted.

    Returns:
        The study, whose ladder may be longer than before.

    Raises:
        StudyError: If the directory holds another study with results, or cannot be written.
    """
    journal = path / journals.NAME
    continued = None
    if journal.exists():
        continued = _study_there(path, request, options, version)
    # The functions are written before the journal: a directory with a journal counts as a study,
    # and `resume` must find in it what the workers need.
    if pickled is not None:
        objectives.keep(path, pickled)
    if request.valid is not None:
        objectives.keep(path, request.valid, name=objectives.VALID)
    if continued is not None:
        return continued
    create(journal, request.study.settings)
    return request.study


def _study_there(
    path: Path, request: StudyRequest, options: TuneOptions, version: Version
) -> BuiltStudy | None:
    """Return the study of a directory, which continues. If the study has no result and cannot
    continue, move its files aside and return None.
    """
    journal = path / journals.NAME
    there = journals.read_settings(journal)
    asked = request.study.settings
    first = first_ladder(there)
    now = ladder_in_force(journal)
    longer = extend_ladder(first, now, _requested_ladder(options, first))
    if longer is not None:  # it may have more rungs than before
        asked = msgspec.structs.replace(asked, rungs=there.rungs, kept=there.kept)
    different = differences(there, asked)
    names = changes(version_before(journal), version)
    # Without a result, a new start loses no training, so the user is not asked. The old files are
    # moved, not deleted, because their errors may still be looked at.
    if not _has_result(journal):
        if different or names or _has_ended(journal, there):
            _set_aside(path, quiet=options["quiet"])
            return None
    elif different:
        raise StudyError(
            f"{path} holds another study with results ({_some(different, '; ')}); give another "
            f"directory, resume the old study (`ashtune resume {path}`), or give {_overwrite(path)}"
        )
    elif names:
        raise FunctionChanged(
            f"the training function has changed since the study in {path} began: "
            f"{_some(names, ', ')} (a changed comment counts too); to continue the study "
            "nevertheless, give accept_changes=True; to begin a new study, give another directory "
            f"or {_overwrite(path)}"
        )
    study = built_study(there, now, options["valid"])
    return msgspec.structs.replace(study, ladder=longer or now)


def move_aside(path: Path, *, quiet: bool) -> None:
    """Move the directory of a study to a free name such as ``DIR.1``. A directory without a study
    stays.

    Raises:
        StudyError: If another driver uses the study, or the directory cannot be moved.
    """
    if not (path / journals.NAME).exists():
        return
    place = _free_name(path)
    with (
        StudyLock(path),
        instead_of_os_error(
            StudyError, path, "the old study cannot be moved away; give another directory"
        ),
    ):
        path.rename(place)
        DISK.sync_folder(str(place.parent))
    if not quiet:
        say(f"overwrite: the old study of {path} is now in {place}")


def _free_name(path: Path) -> Path:
    names = (Path(f"{path}.{number}") for number in count(1))
    return next(name for name in names if not os.path.lexists(name))


def _overwrite(path: Path) -> str:
    return f"overwrite=True, which moves the old study to {_free_name(path).name}"


def _some(parts: Sequence[str], between: str) -> str:
    more = f"{between}..." if len(parts) > PARTS_SHOWN else ""
    return one_line(between.join(parts[:PARTS_SHOWN]), PARTS_CHARACTERS) + more


def _has_result(journal: Path) -> bool:
    return any(
        isinstance(event, JobFinished) for event in read_events(journal, only=(b"job_finished",))
    )


def _has_ended(journal: Path, settings: Settings) -> bool:
    """Return whether a study has ended by itself: all its trials are over, or too many failed."""
    controller = build_controller(settings)
    return replay(journal, controller, ()) > 0 and (controller.is_complete or controller.gave_up)


def _set_aside(path: Path, *, quiet: bool) -> None:
    """Move the files of a study without any result into a folder such as ``failed-1``."""
    names = (path / f"failed-{number}" for number in count(1))
    place = next(name for name in names if not (name / journals.NAME).exists())
    with instead_of_os_error(StudyError, place, "give another directory"):
        place.mkdir(FOLDER_FOR_THE_OWNER, exist_ok=True)
        # The journal is last: if the driver is killed before, the next start moves the rest to the
        # same folder.
        for name in (
            CHECKPOINTS,
            URL_FILE,
            printed.FOLDER,
            objectives.NAME,
            objectives.VALID,
            journals.NAME,
        ):
            _move(path / name, place / name)
        DISK.sync_folder(str(place))
        DISK.sync_folder(str(path))
    if not quiet:
        say(f"the study in {path} has no result, so it was moved to {place}; a new study starts")


def _move(path: Path, place: Path) -> None:
    """Move a file or folder, if it is there.

    If the study's checkpoints are a link to another folder, the new study gets such a link too.
    """
    if path.name != CHECKPOINTS or not path.is_symlink():
        with suppress(FileNotFoundError):
            path.rename(place)
        return
    target = (path.parent / path.readlink()).absolute()
    with suppress(FileExistsError):
        place.symlink_to(target)
    path.unlink()
    path.symlink_to(target.parent if OWN_FOLDER.fullmatch(target.name) else target)


def _requested_ladder(options: TuneOptions, first: Ladder) -> Ladder:
    """Return the requested ladder. If only its top is higher than the first ladder's top, lengthen
    the first ladder.
    """
    # By default, the rungs are computed from the top rung: another top rung would change all of
    # them.
    ladder = chosen_halving(options)[1]
    if options["rungs"] is None and ladder.rungs[-1] >= first.rungs[-1]:
        as_before: TuneOptions = {**options, "max_resource": first.rungs[-1]}
        if chosen_halving(as_before)[1] == first:
            return first.lengthened(ladder.rungs[-1])
    return ladder
