"""What the modules of a session share: the study, the options, and the services of the machine."""

import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.analysis.study_reader import Outcome, StudyReader
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.jobs import TrialId
from ashtune._src.driver.environment import environment
from ashtune._src.driver.gain_rate import Enough
from ashtune._src.driver.proposer_process import ProposerProcess
from ashtune._src.driver.study_options import SessionOptions
from ashtune._src.engines.engine_protocol import Brief, Engine, Workers
from ashtune._src.schedulers.scheduler_registry import SchedulerView
from ashtune._src.search.search_protocol import Proposer
from ashtune._src.study.disk import DISK, Disk
from ashtune._src.study.factory import BuiltStudy
from ashtune._src.study.journal_writer import Journal


class Surroundings(msgspec.Struct, frozen=True):
    """The services that a session uses: disk, clock (seconds since 1970), engine and others. Tests
    replace them.
    """

    disk: Disk = DISK
    unix_time: Callable[[], float] = time.time
    environment: Callable[[], dict[str, str]] = environment
    open_journal: Callable[[Path], Journal] = Journal
    open_engine: Callable[[Engine, Brief], Workers] = lambda engine, brief: engine.open(brief)
    open_proposer: Callable[..., Proposer] = ProposerProcess


THIS_MACHINE = Surroundings()


class SessionContext(msgspec.Struct, frozen=True, kw_only=True):
    """The data that :class:`Session`, its services and its last messages share.

    Args:
        directory: The study's absolute directory. A training function or a notebook may change the
            working directory.
        shown: The directory as the user wrote it, for messages.
        objective: The training function; None to use the function in the directory.
        tally: Counts the results of all sessions.
        enough: Decides when further results are not worth their time.
    """

    directory: Path
    shown: str
    study: BuiltStudy
    options: SessionOptions
    engine: Engine
    objective: Callable[..., Any] | None
    surroundings: Surroundings
    tally: Tally
    enough: Enough


class DrivenStudy(StudyReader):
    """The view of a running study for the display and the summary.

    The view always has the present values. Nothing is read from the journal, which the session
    still writes.

    Args:
        workers: The wanted number of workers; 0 if unknown.
        deadline: The latest end of the study, in seconds since its beginning.
        outcome: The study's outcome; None while it runs.
    """

    def __init__(
        self,
        context: SessionContext,
        workers: int = 0,
        deadline: float | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        study = context.study
        super().__init__(
            Path(context.shown),
            settings=study.settings,
            ladder=study.ladder,
            tally=context.tally,
            outcome=outcome,
        )
        self._study = study
        self.workers = workers
        self.deadline = deadline

    @cached_property
    def scheduler(self) -> SchedulerView:
        return self._study.view()

    def configuration(self, trial: TrialId) -> Mapping[str, Any]:
        return self._study.configurations[trial]

    @property
    def notes(self) -> str:
        return "; ".join(filter(None, [self._study.controller.notes(), self._study.caution]))

    @property
    def waited(self) -> float:
        proposals = self._study.configurations.proposals
        if proposals is None:
            return 0.0
        return proposals.waited_at_first + proposals.waited

    @property
    def checkpoint_bytes(self) -> int:
        return self._study.controller.checkpoints.total_bytes
