"""Converts objects of ConfigSpace to records, and records to ConfigurationSpaces.

A journal stores every space as the JSON of ConfigSpace. Importing ConfigSpace takes a second, so
ConfigSpace is imported only in this module, and only when needed.
"""

import contextlib
import copy
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ashtune._src.core.errors import SpaceError, needs_extra
from ashtune._src.core.plaintext import error_line
from ashtune._src.space.plain import plain
from ashtune._src.space.priors import META

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from ConfigSpace.hyperparameters import Hyperparameter


def is_of_configspace(given: object) -> bool:
    """Return whether an object belongs to ConfigSpace, without importing ConfigSpace."""
    return any(kind.__module__.startswith("ConfigSpace.") for kind in type(given).__mro__)


def record_of_space(space: "ConfigurationSpace") -> dict[str, Any]:
    """Return the record of a ConfigurationSpace. The record is the JSON of ConfigSpace, but
    ``meta`` has only the prior.

    Raises:
        SpaceError: If a choice, or the type of a hyperparameter, cannot be written.
    """
    try:
        written = space.to_serialized_dict()
    except Exception as error:  # noqa: BLE001 - ConfigSpace may raise anything here
        raise SpaceError(f"the space cannot be stored in a journal: {error_line(error)}") from None
    for entry in written["hyperparameters"]:
        meta = entry.pop("meta", None)
        if isinstance(meta, dict) and META in meta:
            entry["meta"] = {META: meta[META]}
    parts = {
        key: _plain_tree(written[key]) for key in ("hyperparameters", "conditions", "forbiddens")
    }
    orders = {
        entry["name"]: entry.get("choices", entry.get("sequence"))
        for entry in parts["hyperparameters"]
    }
    for clause in parts["forbiddens"]:
        _put_in_order(clause, orders)
    return {"names": list(space), "space": parts}


def record_of_one(name: str, hyperparameter: "Hyperparameter") -> dict[str, Any]:
    """Return the record of a ConfigSpace hyperparameter. The user's dict has this hyperparameter
    under the key ``name``.

    Raises:
        SpaceError: If the hyperparameter has another name, or cannot be written.
    """
    from ConfigSpace import ConfigurationSpace

    if hyperparameter.name != name:
        raise SpaceError(
            f"{name}: the given hyperparameter has the name {hyperparameter.name!r}; give both the "
            "same name"
        )
    space = ConfigurationSpace()
    space.add(copy.copy(hyperparameter))  # the user's object stays unchanged
    [entry] = record_of_space(space)["space"]["hyperparameters"]
    return dict(entry)


def space_of_record(record: Mapping[str, Any]) -> "ConfigurationSpace":
    """Return the ConfigurationSpace of a record.

    Raises:
        ExtraMissing: If ConfigSpace is not installed.
        SpaceError: If ConfigSpace cannot represent the space.
    """
    with needs_extra("configspace", "ConfigSpace"):
        from ConfigSpace import ConfigurationSpace
    try:
        # For one kind of forbidden clause, ConfigSpace 1.2.2 prints to stdout, which must contain
        # only results.
        with contextlib.redirect_stdout(io.StringIO()):
            # A copy is decoded, because decoding changes the record.
            return ConfigurationSpace.from_serialized_dict(copy.deepcopy(record["space"]))
    except Exception as error:  # noqa: BLE001 - ConfigSpace may raise anything here
        raise SpaceError(f"ConfigSpace cannot represent the space: {error_line(error)}") from None


def _put_in_order(clause: dict[str, Any], orders: Mapping[str, list[Any] | None]) -> None:
    """Sort the values of a clause, because they may come from a set, and the order of a set differs
    between processes.
    """
    for part in clause.get("clauses", ()):
        _put_in_order(part, orders)
    if "values" in clause:
        order = orders[clause["name"]]
        clause["values"].sort(key=None if order is None else order.index)


def _plain_tree(value: object) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain_tree(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain_tree(part) for part in value]
    return plain(value)
