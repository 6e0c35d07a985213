"""``ashtune.fused_torch``: a training function made of a PyTorch module."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any, Literal

from ashtune._src.core.errors import SettingsError
from ashtune._src.training.fused.fused_objective import FusedObjective


def cross_entropy(outputs: Any, labels: Any) -> Any:
    """Return the mean cross-entropy in nats of logits (m, classes) and labels (m,) of any integer
    type.
    """
    from torch.nn import functional

    return functional.cross_entropy(
        outputs, labels if labels.is_floating_point() else labels.long()
    )


def loss_and_accuracy(outputs: Any, labels: Any) -> dict[str, Any]:
    """Return "loss", the mean cross-entropy, and "accuracy", the share of labels whose logit is the
    largest.
    """
    right = outputs.argmax(dim=1) == labels
    return {"loss": cross_entropy(outputs, labels), "accuracy": right.to(outputs.dtype).mean()}


def fused_torch(
    module: Callable[[Mapping[str, Any]], Any],
    *,
    train: tuple[Any, ...],
    validation: tuple[Any, ...],
    batch_size: int | str,
    loss: Callable[..., Any] = cross_entropy,
    evaluate: Callable[..., Mapping[str, Any]] | None = None,
    optimizer: Literal["sgd", "adam"] = "sgd",
    static: Sequence[str] = (),
    seed: int = 0,
    lanes: int | None = None,
) -> FusedObjective:
    """Return a training function for :func:`~ashtune.tune`, which trains a small
    ``torch.nn.Module`` on the CPU.

    Trials with the same static hyperparameters and the same rung are trained side by side, as lanes
    of stacked weights (``torch.func.vmap``). All trials begin with the same weights and have, in
    each epoch, the same batches in the same order and the same dropout, so a trial's result does
    not depend on other trials.

    Before training, each module is checked on the first batches and the validation data: a lane
    must have the same results as the module alone. If a lane has other results, the trials of the
    module fail, with a message that names the layer and the reason. The check refuses layers
    without a rule for ``vmap`` (GRU, LSTM, RReLU, BatchNorm1d with ``momentum=None``), lazy layers,
    weights that are not on the CPU, random numbers from other libraries, state outside buffers, and
    ``.item()``.

    Args:
        module: (static hyperparameters) -> a new ``torch.nn.Module``, whose weights PyTorch draws.
            The module is called with the inputs, (batch, ...), and converted to the type of the
            inputs if this type is floating-point.
        train: A tuple of arrays with the same number of examples, (m, ...) each: the inputs, then
            the targets.
        validation: The data for ``evaluate``, a tuple like ``train``: arrays (n, ...).
        batch_size: Examples per batch (the last batch may be smaller), or the name of a static
            hyperparameter.
        loss: (outputs, targets...) -> scalar tensor: the mean over a batch. By default the
            cross-entropy of logits (batch, classes) and labels (batch,).
        evaluate: (outputs, targets...) -> scalar tensors by the names of metrics, after each epoch,
            on all of ``validation`` in one call. By default "loss" and, with the default loss,
            "accuracy". If there is a target, one more argument without a default value gets the
            configuration: static hyperparameters as plain values, and all of the optimizer's
            hyperparameters as scalar tensors of the parameters' type. The function must compute
            with tensors: with ``if`` and ``.item()``, the trials fail.
        optimizer: "sgd" with ``learning_rate``, ``momentum`` and ``weight_decay``, or "adam"
            (AdamW) with ``learning_rate``, ``beta1``, ``beta2``, ``epsilon`` and ``weight_decay``.
            Each hyperparameter of the study must be static, or a hyperparameter of the optimizer.
            The defaults are those of ``torch.optim``, but the default weight decay is 0.
        static: Hyperparameters that change shapes or the module (widths, depths, names). ``module``
            gets only these hyperparameters.
        seed: The seed of the initial weights, of the order of the batches, and of the modules'
            random numbers.
        lanes: The number of lanes of a program. If there are too few trials, some lanes are empty.
            If ``lanes`` is given, results of products, ReLU and tanh are bitwise the same, no
            matter which trials are trained together. GELU and SiLU round the ends of arrays
            differently. By default, the study measures which number is the fastest, up to four
            times the number that fits the second-level cache. Then the last digits of results may
            differ.

    Raises:
        SettingsError: If PyTorch is not installed, or ``lanes`` is not a whole number of at least
            1.
        ObjectiveError: If another argument is invalid.

    Example:
        >>> import numpy as np
        >>> from torch import nn
        >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
        >>> objective = fused_torch(
        ...     lambda config: nn.Sequential(
        ...         nn.Linear(2, config["width"]), nn.ReLU(), nn.Linear(config["width"], 2)
        ...     ),
        ...     train=(x, x[:, 0] > 0),
        ...     validation=(x, x[:, 0] > 0),
        ...     batch_size=16,
        ...     static=["width"],
        ... )
        >>> space = {"learning_rate": (0.01, 1.0), "width": [4, 8]}
        >>> study = tune(objective, space, metric="accuracy", mode="max", trials=8, max_resource=4)
    """
    if find_spec("torch") is None:
        raise SettingsError(
            "fused_torch needs PyTorch, which is not installed: pip install 'ashtune[torch]'"
        )
    from ashtune._src.training.fused.torch.module import TorchRecipe, tensors
    from ashtune._src.training.fused.torch.optimizers import rule
    from ashtune._src.training.fused.torch.torch_backend import TorchBackend

    if evaluate is None:
        evaluate = loss_and_accuracy if loss is cross_entropy else partial(_only, loss)
    recipe = TorchRecipe(
        module=module,
        loss=loss,
        evaluate=evaluate,
        train=tuple(tensor.numpy() for tensor in tensors(train, "train")),
        validation=tuple(tensor.numpy() for tensor in tensors(validation, "validation")),
        batch_size=batch_size,
        static=tuple(static),
        optimizer=optimizer,
    )
    # This call checks the name: it refuses an unknown name before a study begins.
    rule(optimizer)
    recipe.check_batch_size()
    return FusedObjective(
        module, recipe, partial(TorchBackend, recipe, seed, lanes is not None), lanes
    )


def _only(loss: Callable[..., Any], outputs: Any, *targets: Any) -> dict[str, Any]:
    return {"loss": loss(outputs, *targets)}
