"""Which engine a study runs on: the one that was given, or what this process was started for.

An installed package adds an engine by an entry point of the group ``ashtune.engines``: its name, and a class without
arguments that is an :class:`~ashtune.engines.protocol.Engine`.
"""

from ashtune.core.errors import SettingsError
from ashtune.core.parts import Names
from ashtune.core.plaintext import shown
from ashtune.engines.local.workers import LocalEngine
from ashtune.engines.mpi import start
from ashtune.engines.mpi.driver import MpiEngine
from ashtune.engines.protocol import AUTO, Engine
from ashtune.engines.threads import ThreadEngine

ENGINES: Names[Engine] = Names(
    "engine",
    {"local": LocalEngine, "threads": ThreadEngine, "mpi": MpiEngine, AUTO: LocalEngine},
    group="ashtune.engines",
)


def choose_engine(engine: str | Engine = AUTO, *, workers_given: bool = False) -> Engine:
    """Return the engine to run on. Under MPI, ranks other than 0 do not return: they serve until rank 0 has ended.

    Args:
        engine: A name, an engine, or "auto": the ranks of an MPI launch, else processes on this machine.
        workers_given: Whether the user named a number of workers, which in a SLURM allocation means: on this node.

    Raises:
        SettingsError: If there is no such engine.
        StudyError: If this process is one of several that would each run the whole study, or MPI cannot be used.
    """
    match engine:
        case "auto" | "mpi":
            world = start.start_mpi(workers_given=workers_given and engine == AUTO)
            if world is not None:
                return MpiEngine(world)
            if engine == AUTO:
                return LocalEngine()
            raise SettingsError("engine='mpi' needs several ranks; start with `mpiexec -n 4 python ...` or srun")
        case "local" | "threads":
            start.refuse_several(f"engine={engine!r}")
            return _named(engine)
        case "simulated":
            raise SettingsError(
                "engine='simulated' trains nothing, so it cannot tune; try `ashtune simulate`, or give "
                "engine=SimulatedEngine(...) what its trials report"
            )
        case str():
            return _named(engine)
        case type():
            raise SettingsError(f"engine={shown(engine)} is a class; give an engine, as {engine.__name__}()")
        case _ if isinstance(engine, Engine):
            return engine
        case _:
            raise SettingsError(f"engine={shown(engine)} is no engine; give one of {', '.join(ENGINES.names)}")


def _named(name: str) -> Engine:
    made = ENGINES.made(name)
    if isinstance(made, Engine):
        return made
    raise SettingsError(
        f"engine {shown(name)} has not all methods of ashtune.engines.protocol.Engine; mend the package that it is "
        f"from, or give one of {', '.join(ENGINES.names)}"
    )
