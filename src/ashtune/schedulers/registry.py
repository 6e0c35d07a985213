"""The schedulers that can be named."""

from ashtune.core.parts import Registry
from ashtune.schedulers.adaptive import AdaptiveAsh
from ashtune.schedulers.ash import Ash
from ashtune.schedulers.full import FullTraining
from ashtune.schedulers.hyperband import AsyncHyperband, Hyperband
from ashtune.schedulers.pasha import Pasha
from ashtune.schedulers.protocol import Scheduler
from ashtune.schedulers.sh import SuccessiveHalving
from ashtune.schedulers.stopping import StoppingAsh

SCHEDULERS: Registry[Scheduler] = Registry(
    "scheduler",
    Scheduler,
    (
        Ash,
        AdaptiveAsh,
        Pasha,
        StoppingAsh,
        SuccessiveHalving,
        Hyperband,
        AsyncHyperband,
        FullTraining,
    ),
    group="ashtune.schedulers",
)
