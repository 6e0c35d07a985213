"""What the modules of a session share: the study, the options, and the services of the machine."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.analysis.study_reader import StudyInfo
from ashtune._src.analysis.tally import Tally
from ashtune._src.driver.environment import environment
from ashtune._src.driver.gain_rate import Enough
from ashtune._src.driver.proposer_process import ProposerProcess
from ashtune._src.driver.study_options import SessionOptions
from ashtune._src.engines.engine_protocol import Brief, Engine, Workers
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
    """What :class:`Session`, its services and its last messages know of the session.

    Args:
        directory: The study's absolute directory. A training function or a notebook may change the
            working directory.
        shown: The directory as the user wrote it, for messages.
        objective: The training function; None to use the function in the directory.
        tally: Counts the results of all sessions.
        enough: Knows when further results are not worth their time.
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

    def info(self, workers: int = 0, deadline: float | None = None) -> StudyInfo:
        """Return what views of the running study need."""
        study = self.study
        settings = study.settings
        controller = study.controller
        proposals = study.configurations.proposals
        return StudyInfo(
            name=settings.name,
            scheduler=study.view(),
            learns=study.search.has_proposer,
            directory=self.shown,
            configuration=study.configurations.__getitem__,
            checkpoint_bytes=lambda: controller.checkpoints.total_bytes,
            notes=lambda: "; ".join(filter(None, [controller.notes(), study.caution])),
            waited=lambda: (
                0.0 if proposals is None else proposals.waited_at_first + proposals.waited
            ),
            workers=workers,
            unit=settings.resource,
            deadline=deadline,
        )
