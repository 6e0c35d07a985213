"""The callbacks of a trial for Trainers of ``pytorch_lightning``.

Processes that Lightning starts find them here, by name.
"""

from ashtune.integrations import ExtraMissing

try:
    from pytorch_lightning.callbacks import Callback, Checkpoint
    from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher
except ImportError:
    raise ExtraMissing("pytorch_lightning", "lightning") from None

from ashtune.integrations.lightning import callbacks

MultiProcessingLauncher = _MultiProcessingLauncher
"""Starts the processes of ``ddp_spawn``, ``ddp_fork`` and ``ddp_notebook`` from this one."""


class First(callbacks.First, Callback):  # type: ignore[misc]  # Lightning is not looked into
    """Runs before all other callbacks."""


class Last(callbacks.Last, Checkpoint):  # type: ignore[misc]  # Lightning is not looked into
    """Runs after all other callbacks, and after the module, as only a checkpoint does."""
