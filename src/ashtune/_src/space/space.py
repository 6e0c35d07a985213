"""``Space``: the search space.

The user's space is first converted to a record, and then a ``Space`` is built from the record. A
resumed study reads the record from its journal. Therefore a resumed study has exactly the same
space as the first session.

Rule: reading a record executes no code from the record.
"""

# Decision 23 (docs/decisions/0023-searches.md): random draws, Sobol points and mutations use the
# same map from the unit cube to the space.

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune._src.core.errors import SpaceError
from ashtune._src.core.plaintext import error_line, instead_of, shown
from ashtune._src.space.configspace import is_of_configspace, record_of_space
from ashtune._src.space.coordinates import Column, HyperparameterRecord
from ashtune._src.space.parsing import record_of, written
from ashtune._src.space.priors import META, SHARE, Belief
from ashtune._src.space.rules import Rules, Valid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_NOTHING: Mapping[str, object] = {}


class _Space(msgspec.Struct, frozen=True):
    """A space in the JSON of ConfigSpace."""

    hyperparameters: list[HyperparameterRecord]
    conditions: list[dict[str, Any]] = []
    forbiddens: list[dict[str, Any]] = []


class _Record(msgspec.Struct, frozen=True):
    """A space in a journal, and the names of its hyperparameters in the user's order."""

    names: list[str]
    space: _Space


class Space:
    """A set of hyperparameters, with their ranges, conditions and forbidden clauses.

    Build a space with :meth:`parse` or :meth:`from_record`.

    Args:
        record: The record that :meth:`to_record` returns.
        valid: A function that returns whether a configuration (without inactive hyperparameters) is
            valid; None if all configurations are valid.

    Attributes:
        names: The names of the hyperparameters, in the user's order.
        columns: For each hyperparameter, in the user's order, the map from the unit interval to
            plain Python values.
        rules: The conditions and forbidden clauses.
        beliefs: For each hyperparameter with a prior, the distribution of the prior.

    Raises:
        SpaceError: If the record is not valid.
    """

    def __init__(self, record: Mapping[str, Any], valid: Valid | None = None) -> None:
        read = msgspec.convert(record, _Record)
        if not read.names:
            raise SpaceError(
                "the space is empty; give at least one hyperparameter, such as lr=(1e-4, 1.0)"
            )
        given = {
            hyperparameter.name: hyperparameter for hyperparameter in read.space.hyperparameters
        }
        if sorted(read.names) != sorted(given):
            raise SpaceError(
                f"the record lists the hyperparameters {shown(read.names)}, but the space in the "
                f"same record has {shown(list(given))}"
            )
        self._record = dict(record)
        self.names = tuple(read.names)
        self.columns = {name: Column(given[name]) for name in self.names}
        self.rules = Rules(self.columns, read.space.conditions, read.space.forbiddens, valid)
        metas = {name: given[name].meta or {} for name in self.names}
        self.beliefs = {
            name: Belief(self.columns[name], meta[META])
            for name, meta in metas.items()
            if META in meta
        }

    @classmethod
    def parse(cls, space: object, valid: Valid | None = None) -> "Space":
        """Build a space from a user's search space.

        Args:
            space: A dict as for ``record_of()``, a ``ConfigSpace.ConfigurationSpace``, or a Space.
                A tuple among the choices becomes a list.
            valid: The same as the argument ``valid`` of the class.

        Raises:
            SpaceError: If the space is of another type or empty, or a name or value in it is not
                valid.

        Example:
            >>> Space.parse({"layers": (1, 8), "activation": ["relu", "tanh"]}).names
            ('layers', 'activation')
        """
        if isinstance(space, Space):
            return space if valid is None else cls(space.to_record(), valid)
        if is_of_configspace(space) and isinstance(space, Mapping):
            return cls(record_of_space(space), valid)
        if isinstance(space, Mapping):
            return cls(record_of(space), valid)
        raise SpaceError(
            f"{shown(space)} is not a search space; give a dict such as {{'lr': (1e-4, 1.0), "
            "'depth': (1, 9)}, or a ConfigSpace.ConfigurationSpace"
        )

    @classmethod
    def from_record(cls, record: Mapping[str, Any], valid: Valid | None = None) -> "Space":
        """Return the space of a record that :meth:`to_record` has returned. No code from the record
        is executed.

        Raises:
            SpaceError: If the record is not valid.
        """
        try:
            return cls(record, valid)
        except Exception as error:  # noqa: BLE001 - a record that was altered may hold anything
            why = error_line(error)
            if isinstance(error, SpaceError):
                why = str(error)
            raise SpaceError(f"the record of the space cannot be read: {why}") from None

    def to_record(self) -> dict[str, Any]:
        """Return the space as nested dicts and lists for JSON, which callers must not change."""
        return self._record

    def as_written(self) -> dict[str, object]:
        """Return the hyperparameters as a user writes them. Parts of the space that only
        ConfigSpace can express are left out.
        """
        return written(self._record)

    def check(self, configuration: Mapping[str, object]) -> dict[str, object]:
        """Check a user's configuration, and return it in plain values, in the order of ``names``.

        Raises:
            SpaceError: If a name is unknown or missing, a value is out of range or inactive, or the
                configuration is forbidden.
        """
        values = self.members(configuration)
        for complaint in self._complaints(values, configuration):
            raise SpaceError(complaint)
        return values

    def members(self, configuration: Mapping[str, object]) -> dict[str, object]:
        """Check the names and values of a configuration, which may be partial. Return it in plain
        values, in the order of ``names``.

        Raises:
            SpaceError: If a name is unknown, or a value is out of range.
        """
        if not isinstance(configuration, Mapping):
            raise SpaceError(
                f"{shown(configuration)} is not a configuration; give a dict of "
                f"{', '.join(self.names)}"
            )
        for name, value in configuration.items():
            if name not in self.columns:
                raise SpaceError(
                    f"{name}={shown(value)} is not in the space; {instead_of(name, self.names)}"
                )
        return {
            name: column.member(configuration[name])
            for name, column in self.columns.items()
            if name in configuration
        }

    def completions(
        self, configuration: Mapping[str, object], points: "NDArray[np.float64]"
    ) -> Iterator[dict[str, object]]:
        """Yield configurations at points, with the values of a user's partial configuration in
        place of drawn values. Only valid configurations are yielded.

        If a hyperparameter of the partial configuration is inactive at a point, nothing is yielded
        for this point.

        Raises:
            SpaceError: If a name is unknown, a value is out of range, or no point gives a valid
                configuration.
        """
        given = self.members(configuration)
        complaints = list[tuple[int, str]]()
        for values in self.at(points, given):
            complaint = next(self._complaints({**values, **given}, configuration), "")
            if complaint:
                complaints.append((len(given.keys() & values.keys()), complaint))
            else:
                yield values
        if len(complaints) == len(points):
            # complaints about the draw in which the most given hyperparameters are active
            raise SpaceError(max(complaints)[1])

    def _complaints(
        self, values: Mapping[str, object], given: Mapping[str, object]
    ) -> Iterator[str]:
        """Yield one line for each reason why the values are not a valid configuration."""
        for name in self.rules.parents_first:
            is_active = self.rules.is_active(name, values)
            if is_active and name not in values:
                yield (
                    f"{name} is missing in {shown(dict(given))}; give it a value in "
                    f"{self.columns[name]}"
                )
            if not is_active and name in values:
                condition = self.rules.conditions_text(name)
                yield (
                    f"{name}={shown(values[name])} is inactive in this configuration, because "
                    f"{name} is used only if {condition}; leave {name} out"
                )
        rule = self.rules.forbidding(values)
        if rule:
            yield f"{shown(dict(given))} is forbidden by {rule!r}; change one of these values"

    def at(
        self, points: "NDArray[np.float64]", given: Mapping[str, object] = _NOTHING
    ) -> list[dict[str, object]]:
        """Return the configurations at points, without inactive hyperparameters. The configurations
        may be forbidden.

        Args:
            points: Coordinates in [0, 1], shape ``(n, hyperparameters)``. The columns have the
                order of ``names``.
            given: Values that replace the values at the points.
        """
        columns = [
            column.at(points[:, place]) for place, column in enumerate(self.columns.values())
        ]
        configurations = [
            {**dict(zip(self.names, values, strict=True)), **given}
            for values in zip(*columns, strict=True)
        ]
        if self.rules.conditional:
            for configuration in configurations:
                self.rules.remove_inactive(configuration)
        return configurations

    @property
    def draws(self) -> int:
        """The number of random draws for a configuration: one for each hyperparameter, plus one if
        there are priors.
        """
        return len(self.names) + bool(self.beliefs)

    def random_points(self, numbers: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """Return points of random configurations, shape ``(n, hyperparameters)``. Half of the
        points follow the priors.

        Args:
            numbers: Independent uniform numbers in [0, 1), of shape ``(n, draws)``.
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
        """Return the log density of all priors, of shape ``(n,)``, at points of shape
        ``(n, hyperparameters)``.
        """
        import numpy as np

        logarithms = np.zeros(len(points))
        for place, name in enumerate(self.names):
            if name in self.beliefs:
                logarithms += self.beliefs[name].log_density(points[:, place])
        return logarithms

    def place(self, configuration: Mapping[str, object]) -> list[float | None]:
        """Return the point of a configuration: a coordinate for each hyperparameter, or None if the
        hyperparameter is inactive.
        """
        return [
            column.place(configuration[name]) if name in configuration else None
            for name, column in self.columns.items()
        ]

    def snap(self, points: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """Replace each point by the middle of all points with the same configuration. The
        coordinate of an inactive hyperparameter becomes 0.5.
        """
        import numpy as np

        middles = [
            column.snap(points[:, place]) for place, column in enumerate(self.columns.values())
        ]
        middle = np.stack(middles, axis=1)
        for name, is_active in self.rules.active(
            dict(zip(self.names, points.T, strict=True))
        ).items():
            middle[~is_active, self.names.index(name)] = 0.5
        return middle
