"""What the user's functions ask for, of JAX and of PyTorch: the configuration, and hyperparameters of it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from typing import Any

from ashtune.errors import ObjectiveError


def wants_configuration(evaluate: Callable[..., Any], others: int) -> bool:
    """Whether a function takes one more argument by position than so many others, without a default value."""
    try:
        parameters = list(signature(evaluate).parameters.values())
    except (TypeError, ValueError):  # it does not say
        return False
    asked = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return len(asked) > others and asked[others].default is asked[others].empty


@contextmanager
def names_checked(function: str, config: Mapping[str, Any]) -> Iterator[None]:
    """Refuse in one line that a function asks for a hyperparameter that is not there.

    Args:
        function: Its name.
        config: What it gets; empty if it gets none.

    Raises:
        ObjectiveError: In place of the KeyError of a name that is not in the configuration.
    """
    try:
        yield
    except KeyError as error:
        name = error.args[0] if error.args else ""
        if name in config or not config:
            raise
        raise ObjectiveError(
            f"{function} asks for {name!r}, which is not there; the hyperparameters are {', '.join(config)}"
        ) from error
