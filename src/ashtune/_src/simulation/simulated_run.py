"""Runs a study in virtual time: loop, controller and scheduler are real, but the workers are
simulated.
"""

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ashtune._src.core.confirm import Confirm
from ashtune._src.core.errors import SettingsError, instead_of_os_error
from ashtune._src.core.events import Event, SessionStarted
from ashtune._src.core.jobs import Goal, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.option import checked
from ashtune._src.core.version import __version__
from ashtune._src.engines.engine_protocol import Brief, Engine
from ashtune._src.engines.loop import Drive, Ledger
from ashtune._src.engines.session_options import RunOptions
from ashtune._src.engines.stop import StopSwitch
from ashtune._src.schedulers.scheduler_protocol import Machine, Scheduler
from ashtune._src.search.grid import Grid
from ashtune._src.space.space import Space
from ashtune._src.study import journal as journals
from ashtune._src.study.configurations import Configurations
from ashtune._src.study.controller import Controller
from ashtune._src.study.disk import FOLDER_FOR_THE_OWNER
from ashtune._src.study.factory import new_study
from ashtune._src.study.journal_writer import Journal, create
from ashtune._src.training.worker_messages import Setup

LOSS = Goal("loss", "min")
# Observers need a tick from time to time. Virtual time has no natural interval for ticks, so a run
# with a given end has a thousand ticks, and a run without an end has none.
TICKS = 1_000


def simulate(
    scheduler: Machine,
    engine: Engine,
    observers: Sequence[Observer],
    *,
    trials: int | None = None,
    until: float = math.inf,
    goal: Goal = LOSS,
    ledger: Ledger | None = None,
    configurations: Configurations | None = None,
    confirm: Confirm | None = None,
) -> float:
    """Run a study with simulated workers in virtual time.

    Args:
        scheduler: Decides which trial trains next and how long. The scheduler object cannot be used
            for another run.
        engine: A ``SimulatedEngine``. Its training must report the goal's metric.
        observers: Receive all events, as in a real study.
        trials: The number of trials to start; None for no limit, if ``until`` is given.
        until: The simulated time at which the study stops, in seconds. Jobs that are still running
            then have no result.
        confirm: How many configurations to confirm after the search, and how often each of them is
            trained.
        ledger: The object to which events are written, such as a journal. By default, events are
            not written.
        configurations: The configurations of the trials. By default, the only hyperparameter is the
            trial number.

    Returns:
        The simulated time at which the study ended.

    Raises:
        SettingsError: If the study would never end.
    """
    if trials is None and math.isinf(until):
        raise SettingsError("the simulation would never end; give trials= or until=")
    # The controller, the loop and the scheduler are the same as in a real study. A simpler model of
    # them would have its own rules, and its predictions would not be valid for the real rules.
    controller = Controller(scheduler, goal)
    session = SessionStarted(
        0.0,
        unix_time=0.0,
        version=__version__,
        host="simulated",
        pid=0,
        trials=trials,
        confirm=confirm,
    )
    followed = controller.handle(session)
    configurations = configurations or Configurations(_Numbered())
    setup = Setup(WorkerId(0), objective="", goal=goal, study="", seed=0, path=[])
    count = engine.worker_count(None)
    workers = engine.open(
        Brief(
            setup=setup,
            configurations=configurations,
            created=0.0,
            options=checked(RunOptions, {}),
            workers=count,
        )
    )
    drive = Drive(
        controller,
        workers,
        ledger or _NoJournal(),
        configurations,
        stop=StopSwitch(until, grace=0.0),
        observers=observers,
        tick_seconds=until / TICKS,
    )
    drive.run([(session, followed)])
    return workers.now()


@contextmanager
def new_journal(
    directory: Path,
    name: str,
    goal: Goal,
    scheduler: Scheduler,
    ladder: Ladder,
    *,
    trials: int,
    seed: int,
    resource: str = "epoch",
) -> Iterator[Journal]:
    """Create a study's directory with a new journal, and open the journal in a context. If the code
    in the context raises a SettingsError, delete the directory.

    The study's only hyperparameter is the trial number. The study can be read like any other study,
    but not resumed.

    Raises:
        SettingsError: If the directory cannot be created, or there are fewer than two trials.
    """
    if trials < 2:
        raise SettingsError(
            f"trials={trials}: a simulated study needs at least 2 trials; give --trials 2 or more"
        )
    settings = new_study(
        name=name,
        goal=goal,
        scheduler=scheduler,
        ladder=ladder,
        space=Space.parse({"trial": (0, trials - 1)}),
        search=Grid(),
        seed=seed,
        resource=resource,
        simulated=True,
    ).settings
    with instead_of_os_error(SettingsError, directory, "give a directory that can be made"):
        directory.mkdir(FOLDER_FOR_THE_OWNER, parents=True)
    create(directory / journals.NAME, settings)
    try:
        with Journal(directory / journals.NAME) as journal:
            yield journal
    except SettingsError:
        shutil.rmtree(directory)
        raise


class _Numbered:
    """A design whose only hyperparameter is the trial number."""

    size = None

    def configuration(self, trial: int) -> dict[str, Any]:
        return {"trial": trial}

    def find(self, configuration: Mapping[str, object]) -> int | None:
        """Return None, because this design has no end."""
        return None


class _NoJournal:
    def add(self, *events: Event) -> None:
        """Ignore the events."""

    def flush(self) -> None:
        """Do nothing."""
