"""The space in words, one line a hyperparameter."""

from typing import TYPE_CHECKING

from ashtune.space.columns import Column

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


def range_text(column: Column) -> str:
    """Return what a hyperparameter can be, such as ``1e-04 .. 1, log`` or ``relu, tanh``."""
    hyperparameter = column.hyperparameter
    if column.choices is not None:
        joint = " < " if hasattr(hyperparameter, "sequence") else ", "
        return joint.join(str(choice) for choice in column.choices)
    text = f"{_number(hyperparameter.lower)} .. {_number(hyperparameter.upper)}"
    if hyperparameter.log:
        text += ", log"
    for family, parameters in (("normal", ("mu", "sigma")), ("beta", ("alpha", "beta"))):
        if all(hasattr(hyperparameter, parameter) for parameter in parameters):
            shape = ", ".join(_number(getattr(hyperparameter, parameter)) for parameter in parameters)
            text += f", {family}({shape})"
    return text


def when(space: "ConfigurationSpace", name: str) -> str:
    """Return under which conditions a hyperparameter is active, as `` if a == 'x'``, or nothing."""
    conditions = [str(condition) for condition in space.parent_conditions_of[name]]
    if not conditions:
        return ""
    # ConfigSpace writes ``child | parent == value``.
    return " if " + " and ".join(conditions).replace(f"{name} | ", "")


def value_text(value: object) -> str:
    """Return a value in few characters."""
    return _number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _number(value: float) -> str:
    """Return a bound in few characters; a tiny one with its exponent, 1e-04 rather than 0.0001."""
    if value == 0 or abs(value) >= 1e-3:
        return str(value) if isinstance(value, int) else f"{value:g}"
    mantissa, exponent = f"{value:.5e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"
