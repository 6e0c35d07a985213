"""The search space: what a user gave, brought into one form when it is given.

Whatever was given is written down and read back (:mod:`ashtune.space.record`) before it is used:
a first run and a resumed one therefore draw from the same object by construction, and the user's
own ConfigurationSpace is never touched.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ashtune.core.errors import SpaceError
from ashtune.core.plaintext import shown
from ashtune.space.checking import Rules, checked, value_in
from ashtune.space.columns import Column
from ashtune.space.describing import range_text, value_text, when
from ashtune.space.parsing import space_of_mapping
from ashtune.space.priors import META, SHARE, Belief
from ashtune.space.record import read_record, record_of

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace import ConfigurationSpace
    from numpy.typing import NDArray


class Space:
    """A set of hyperparameters, with their ranges, conditions and forbidden clauses.

    Build one with :meth:`parse` or :meth:`from_record`.

    Attributes:
        configuration_space: The space as ConfigSpace sees it; hyperparameters sorted.
        names: The hyperparameters, in the order the user wrote them.
        columns: For each name, in that order, the map from the unit interval to plain Python values.
        rules: Its conditions and forbidden clauses.
        beliefs: Of each hyperparameter with a prior, where good values are believed to be.

    Raises:
        SpaceError: If a prior is no value of its hyperparameter.
    """

    def __init__(self, configuration_space: "ConfigurationSpace", names: tuple[str, ...]) -> None:
        self.configuration_space = configuration_space
        self.names = names
        self.columns = {name: Column(configuration_space[name]) for name in names}
        self.rules = Rules(configuration_space)
        self.beliefs = {name: belief for name in names if (belief := self._belief(name)) is not None}

    @classmethod
    def parse(cls, space: object) -> "Space":
        """Build a space from what a user gives.

        Args:
            space: A dict by name of ``(low, high)`` ranges, lists of choices, constants, ConfigSpace
                hyperparameters and any of these with a :class:`~ashtune.space.priors.Prior`, or a
                ``ConfigSpace.ConfigurationSpace``, or a Space. A tuple among the choices reaches the training function
                as a list (see :mod:`ashtune.space.plain`).

        Raises:
            SpaceError: If it is something else, empty, or a name or value in it does not fit.

        Example:
            >>> Space.parse({"layers": (1, 8), "activation": ["relu", "tanh"]}).names
            ('layers', 'activation')
        """
        from ConfigSpace import ConfigurationSpace

        if isinstance(space, Space):
            return space
        if isinstance(space, ConfigurationSpace):
            if not len(space):
                raise SpaceError("the ConfigurationSpace is empty; add a hyperparameter, such as Float('lr', (0, 1))")
            return cls.from_record(record_of(space, list(space)))
        if isinstance(space, Mapping):
            return cls.from_record(record_of(space_of_mapping(space), list(space)))
        raise SpaceError(
            f"{shown(space)} is no search space; give a dict such as {{'lr': (1e-4, 1.0), 'depth': (1, 9)}}, "
            "or a ConfigSpace.ConfigurationSpace"
        )

    @classmethod
    def from_record(cls, record: Mapping[str, object]) -> "Space":
        """Read a space that :meth:`to_record` wrote; nothing in the record is executed.

        Raises:
            SpaceError: If this is not such a record.
        """
        return cls(*read_record(record))

    def to_record(self) -> dict[str, object]:
        """Return the space as nested dicts and lists that JSON can keep."""
        return record_of(self.configuration_space, self.names)

    def check(self, configuration: Mapping[str, object]) -> dict[str, object]:
        """Return a configuration that a user wrote as plain Python values, in the order of ``names``.

        Raises:
            SpaceError: If a name is unknown or missing, a value is outside its range or inactive, or a
                forbidden clause rules the configuration out.
        """
        return checked(configuration, self.configuration_space, self.columns, self.rules)

    def at(self, points: "NDArray[np.float64]") -> list[dict[str, object]]:
        """Return the configurations at points of the unit cube; inactive hyperparameters are left out.

        Args:
            points: Shape ``(n, hyperparameters)``, the columns in the order of ``names``, within [0, 1].

        Returns:
            ``n`` configurations. They may be ones that a forbidden clause rules out, and share lists with each other.
        """
        columns = [column.at(points[:, place]) for place, column in enumerate(self.columns.values())]
        configurations = [dict(zip(self.names, values, strict=True)) for values in zip(*columns, strict=True)]
        if self.rules.has_conditions:
            for configuration in configurations:
                for name in self.rules.inactive(configuration):
                    del configuration[name]
        return configurations

    @property
    def draws(self) -> int:
        """How many random numbers a configuration takes: one a hyperparameter, and one more if there are priors."""
        return len(self.names) + bool(self.beliefs)

    def drawn(self, numbers: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """Return points of random configurations: if there are priors, half of them near all of those.

        Args:
            numbers: Independent, even in [0, 1), shape ``(n, draws)``.

        Returns:
            Shape ``(n, hyperparameters)``.
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
        """Return the logarithm of the density of the priors at points, where none counts as even.

        Args:
            points: Shape ``(n, hyperparameters)``.

        Returns:
            Shape ``(n,)``.
        """
        import numpy as np

        logarithms = np.zeros(len(points))
        for place, name in enumerate(self.names):
            if name in self.beliefs:
                logarithms += self.beliefs[name].log_density(points[:, place])
        return logarithms

    def _belief(self, name: str) -> Belief | None:
        meta = self.configuration_space[name].meta
        if not isinstance(meta, dict) or META not in meta:
            return None
        try:
            return Belief(self.columns[name], value_in(name, self.columns[name], meta[META]))
        except SpaceError as error:
            raise SpaceError(f"the prior of {name}: {error}") from None

    def place(self, configuration: Mapping[str, object]) -> list[float | None]:
        """Return the point of a configuration of this space: a coordinate for each of ``names``, None where inactive.

        ``at`` gives the same configuration at this point, whatever stands in place of None, but for the last bits of
        floats.
        """
        return [
            column.place(configuration[name]) if name in configuration else None
            for name, column in self.columns.items()
        ]

    def snapped(self, points: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """Return for each point the one in the middle of all with the same configuration, 0.5 where inactive.

        Args:
            points: Shape ``(n, hyperparameters)``, within [0, 1].
        """
        import numpy as np

        middles = [column.snapped(points[:, place]) for place, column in enumerate(self.columns.values())]
        snapped = np.stack(middles, axis=1)
        if self.rules.has_conditions:
            for row, configuration in zip(snapped, self.at(points), strict=True):
                row[[name not in configuration for name in self.names]] = 0.5
        return snapped

    def describe(self) -> list[tuple[str, str]]:
        """Return each hyperparameter's name and range in words, such as ``("lr", "1e-04 .. 1, log")``."""
        described = []
        for name, column in self.columns.items():
            prior = f", prior {value_text(self.beliefs[name].value)}" if name in self.beliefs else ""
            described.append((name, range_text(column) + prior + when(self.configuration_space, name)))
        return described
