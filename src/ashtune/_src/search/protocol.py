"""What every search offers.

A *search* is a value: a small frozen struct with options, as :class:`~ashtune.searches.Random`. It makes a
*design*, a numbered sequence of configurations, and, if it is to learn from results, a *proposer* beside it.
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

    ``configuration`` is a pure function: asked twice, or in any order, or by a resumed study, a
    trial's number gives the same configuration.
    """

    @property
    def size(self) -> int | None:
        """The number of trials this design can give; None when it never ends."""

    def configuration(self, trial: int) -> dict[str, object]:
        """Return the configuration of one trial.

        Args:
            trial: The trial's number, from 0.

        Returns:
            The active hyperparameters by name, as plain Python values; inactive ones are absent.
            The dict is the caller's own: changing it changes nothing here.

        Raises:
            IndexError: If ``trial`` is not in ``range(size)``.
        """

    def find(self, configuration: Mapping[str, object]) -> int | None:
        """Return the trial that has a configuration of the space; None if none has, or the design never ends."""


class Proposal(msgspec.Struct, frozen=True):
    """A configuration for a new trial. ``origin`` says in a few words where it comes from; the journal keeps it.

    An origin that begins with "random" or "design" is that of a draw that depends on no result, by which proposals are
    judged: see ``search/promotions.py``.
    """

    configuration: dict[str, object]
    origin: str = ""


class Proposer:
    """Proposes configurations after the results that it has seen: the base class of all proposers.

    All methods are called by one thread, which is none of the study's own. A trial waits for its proposal while that is
    cheap beside the training. Whatever a method raises drops the proposer; the study goes on with its design.

    """

    def started(self, job: Job, configuration: Mapping[str, object]) -> None:
        """A job began, of any trial. It may begin again, as when its worker was lost. Does nothing here.

        Args:
            job: The trial and the rung that it is on its way to.
            configuration: The trial's.
        """

    def observe(self, result: Result, configuration: Mapping[str, object]) -> None:
        """Take in what became of a job.

        Args:
            result: Its losses are smaller where they are better; ``math.inf`` if the trial failed or its training
                function refused the configuration; its resource and seconds are 0 then. A trial that is promoted has a
                result at each of its rungs.
            configuration: The trial's, active hyperparameters only.
        """
        raise NotImplementedError

    def know(self, result: Result, configuration: Mapping[str, object]) -> None:
        """Take in a result from before the study; all of them come before anything else. By default it is observed.

        Args:
            result: As of a job, but that its trial is none of the study: -1 is the first configuration, -2 the next
                one. Its rung is the highest that its resource reaches, the lowest if none; it is never a failure, and
                its seconds are 0.
            configuration: Active hyperparameters only.
        """
        self.observe(result, configuration)

    def propose(self, trial: int) -> Proposal | None:
        """Return a configuration for a trial, or None to leave it to the design, as before there are results.

        Args:
            trial: The number of the trial that is meant. Should it have started before the proposal is ready, the
                next one gets the proposal. It is asked for again where the configuration proposed was tried before.

        Returns:
            A configuration of the space in plain values, as :meth:`Space.check` accepts it.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Nothing more is asked; called by the study's thread, perhaps while a proposal is made. Does nothing here."""


class Search(Part, frozen=True):
    """A search as a value: the base class of all of them.

    A subclass is frozen, has its options as fields, and makes its design in :meth:`build`. One that learns from results
    overrides :meth:`proposer` too. It is stored in the study's journal by the name in ``core/parts.py``.
    """

    def build(self, space: "Space", seed: int) -> Design:
        """Return the design: the configuration of each trial, unless a proposer proposes another one.

        Args:
            space: Where configurations come from.
            seed: At least 0. The design is a pure function of the space, the seed and the options.

        Raises:
            SpaceError: If the space does not suit this search.
            SettingsError: If something that it needs is not installed.
        """
        raise NotImplementedError

    design_origin: ClassVar[str] = "design"
    """What the journal calls the origin of a trial that was left to the design: "random" or "design"."""
    is_apart: ClassVar[bool] = False
    """Whether its proposer computes for more than a few milliseconds, so that it gets a process of its own."""

    def proposer(self, space: "Space", seed: int, max_resource: int) -> Proposer | None:
        """Return a new proposer, which has seen nothing; None by default. Called in the thread of the proposer.

        Args:
            space: Where configurations come from.
            seed: The study's.
            max_resource: Of the top rung, where a configuration has to be good in the end.
        """
        return None

    def stand_in(self, space: "Space", seed: int) -> Proposer | None:
        """Return a proposer that is asked where no proposal is ready; None by default: the design is.

        The driver itself calls it, so it may take microseconds only. What it proposes is not checked against the space.
        """
        return None

    @property
    def most_ahead(self) -> int:
        """How many proposals are made ahead where trials may no longer wait; a session never has more than its workers.

        Fewer are fresher. With 0 each trial waits for its proposal, so that a study on one worker is the same again.
        """
        return 16

    @property
    def first_proposed(self) -> int:
        """The number of trials at the beginning that are left to the design: a proposer is not asked for these.

        Configurations with results from before the study count as such trials.
        """
        return 0

    @property
    def has_proposer(self) -> bool:
        """Whether it learns from results."""
        return type(self).proposer is not Search.proposer


def refuse_outside(trial: int, size: int | None) -> None:
    """Raise IndexError unless ``trial`` is in ``range(size)``; a size of None has no end."""
    if trial < 0 or (size is not None and trial >= size):
        raise IndexError(f"trial {trial} is not among the {'endless' if size is None else size} trials")
