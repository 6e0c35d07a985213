"""The space as a JSON-able record and back, so that a study can be resumed without its script.

Reading a record executes nothing: no pickle, no import by name; ConfigSpace looks each type up in
a fixed table of decoders.
"""

import contextlib
import copy
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ashtune.core.errors import SpaceError
from ashtune.core.plaintext import error_line, shown
from ashtune.space.parsing import check_name
from ashtune.space.plain import plain, plain_choices
from ashtune.space.priors import META

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


def record_of(space: "ConfigurationSpace", names: Sequence[str]) -> dict[str, object]:
    """Write a space down.

    Args:
        space: The space; of its hyperparameters' ``meta``, which may hold anything, only the prior is kept.
        names: The hyperparameters in the order the user wrote them; ConfigSpace sorts them.

    Raises:
        SpaceError: If a choice or a hyperparameter's type cannot be written.
    """
    for name in space:
        check_name(name)
    try:
        serialized = space.to_serialized_dict()
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise SpaceError(f"the space cannot be written down: {error_line(error)}") from None
    for entry in serialized["hyperparameters"]:
        meta = entry.pop("meta", None)
        if isinstance(meta, dict) and META in meta:
            [prior] = plain_choices(entry["name"], [meta[META]])
            entry["meta"] = {META: prior}
        for key in ("choices", "sequence"):
            if key in entry:
                entry[key] = plain_choices(entry["name"], entry[key])
        if "value" in entry:
            [entry["value"]] = plain_choices(entry["name"], [entry["value"]])
    entries = {entry["name"]: entry for entry in serialized["hyperparameters"]}
    for clause in serialized["forbiddens"]:
        _put_in_order(clause, entries)
    return {"names": list(names), "space": _tree(serialized)}


def read_record(record: Mapping[str, object]) -> tuple["ConfigurationSpace", tuple[str, ...]]:
    """Return the space of a record, and its names in the user's order.

    Raises:
        SpaceError: If this is not a record of a space.
    """
    from ConfigSpace import ConfigurationSpace

    try:
        # ConfigSpace 1.2.2 has a print() left in one forbidden clause; stdout is for results.
        with contextlib.redirect_stdout(io.StringIO()):
            # Decoding takes the record apart, so it gets its own.
            space = ConfigurationSpace.from_serialized_dict(copy.deepcopy(record["space"]))
        listed: Any = record["names"]
        names = tuple(listed)
    except Exception as error:  # noqa: BLE001 - ConfigSpace lets through whatever its decoding meets
        raise SpaceError(f"the record of the space cannot be read: {error_line(error)}") from None
    if not all(isinstance(name, str) for name in names) or sorted(names) != sorted(space):
        raise SpaceError(
            f"the record names {shown(list(names))} where its space has {shown(list(space))}; it was altered"
        )
    return space, names


def _put_in_order(clause: dict[str, Any], entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Sort the values of a clause: they may be a set, whose order differs from process to process."""
    for part in clause.get("clauses", ()):
        _put_in_order(part, entries)
    if "values" in clause:
        entry = entries[clause["name"]]
        choices = entry.get("choices", entry.get("sequence"))
        values: list[Any] = [plain(value) for value in clause["values"]]
        clause["values"] = sorted(values) if choices is None else sorted(values, key=choices.index)


def _tree(value: object) -> object:
    """Return nested dicts and lists with plain leaves."""
    if isinstance(value, dict):
        return {str(key): _tree(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tree(part) for part in value]
    return plain(value)
