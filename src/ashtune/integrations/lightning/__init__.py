"""PyTorch Lightning in a training function: :func:`fit` in place of ``trainer.fit``.

Trainers of both import roots, ``lightning.pytorch`` and ``pytorch_lightning``. Neither is imported here: whoever has a
Trainer has imported its own.
"""

from ashtune.integrations.lightning.fitting import fit

__all__ = ["fit"]
