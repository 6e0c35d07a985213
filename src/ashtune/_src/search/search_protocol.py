"""The interfaces of searches, designs and proposers.

A *search* is a value: a small frozen struct with options, such as
:class:`~ashtune.searches.Random`. A search makes a *design*, which is a numbered sequence of
configurations. A search that learns from results also makes a *proposer*.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol

import msgspec

from ashtune._src.core.jobs import Job, Result
from ashtune._src.core.parts import Part

if TYPE_CHECKING:
    from ashtune._src.space.space import Space


class Design(Protocol):
    """A numbered sequence of configurations.

    ``configuration`` is a pure function: it always returns the same configuration for the same
    trial number, in any order of calls and also in a resumed study.
    """

    @property
    def size(self) -> int | None:
        """The number of trials in this design; None if the design never ends."""

    def configuration(self, trial: int) -> dict[str, object]:
        """Return the configuration of one trial.

        Args:
            trial: The trial's number, from 0.

        Returns:
            The active hyperparameters by name, as plain Python values; inactive ones are absent.
            Each call returns a new dict, which the caller may change.

        Raises:
            IndexError: If ``trial`` is not in ``range(size)``.
        """

    def find(self, configuration: Mapping[str, object]) -> int | None:
        """Return the number of the trial with this configuration. If no trial has this
        configuration, or the design never ends, return None.
        """


class Proposal(msgspec.Struct, frozen=True):
    """A configuration for a new trial. ``origin`` is a short text that names the configuration's
    source. The journal stores this text.

    An origin that begins with "random" or "design" means that the configuration was drawn without
    using results. The module ``search/promotions.py`` compares proposals with such random draws.
    """

    configuration: dict[str, object]
    origin: str = ""


class Proposer:
    """The base class of all proposers. A proposer suggests configurations, based on the results of
    earlier trials.

    A separate thread calls all methods of a proposer except ``close``. A trial waits for its
    proposal if the wait is short compared with the training. If a proposer raises an exception, the
    study continues with the design.
    """

    def started(self, job: Job, configuration: Mapping[str, object]) -> None:
        """Record that a job of a trial has begun. The same job may begin again, for example after
        its worker was lost.

        Does nothing by default.

        Args:
            job: The trial and the rung to which it is trained.
            configuration: The configuration of the trial.
        """

    def observe(self, result: Result, configuration: Mapping[str, object]) -> None:
        """Record the result of a job.

        Args:
            result: The result; smaller losses are better. If the trial failed, or its training
                function refused the configuration, the losses are ``math.inf``, and resource and
                seconds are 0. A promoted trial has several results.
            configuration: The active hyperparameters of the trial.
        """
        raise NotImplementedError

    def know(self, result: Result, configuration: Mapping[str, object]) -> None:
        """Record a result from before the study, before all other methods are called. By default,
        call :meth:`observe`.

        Args:
            result: The result's trial number is -1 for the first configuration, -2 for the second,
                and so on. The result's rung is the highest rung that its resource reaches. If it
                reaches no rung, it is the lowest rung. The result is never a failure, and has 0
                seconds.
            configuration: The active hyperparameters.
        """
        self.observe(result, configuration)

    def propose(self, trial: int) -> Proposal | None:
        """Return a configuration for a trial. If the method returns None, the trial gets the
        design's configuration.

        Args:
            trial: The trial's number. If this trial starts before the proposal is ready, the next
                trial gets the proposal. If the proposed configuration was tried before, the method
                is called again with the same number.

        Returns:
            A configuration of the space in plain values, which :meth:`Space.check` accepts.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Stop the proposer. The study's thread calls this method, perhaps while a proposal is
        being made. The proposer's own thread may call it a second time.
        """


class Search(Part, frozen=True):
    """The base class of all searches. A search is a frozen struct of options.

    A subclass of ``Search`` has its options as fields and makes its design in :meth:`build`. A
    search that learns also overrides :meth:`proposer`. The journal stores a search by the name that
    ``core/parts.py`` defines.
    """

    def build(self, space: "Space", seed: int) -> Design:
        """Return the design. Every trial without a proposal gets its configuration from the design.

        Args:
            space: The search space.
            seed: At least 0. The design is a pure function of the space, the seed and the options.

        Raises:
            SpaceError: If the space does not suit this search.
            SettingsError: If a package that the search needs is not installed.
        """
        raise NotImplementedError

    design_origin: ClassVar[str] = "design"
    """The origin that the journal stores for a trial that uses the design: "random" or "design"."""
    is_apart: ClassVar[bool] = False
    """Whether the proposer runs in a separate process, because a proposal takes more than a few
    milliseconds.
    """

    def proposer(self, space: "Space", seed: int, max_resource: int) -> Proposer | None:
        """Return a new proposer, which has no results yet. By default, return None. The proposer's
        thread calls this method.

        Args:
            space: The search space.
            seed: The seed of the study.
            max_resource: The resource of the top rung. The search wants configurations that are
                good at this resource.
        """
        return None

    def stand_in(self, space: "Space", seed: int) -> Proposer | None:
        """Return a fast proposer for trials without a ready proposal. If the method returns None,
        these trials use the design.

        The driver waits for the stand-in, so the stand-in must need only microseconds. If the
        stand-in proposes a configuration outside of the space, the session ends, because the driver
        has no other proposal ready.
        """
        return None

    @property
    def most_ahead(self) -> int:
        """The number of proposals to make in advance when trials have used up the time that they
        may wait. At most one proposal for each worker is made in advance.

        If fewer proposals are made in advance, each proposal uses newer results. If no proposals
        are made in advance, all trials wait for their proposals, so a study on one worker can be
        reproduced.
        """
        return 16

    @property
    def first_proposed(self) -> int:
        """How many of a study's first trials use the design.

        Each configuration with results from before the study counts as one of these trials.
        """
        return 0

    @property
    def has_proposer(self) -> bool:
        """Whether the search learns from results."""
        return type(self).proposer is not Search.proposer

    @property
    def weighs_seconds(self) -> bool:
        """Whether proposals depend on the seconds of results. If this is False, a study's scheduler
        ignores seconds too.
        """
        return False


def refuse_outside(trial: int, size: int | None) -> None:
    """Raise IndexError if ``trial`` is outside ``range(size)``. A size of None means that the
    design never ends.
    """
    if trial < 0 or (size is not None and trial >= size):
        raise IndexError(
            f"trial {trial} is not one of the {'endless' if size is None else size} trials"
        )
