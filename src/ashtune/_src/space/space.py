"""``Space``: the search space in one form, whatever a user gave.

What was given becomes a record first, and the space is made of the record: a first run and a resumed one draw from the
same space by construction.

Rule: reading a record executes nothing.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune._src.core.errors import SpaceError
from ashtune._src.core.plaintext import error_line, shown
from ashtune._src.space.columns import Column, HyperparameterRecord
from ashtune._src.space.configspace import is_of_configspace, record_of_space
from ashtune._src.space.parsing import record_of
from ashtune._src.space.priors import META, SHARE, Belief
from ashtune._src.space.rules import Rules, Valid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class _Space(msgspec.Struct, frozen=True):
    """What ConfigSpace writes as JSON."""

    hyperparameters: list[HyperparameterRecord]
    conditions: list[dict[str, Any]] = []
    forbiddens: list[dict[str, Any]] = []


class _Record(msgspec.Struct, frozen=True):
    """A space in a journal, and its hyperparameters in the order in which the user wrote them."""

    names: list[str]
    space: _Space


class Space:
    """A set of hyperparameters, with their ranges, conditions and forbidden clauses.

    Build one with :meth:`parse` or :meth:`from_record`.

    Args:
        record: What :meth:`to_record` returns.
        valid: Says of a configuration, without what does not count in it, whether it is one; None if all are.

    Attributes:
        names: The hyperparameters, in the order the user wrote them.
        columns: For each name, in that order, the map from the unit interval to plain Python values.
        rules: Its conditions and forbidden clauses.
        beliefs: Of each hyperparameter with a prior, where good values are believed to be.

    Raises:
        SpaceError: If something in the record does not fit.
    """

    def __init__(self, record: Mapping[str, Any], valid: Valid | None = None) -> None:
        read = msgspec.convert(record, _Record)
        if not read.names:
            raise SpaceError("the space is empty; give at least one hyperparameter, such as lr=(1e-4, 1.0)")
        given = {hyperparameter.name: hyperparameter for hyperparameter in read.space.hyperparameters}
        if sorted(read.names) != sorted(given):
            raise SpaceError(f"it names {shown(read.names)} where its space has {shown(list(given))}")
        self._record = dict(record)
        self.names = tuple(read.names)
        self.columns = {name: Column(given[name]) for name in self.names}
        self.rules = Rules(self.columns, read.space.conditions, read.space.forbiddens, valid)
        metas = {name: given[name].meta or {} for name in self.names}
        self.beliefs = {name: Belief(self.columns[name], meta[META]) for name, meta in metas.items() if META in meta}

    @classmethod
    def parse(cls, space: object, valid: Valid | None = None) -> "Space":
        """Build a space from what a user gives.

        Args:
            space: A dict as ``record_of()`` takes it, a ``ConfigSpace.ConfigurationSpace``, or
                a Space. A tuple among the choices becomes a list.
            valid: As for the class.

        Raises:
            SpaceError: If it is something else, empty, or a name or value in it does not fit.

        Example:
            >>> Space.parse({"layers": (1, 8), "activation": ["relu", "tanh"]}).names
            ('layers', 'activation')
        """
        if isinstance(space, Space):
            return space if valid is None else cls(space.to_record(), valid)
        if isinstance(space, Mapping):
            return cls(record_of_space(space) if is_of_configspace(space) else record_of(space), valid)
        raise SpaceError(
            f"{shown(space)} is no search space; give a dict such as {{'lr': (1e-4, 1.0), 'depth': (1, 9)}}, "
            "or a ConfigSpace.ConfigurationSpace"
        )

    @classmethod
    def from_record(cls, record: Mapping[str, Any], valid: Valid | None = None) -> "Space":
        """Read a space that :meth:`to_record` wrote, or ConfigSpace under ``space``; nothing of it is executed.

        Raises:
            SpaceError: If this is not such a record.
        """
        try:
            return cls(record, valid)
        except Exception as error:  # noqa: BLE001 - a record that was altered may hold anything
            why = str(error) if isinstance(error, SpaceError) else error_line(error)
            raise SpaceError(f"the record of the space cannot be read: {why}") from None

    def to_record(self) -> dict[str, Any]:
        """Return the space as nested dicts and lists that JSON can keep; they are not to be changed."""
        return self._record

    def check(self, configuration: Mapping[str, object]) -> dict[str, object]:
        """Return a configuration that a user wrote as plain Python values, in the order of ``names``.

        Raises:
            SpaceError: If a name is unknown or missing, a value is outside or inactive, or the whole is forbidden.
        """
        if not isinstance(configuration, Mapping):
            raise SpaceError(f"{shown(configuration)} is no configuration; give a dict of {', '.join(self.names)}")
        for name, value in configuration.items():
            if name not in self.columns:
                raise SpaceError(f"{name}={shown(value)} is not in the space; it has {', '.join(self.names)}")
        values = {
            name: column.member(configuration[name]) for name, column in self.columns.items() if name in configuration
        }
        for complaint in self._complaints(values, shown(dict(configuration))):
            raise SpaceError(complaint)
        return values

    def _complaints(self, values: Mapping[str, object], given: str) -> Iterator[str]:
        """Yield in one line each why values of some hyperparameters are no configuration."""
        for name in self.rules.parents_first:
            is_active = self.rules.is_active(name, values)
            if is_active and name not in values:
                yield f"{name} is missing in {given}; give it a value in {self.columns[name]}"
            if not is_active and name in values:
                condition = self.rules.conditions_text(name)
                yield f"{name}={shown(values[name])} is inactive here; leave it out, for it counts only if {condition}"
        if rule := self.rules.forbidding(values):
            yield f"{given} is ruled out by {rule!r}; change one of these values"

    def at(self, points: "NDArray[np.float64]") -> list[dict[str, object]]:
        """Return the configurations at points of the unit cube, without what is inactive; some may be forbidden.

        Args:
            points: Shape ``(n, hyperparameters)``, the columns in the order of ``names``, within [0, 1].
        """
        columns = [column.at(points[:, place]) for place, column in enumerate(self.columns.values())]
        configurations = [dict(zip(self.names, values, strict=True)) for values in zip(*columns, strict=True)]
        if self.rules.conditional:
            for configuration in configurations:
                self.rules.remove_inactive(configuration)
        return configurations

    @property
    def draws(self) -> int:
        """How many random numbers a configuration takes: one a hyperparameter, and one more if there are priors."""
        return len(self.names) + bool(self.beliefs)

    def random_points(self, numbers: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """Return points of random configurations: if there are priors, half of them near all of those.

        Args:
            numbers: Independent, even in [0, 1), shape ``(n, draws)``; the points have ``(n, hyperparameters)``.
        """
        if not self.beliefs:
            return numbers
        points = numbers[:, :-1].copy()
        is_near = numbers[:, -1] < SHARE
        for place, name in enumerate(self.names):
            if name in self.beliefs:
                points[is_near, place] = self.beliefs[name].at(points[is_near, place])
        return points

    def log_belief(self, points: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """Return the logarithm of the density of the priors at points ``(n, hyperparameters)``, shape ``(n,)``."""
        import numpy as np

        logarithms = np.zeros(len(points))
        for place, name in enumerate(self.names):
            if name in self.beliefs:
                logarithms += self.beliefs[name].log_density(points[:, place])
        return logarithms

    def place(self, configuration: Mapping[str, object]) -> list[float | None]:
        """Return the point of a configuration: a coordinate for each of ``names``, None where inactive."""
        return [
            column.place(configuration[name]) if name in configuration else None
            for name, column in self.columns.items()
        ]

    def snap(self, points: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """Return for each point the one in the middle of all with the same configuration, 0.5 where inactive."""
        import numpy as np

        middles = [column.snap(points[:, place]) for place, column in enumerate(self.columns.values())]
        middle = np.stack(middles, axis=1)
        if self.rules.conditional:
            for row, configuration in zip(middle, self.at(points), strict=True):
                row[[name not in configuration for name in self.names]] = 0.5
        return middle
