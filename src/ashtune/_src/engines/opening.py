"""The message that opens a study at a rank of an MPI job, or at a host of a cluster."""

from pathlib import Path

import msgspec
from msgspec.structs import replace

from ashtune._src.engines.engine_protocol import Brief
from ashtune._src.engines.session_options import FILES, NO_LIMITS, Limits
from ashtune._src.study.remote import URL_FILE
from ashtune._src.training.worker_messages import Setup

PROGRESS_A_SECOND = 200
"""The maximum number of reports between rungs per second that all workers together send to the
driver.
"""


class Opening(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """A message which tells a rank or a host that a study starts.

    ``setup`` has the number of the first worker. ``created`` is the creation time of the study.

    Only ranks use the other fields. ``edition`` is the number of this study within the MPI launch.
    Each later worker of a rank has a number that is higher by ``step``. A rank compares ``created``
    to check that it sees the right directory. If ``sends_files``, files are sent in messages,
    because the ranks may share no directory. ``group`` has the ranks that train the same trials as
    this rank; the first rank in ``group`` is the worker. If this rank trains alone, ``group`` is
    empty.
    """

    edition: int = 0
    setup: Setup
    step: int = 1
    created: float
    threads: int | None = None
    gpus_per_worker: float | None = None
    limits: Limits = NO_LIMITS
    is_isolated: bool = True
    sends_files: bool = False
    group: list[int] = []

    def among(self, workers: int) -> "Opening":
        """Return the message with a longer time between two progress reports of a worker if there
        are many workers.
        """
        seconds = max(self.setup.progress_seconds, workers / PROGRESS_A_SECOND)
        return replace(self, setup=replace(self.setup, progress_seconds=seconds))

    def seen_in(self, directory: Path) -> "Opening":
        """Return the message with the paths of a rank or host that has the study's files in
        ``directory``.
        """
        objective = directory / Path(self.setup.objective).name
        setup = replace(self.setup, study=str(directory), objective=str(objective))
        return replace(self, setup=setup)


def opening_of(brief: Brief) -> Opening:
    """Return the message that opens the study of a brief."""
    options = brief.options
    has_store = (Path(brief.setup.study) / URL_FILE).exists()
    return Opening(
        setup=brief.setup,
        created=brief.created,
        threads=options["threads"],
        gpus_per_worker=options["gpus_per_worker"],
        limits=Limits.of(options),
        is_isolated=options["isolate"] and options["ranks_per_trial"] == 1,
        sends_files=options["ranks_per_trial"] == 1
        and (options["checkpoints"] != FILES or has_store),
    )
