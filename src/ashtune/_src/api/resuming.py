"""``Study.resume`` and ``ashtune resume``: continue an existing study."""

from collections.abc import Callable
from typing import Any, Unpack

import msgspec

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.errors import StudyError
from ashtune._src.core.option import checked
from ashtune._src.driver.goal import fit_to_goal
from ashtune._src.driver.session import Session, read_study
from ashtune._src.driver.study_options import ResumeOptions
from ashtune._src.engines.engine_registry import check_engine, engine_for
from ashtune._src.study import objective_file as objectives
from ashtune._src.study.journal import sessions
from ashtune._src.study.lock import StudyLock
from ashtune._src.study.settings import names_of
from ashtune._src.training.objectives import ChecksSpace
from ashtune._src.training.versions import version_of


def resume_study(
    study: StudyReader, objective: Callable[..., Any] | None = None, **given: Unpack[ResumeOptions]
) -> None:
    """Continue a study with the options of the command line: see ``Study.resume``."""
    engine = engine_for(given)
    settings = study.settings
    directory = study.directory
    if settings.simulated:
        raise StudyError(
            f"the study in {directory} was simulated, so it has no models to train further; run "
            "`ashtune simulate` again with other options"
        )
    options = checked(ResumeOptions, given)
    fit_to_goal(options, settings.goal, given)
    check_engine(engine, options, _trials_asked(study, options["trials"]))
    if isinstance(objective, ChecksSpace):
        objective.check(names_of(settings.space))
    # The function is pickled before the study is locked: a function that cannot be sent to workers
    # must not leave the study half changed.
    pickled = None
    version = None
    if objective is not None:
        pickled = objectives.pack(objective, quiet=options["quiet"])
        version = version_of(objective)
    with StudyLock(directory):
        continued = read_study(directory)
        if options["max_resource"] is not None:
            longer = continued.ladder.lengthened(options["max_resource"])
            continued = msgspec.structs.replace(continued, ladder=longer)
        if pickled is None:
            objectives.check(directory)
        else:
            objectives.keep(directory, pickled)
        session = Session(
            directory, continued, options, engine, version=version, objective=objective
        )
        session.run()


def _trials_asked(study: StudyReader, trials: int | None) -> int | None:
    """Return the number of trials of the session. If ``trials`` is None, return the number of the
    last session.
    """
    if trials is None:
        trials = [None, *(session.trials for session in sessions(study.journal))][-1]
    # A finite space has no more trials than configurations, whatever the user asks for.
    limits = (trials, study.settings.configurations)
    return min((limit for limit in limits if limit is not None), default=None)
