"""``ashtune worker DIR``: runs workers for the driver of a study."""

# Decision 73 (docs/decisions/0073-workers-that-come-and-go.md). A worker needs the address and the
# keys of its driver, which the driver writes into rendezvous.json. Without a shared file system, a
# host gets the contents of this file in an environment variable, which a batch system can set.

import argparse
import math
import os
import signal
import time
from pathlib import Path
from typing import Annotated, TypedDict

import msgspec

from ashtune._src.cli import flags as options
from ashtune._src.core.errors import SettingsError, StudyError
from ashtune._src.core.option import Flag, Option, Time
from ashtune._src.engines.cluster.cluster_driver import check_installed
from ashtune._src.engines.session_options import GpusPerWorker, check_workers
from ashtune._src.engines.stop import StopSwitch, time_in_slurm
from ashtune._src.study.folders import ScratchDirectory

RENDEZVOUS = "ASHTUNE_WORKER"
"""The environment variable with the contents of a file ``rendezvous.json``, for machines that
cannot get the file.
"""


class HostOptions(TypedDict, total=False):
    """workers.

    Args:
        wait: Wait until DIR exists.
        slots: The number of workers.
        gpus_per_worker: GPUs that each worker sees (default: the driver's setting).
        lifetime: Leave after this time, such as 55m.
    """

    wait: Flag
    slots: Annotated[int, Option(default=1, check=check_workers, parse=int)]
    gpus_per_worker: GpusPerWorker
    lifetime: Time


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        'The study\'s driver runs with `--engine cluster`, or tune(engine="cluster"). Workers run '
        "the training function in DIR: join only studies whose origin you trust. After SIGTERM or "
        "Ctrl-C, and before a SLURM job ends, the workers save their trials at the next epoch, and "
        "then leave. A second Ctrl-C ends the workers immediately. Instead of giving DIR, set the "
        f"environment variable {RENDEZVOUS} to the contents of the file DIR/rendezvous.json."
    )
    number = "?" if RENDEZVOUS in os.environ else None
    parser.add_argument(
        "directory",
        metavar="DIR",
        nargs=number,
        help="the path of the study's directory on this machine",
    )
    options.add(parser, HostOptions)


def main(given: argparse.Namespace) -> int:
    """Run workers until the study ends or the lifetime is over. Return 143 after SIGTERM, as
    programs do.
    """
    # First: the modules below import zmq, which is an extra, and would fail with a traceback.
    check_installed()
    from ashtune._src.engines.cluster.executors import PATIENCE_SECONDS
    from ashtune._src.engines.cluster.host import Slots, serve
    from ashtune._src.engines.cluster.rendezvous import Rendezvous

    options.complete(HostOptions, given)
    lifetime = given.lifetime or math.inf
    in_slurm, _ = time_in_slurm(os.environ, time.time()) or (math.inf, 0.0)
    slots = Slots(number=given.slots, gpus_per_worker=given.gpus_per_worker)
    # Training functions must not see the keys, because the keys allow a connection to the driver.
    text = os.environ.pop(RENDEZVOUS, "")
    scratch = ScratchDirectory()
    # SLURM kills a job at its time limit. If the worker leaves before this limit, its trials can be
    # saved, and the driver assigns them to other workers.
    with StopSwitch(time.monotonic() + min(lifetime, in_slurm), grace=math.inf) as stop:
        if given.directory is not None:
            study = Path(given.directory).resolve()
            if not (given.wait or os.path.isdir(study)):  # noqa: PTH112 - that of Path may raise
                raise StudyError(
                    f"{study}: no such folder; give the study's directory, or add --wait"
                )
            serve(study, slots, stop)
        else:
            try:
                msgspec.json.decode(text, type=Rendezvous).write(scratch.folder())
                # The next driver has other keys, so this worker waits for the next driver only for
                # a while.
                renewal = f"set {RENDEZVOUS} to the contents of its new rendezvous.json"
                serve(scratch.folder(), slots, stop, patience=PATIENCE_SECONDS, renewal=renewal)
            except msgspec.MsgspecError as error:
                raise SettingsError(
                    f"{RENDEZVOUS} does not have the contents of a rendezvous.json: {error}"
                ) from None
            finally:
                scratch.delete()
    if signal.SIGTERM in stop.signals:
        return 128 + signal.SIGTERM  # as a shell reports it
    return 0
