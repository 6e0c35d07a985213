"""The workers of a session: how many there are, and what their engine is told."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ashtune.core.errors import SettingsError
from ashtune.core.jobs import WorkerId
from ashtune.core.plaintext import visible
from ashtune.engines.options import RunOptions
from ashtune.engines.protocol import Brief, Engine, Workers
from ashtune.study import objective_file as objectives
from ashtune.study.configurations import Configurations
from ashtune.study.settings import Settings
from ashtune.training.fused.protocol import PROGRAMS_FOLDER
from ashtune.training.messages import Setup


def worker_count(engine: Engine, wanted: int | None, trials: int | None) -> int:
    """Return how many workers a session has: never more than it has trials."""
    count = engine.worker_count(wanted)
    return count if trials is None else max(1, min(count, trials))


def check_engine(engine: Engine, options: RunOptions, trials: int | None) -> None:
    """Refuse workers that could not be had, before a study is created for them.

    Raises:
        SettingsError: If the engine has no such workers, or options of theirs do not fit together.
    """
    if options["trial_timeout"] is not None and not options["isolate"]:
        raise SettingsError(
            f"trial_timeout={options['trial_timeout']:g} ends a worker process and isolate=False trains without; "
            "give one of them"
        )
    engine.check(options, worker_count(engine, options["workers"], trials))


def open_engine(
    engine: Engine,
    directory: Path,
    settings: Settings,
    configurations: Configurations,
    options: RunOptions,
    *,
    workers: int,
    trials: int | None,
    first_worker: int,
    began: float,
    max_resource: int,
    objective: Callable[..., Any] | None = None,
) -> Workers:
    """Return the workers of a session.

    Args:
        options: What the session runs on.
        trials: How many the session has, so that no worker asks for more than its part; None for no end.
        began: The time at the start of the session, in seconds since the study began.
        objective: The training function, where this process was given it.

    Raises:
        StudyError: If none can be started.
        SettingsError: If there are too few GPUs.
    """
    shutil.rmtree(directory / PROGRAMS_FOLDER, ignore_errors=True)  # what an earlier session compiled may be stale
    setup = Setup(
        WorkerId(first_worker),
        str((directory / objectives.NAME).resolve()),
        settings.goal,
        str(directory.resolve()),
        settings.seed,
        [entry for entry in sys.path if isinstance(entry, str) and visible(entry) == entry],
        profile=options["profile"],
        places=0 if trials is None else -(-trials // workers),
        max_resource=max_resource,
    )
    brief = Brief(
        setup=setup,
        configurations=configurations,
        created=settings.created,
        options=options,
        workers=workers,
        began=began,
        objective=objective,
    )
    return engine.open(brief)
