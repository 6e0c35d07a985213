"""The workers of a session: processes on this machine, or the other ranks of an MPI job."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from ashtune import objectives
from ashtune.engines.local.workers import LocalWorkers
from ashtune.engines.mpi.driver import MpiWorkers
from ashtune.engines.mpi.messages import Opening
from ashtune.engines.mpi.world import World
from ashtune.engines.protocol import Workers
from ashtune.engines.resources.cores import available_cores
from ashtune.engines.resources.shares import claim, environment_of, gpus_present
from ashtune.errors import SettingsError
from ashtune.jobs import WorkerId
from ashtune.limits import Means
from ashtune.plaintext import visible
from ashtune.study.configurations import Configurations
from ashtune.study.journal import Settings
from ashtune.training.fused.protocol import PROGRAMS_FOLDER as PROGRAMS
from ashtune.training.messages import Setup

MOST_LOCAL = 1_024
PER_CORE = 16


def head_count(means: Means, world: World | None, trials: int | None) -> int:
    """Return how many workers a session has: never more than it has trials."""
    there_are = available_cores() if world is None else len(world.ranks)
    count = means.workers or there_are
    if world is not None:
        count = min(count, there_are)
    return count if trials is None else max(1, min(count, trials))


def check_means(means: Means, world: World | None, trials: int | None) -> None:
    """Refuse workers that could not be had, before a study is created for them.

    Raises:
        SettingsError: If there are too many for this machine, or too few GPUs.
    """
    if world is not None:
        return  # each node knows its own
    count = head_count(means, world, trials)
    most = max(MOST_LOCAL, PER_CORE * available_cores())
    if count > most:
        raise SettingsError(f"workers={count:,} are too many processes for this machine; give at most {most:,}")
    if means.gpus_per_worker is not None:
        _environments(means, count)


def hire(
    directory: Path,
    settings: Settings,
    configurations: Configurations,
    means: Means,
    world: World | None,
    *,
    workers: int,
    trials: int | None,
    first_worker: int,
    began: float,
) -> Workers:
    """Return the workers of a session.

    Args:
        directory: The study's directory.
        settings: What the study is.
        configurations: Trial -> configuration.
        means: What it runs on.
        world: The ranks of this launch, None if this process is alone.
        workers: How many.
        trials: How many the session has, so that no worker asks for more than its part; None for no end.
        first_worker: The number of the first.
        began: The time at the start of the session, in seconds since the study began.

    Raises:
        StudyError: If none can be started.
        SettingsError: If there are too few GPUs.
    """
    shutil.rmtree(directory / PROGRAMS, ignore_errors=True)  # what an earlier session compiled may be stale
    setup = Setup(
        WorkerId(first_worker),
        str((directory / objectives.NAME).resolve()),
        settings.goal,
        str(directory.resolve()),
        settings.seed,
        [entry for entry in sys.path if isinstance(entry, str) and visible(entry) == entry],
        profile=means.profile,
        places=0 if trials is None else -(-trials // workers),
    )
    if world is None:
        return LocalWorkers(
            setup,
            configurations,
            environments=_environments(means, workers),
            trial_timeout=means.trial_timeout,
            began=began,
        )
    opening = Opening(
        setup=setup,
        created=settings.created,
        threads=means.threads,
        gpus_per_worker=means.gpus_per_worker,
        trial_timeout=means.trial_timeout,
        is_isolated=means.isolate,
        carries_checkpoints=means.checkpoints == "messages",
    )
    return MpiWorkers(world, opening, configurations, workers=workers, began=began)


def _environments(means: Means, workers: int) -> list[Mapping[str, str]]:
    mine = claim(os.environ)
    present = None if means.gpus_per_worker is None else gpus_present()
    return [
        environment_of(
            place,
            [mine] * workers,
            threads=means.threads,
            gpus_per_worker=means.gpus_per_worker,
            inherited=os.environ,
            gpus_present=present,
        )
        for place in range(workers)
    ]
