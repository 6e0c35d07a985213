"""Which engine a study runs on: the one that was given, or what this process was started for.

An installed package adds an engine by an entry point of the group ``ashtune.engines``: its name, and a class without
arguments that is an :class:`~ashtune.engines.protocol.Engine`.
"""

from ashtune.core.errors import SettingsError
from ashtune.core.parts import entry_points
from ashtune.core.plaintext import error_line, shown
from ashtune.engines.local.workers import LocalEngine
from ashtune.engines.mpi import start
from ashtune.engines.mpi.driver import MpiEngine
from ashtune.engines.protocol import AUTO, Engine
from ashtune.engines.threads.workers import ThreadEngine

GROUP = "ashtune.engines"
BUILT_IN = (AUTO, LocalEngine.name, ThreadEngine.name, MpiEngine.name)


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
            return LocalEngine() if engine == LocalEngine.name else ThreadEngine()
        case str():
            return _installed(engine)
        case type():
            raise SettingsError(f"engine={shown(engine)} is a class; give an engine, as {engine.__name__}()")
        case _ if isinstance(engine, Engine):
            return engine
        case _:
            raise SettingsError(f"engine={shown(engine)} is no engine; give one of {', '.join(names())}")


def names() -> list[str]:
    """Return the names that can be given, those of installed packages last."""
    return [*BUILT_IN, *sorted(entry.name for entry in entry_points(GROUP) if entry.name not in BUILT_IN)]


def _installed(name: str) -> Engine:
    entry = next((entry for entry in entry_points(GROUP) if entry.name == name), None)
    if entry is None:
        raise SettingsError(f"engine={shown(name)} is unknown; give one of {', '.join(names())}")
    try:
        made = entry.load()()
    except Exception as error:  # noqa: BLE001 - whatever importing another's module raises
        raise SettingsError(
            f"engine {shown(name)} cannot be made: {error_line(error)}; mend the package that it is from, or give "
            f"one of {', '.join(BUILT_IN)}"
        ) from None
    if not isinstance(made, Engine):
        raise SettingsError(
            f"engine {shown(name)} has not all methods of ashtune.engines.protocol.Engine; mend the package that it is "
            f"from, or give one of {', '.join(BUILT_IN)}"
        )
    return made
