"""The engines of ashtune, and the classes from which you build your own engine.

An engine decides where workers run. How to add an engine: ``docs/how-to/add-an-engine.md``.
"""

from ashtune._src.engines.distributed import (
    Closed,
    Content,
    DistributedWorkers,
    Leaving,
    Link,
    Malformed,
    Opened,
    Unable,
)
from ashtune._src.engines.engine_protocol import Brief, Engine, Resizable, Workers
from ashtune._src.engines.session_options import MPI, Auto, Local, RunOptions
from ashtune._src.training.objectives import load_objective
from ashtune._src.training.runner import runner_of
from ashtune._src.training.worker_messages import (
    Assignment,
    Channel,
    FromWorker,
    Mailbox,
    Setup,
    Shutdown,
    ToWorker,
)

__all__ = [
    "MPI",
    "Assignment",
    "Auto",
    "Brief",
    "Channel",
    "Closed",
    "Content",
    "DistributedWorkers",
    "Engine",
    "FromWorker",
    "Leaving",
    "Link",
    "Local",
    "Mailbox",
    "Malformed",
    "Opened",
    "Resizable",
    "RunOptions",
    "Setup",
    "Shutdown",
    "ToWorker",
    "Unable",
    "Workers",
    "load_objective",
    "runner_of",
]
