"""Choose the engine of a study and the number of the study's workers.

An installed package adds an engine by an entry point of the group ``ashtune.engines``. The entry
point gives the engine's name, and a class without arguments that implements
:class:`~ashtune.engines.Engine`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from ashtune._src.core.checks import refuse
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.parts import Names
from ashtune._src.core.plaintext import one_line, shown
from ashtune._src.engines.engine_protocol import AUTO, Engine
from ashtune._src.engines.local.local_workers import LocalEngine
from ashtune._src.engines.mpi import start
from ashtune._src.engines.mpi.mpi_driver import MpiEngine
from ashtune._src.engines.session_options import RunOptions
from ashtune._src.engines.threads import ThreadEngine
from ashtune._src.engines.worker import guardian

ENGINES: Names[Engine] = Names(
    "engine",
    {
        "local": LocalEngine,
        "threads": ThreadEngine,
        "mpi": MpiEngine,
        "cluster": "ashtune:Cluster",
        AUTO: LocalEngine,
    },
    group="ashtune.engines",
)


def choose_engine(engine: str | Engine = AUTO, *, workers_given: bool = False) -> Engine:
    """Return the engine of a study. Under MPI, only rank 0 returns. All other ranks work for rank 0
    until rank 0 ends.

    Args:
        engine: A name or an engine. "auto" means the ranks of an MPI launch or, without MPI,
            processes on this machine.
        workers_given: Whether the user gave a number of workers. If so, in a SLURM allocation, only
            this node is used.

    Raises:
        SettingsError: If there is no such engine.
        StudyError: If this process is one of several processes that would each run the whole study,
            or if MPI cannot be used.
    """
    if engine in ("auto", "mpi"):
        world = start.start_mpi(workers_given=workers_given and engine == AUTO)
        if world is not None:
            return MpiEngine(world)
        if engine == "mpi":
            raise SettingsError(
                "engine='mpi' needs several ranks; start with `mpiexec -n 4 python ...` or srun"
            )
    elif engine in ("local", "threads"):
        start.refuse_several(f"engine={engine!r}")
    found = _engine_named(engine) if isinstance(engine, str) else engine
    if isinstance(found, type) or not isinstance(found, Engine):
        raise SettingsError(
            f"engine={shown(engine)} is not an engine; give an object with all methods of "
            f"ashtune.engines.Engine, or one of {', '.join(ENGINES.names)}"
        )
    return found


def engine_for(given: Mapping[str, Any]) -> Engine:
    """Return the engine that the user's options choose, as :func:`choose_engine` does."""
    return choose_engine(given.get("engine", AUTO), workers_given=given.get("workers") is not None)


def _engine_named(text: str) -> Engine:
    """Return the engine that a text names, such as "local". The text may also contain options of
    the engine, as in "cluster:interface=ib0".
    """
    name, *options = text.split(":")
    given = dict(option.partition("=")[::2] for option in options)
    try:
        is_well_formed = len(given) == len(options) and all("=" in option for option in options)
        if name == "mpi" or not is_well_formed or given.keys() & RunOptions.__annotations__.keys():
            raise msgspec.ValidationError(
                "give only options of this engine, each once, as NAME=VALUE"
            )
        engine: Engine = ENGINES.make(name)
        if not given:
            return engine
        return msgspec.convert(given, type(engine), strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"engine={shown(text)} has an option that does not fit: {one_line(str(error))}"
        ) from None


def worker_count(engine: Engine, options: RunOptions, trials: int | None) -> int:
    """Return the number of workers of a session, which is at most the number of the session's
    trials.
    """
    wanted = options.get("workers")
    count = engine.worker_count(wanted)
    if isinstance(engine, MpiEngine):
        count = min(count, engine.worker_count(None) // options.get("ranks_per_trial", 1))
    if wanted is None and isinstance(engine, LocalEngine):  # one core for each process
        count = max(1, count // options.get("processes_per_trial", 1))
    return count if trials is None else min(count, max(1, trials))


def check_engine(engine: Engine, options: RunOptions, trials: int | None) -> None:
    """Before a study is created, raise SettingsError if the engine cannot provide the wanted
    workers.

    Raises:
        SettingsError: If the engine cannot provide these workers, or if two options contradict each
            other.
    """
    limits = [name for name in ("trial_timeout", "memory_limit") if options[name] is not None]
    ranks = options["ranks_per_trial"]
    other = f"ranks_per_trial={ranks}" if options["isolate"] else "isolate=False"
    refuse({
        f"{', '.join(limits)} cannot be combined with {other}, which starts no worker process to "
        "limit; give one of them": (
            limits and (not options["isolate"] or ranks > 1)
        ),
        "memory_limit= needs Linux, which shows the memory of processes in /proc; leave it out": (
            options["memory_limit"] is not None and not guardian.is_available()
        ),
    })  # fmt: skip
    engine.check(options, worker_count(engine, options, trials))
