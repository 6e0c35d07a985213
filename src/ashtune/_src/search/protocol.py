"""The interface of every search.

A *search* is a value: a small frozen struct with options, such as :class:`~ashtune.searches.Random`. The search makes a
*design*, which is a numbered sequence of configurations. A search that learns from results also makes a *proposer*.
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

    ``configuration`` is a pure function: it returns the same configuration for a trial's number at every call, in any
    order of calls, and in a resumed study.
    """

    @property
    def size(self) -> int | None:
        """The number of trials in this design; None if it never ends."""

    def configuration(self, trial: int) -> dict[str, object]:
        """Return the configuration of one trial.

        Args:
            trial: The trial's number, from 0.

        Returns:
            The active hyperparameters by name, as plain Python values; inactive ones are absent. Each call returns a
            new dict, which the caller may change.

        Raises:
            IndexError: If ``trial`` is not in ``range(size)``.
        """

    def find(self, configuration: Mapping[str, object]) -> int | None:
        """Return the trial that has a configuration of the space; None if no trial has it, or the design never ends."""


class Proposal(msgspec.Struct, frozen=True):
    """A configuration for a new trial. ``origin`` is a short text for the journal that tells where it comes from.

    An origin that begins with "random" or "design" marks a draw that depends on no result. Proposals are compared with
    such draws: see ``search/promotions.py``.
    """

    configuration: dict[str, object]
    origin: str = ""


class Proposer:
    """Proposes configurations, based on the results that it was told: the base class of all proposers.

    One thread, which is not the study's own, calls all methods except ``close``. A trial waits for its proposal while
    waiting is cheap compared with the training. If a method raises, the proposer is dropped, and the design is used.
    """

    def started(self, job: Job, configuration: Mapping[str, object]) -> None:
        """Note that a job of any trial began; it may begin again, for example after its worker was lost.

        Does nothing by default.

        Args:
            job: The trial and the rung to which it is trained.
            configuration: The configuration of the trial.
        """

    def observe(self, result: Result, configuration: Mapping[str, object]) -> None:
        """Note the result of a job.

        Args:
            result: Smaller losses are better. If the trial failed, or its training function refused the configuration,
                the losses are ``math.inf``, and resource and seconds are 0. A promoted trial has several results.
            configuration: The active hyperparameters of the trial.
        """
        raise NotImplementedError

    def know(self, result: Result, configuration: Mapping[str, object]) -> None:
        """Note a result from before the study, before all other calls. By default the result is observed.

        Args:
            result: Its trial number is -1 for the first configuration, -2 for the next. Its rung is the highest rung
                that its resource reaches, or else the lowest rung. The result is never a failure, and has 0 seconds.
            configuration: The active hyperparameters.
        """
        self.observe(result, configuration)

    def propose(self, trial: int) -> Proposal | None:
        """Return a configuration for a trial, or None to use the design, for example before there are results.

        Args:
            trial: The trial's number. If the trial starts before the proposal is ready, the next trial gets the
                proposal. If the proposed configuration was tried before, the same number is asked for again.

        Returns:
            A configuration of the space in plain values, as :meth:`Space.check` accepts it.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Stop; called by the study's thread, perhaps while a proposal is being made. Does nothing by default."""


class Search(Part, frozen=True):
    """A search as a value: the base class of all searches.

    A subclass is frozen, has its options as fields, and makes its design in :meth:`build`. A subclass that learns from
    results also overrides :meth:`proposer`. The study's journal stores the search under its name in ``core/parts.py``.
    """

    def build(self, space: "Space", seed: int) -> Design:
        """Return the design, which has the configuration of each trial that gets no proposal.

        Args:
            space: The search space.
            seed: At least 0. The design is a pure function of the space, the seed and the options.

        Raises:
            SpaceError: If the space does not suit this search.
            SettingsError: If a package that the search needs is not installed.
        """
        raise NotImplementedError

    design_origin: ClassVar[str] = "design"
    """The origin, in the journal, of a trial that follows the design: "random" or "design"."""
    is_apart: ClassVar[bool] = False
    """Whether the proposer runs in a separate process, because a proposal takes more than a few milliseconds."""

    def proposer(self, space: "Space", seed: int, max_resource: int) -> Proposer | None:
        """Return a new proposer, which knows no results yet; None by default. Called in the thread of the proposer.

        Args:
            space: The search space.
            seed: The seed of the study.
            max_resource: The resource of the top rung, for which good configurations are wanted.
        """
        return None

    def stand_in(self, space: "Space", seed: int) -> Proposer | None:
        """Return a proposer to use when no proposal is ready; by default None, so that the design is used.

        The driver itself calls this proposer, which may take microseconds only. Its proposals are not checked.
        """
        return None

    @property
    def most_ahead(self) -> int:
        """How many proposals are made in advance when the waiting time is used up; at most one for each worker.

        If the number is smaller, each proposal uses newer results. With 0 all trials wait for their proposals, so a
        study on one worker can be reproduced.
        """
        return 16

    @property
    def first_proposed(self) -> int:
        """The number of first trials that follow the design: no proposals are asked for them.

        Configurations with results from before the study count as first trials.
        """
        return 0

    @property
    def has_proposer(self) -> bool:
        """Whether the search learns from results."""
        return type(self).proposer is not Search.proposer


def refuse_outside(trial: int, size: int | None) -> None:
    """Raise IndexError unless ``trial`` is in ``range(size)``; a size of None has no end."""
    if trial < 0 or (size is not None and trial >= size):
        raise IndexError(f"trial {trial} is not among the {'endless' if size is None else size} trials")
