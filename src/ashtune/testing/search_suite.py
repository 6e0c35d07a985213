"""A suite of checks for ashtune's searches and for your own search.

Example:
    >>> from ashtune import Mutation, Random
    >>> check_design(Random(), {"x": (0.0, 1.0), "n": (1, 8)})
    >>> check_proposer(Mutation(), {"x": (0.0, 1.0), "n": (1, 8)})
"""

import math
import random
from collections.abc import Callable
from copy import deepcopy

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.search.origins import DESIGNS
from ashtune._src.search.search_protocol import Design, Proposal, Search
from ashtune._src.space.space import Space

__all__ = ["check_design", "check_proposer"]

# A resumed study builds its search again and asks for trials that it has had before. So everything
# that a search returns must depend only on its options, the seed, the trial's number and the calls.
# These checks find a random generator that is shared between trials or with the user's program,
# numbers of numpy, which JSON cannot write, and a list that the search returns but also keeps. The
# seed has more than 32 bits, since many generators accept at most 32 bits.
SEEDS = (0, 1, 2**40)
MAX_RESOURCE = 9
KNOWN = 20


def check_design(search: Search, space: object, *, trials: int = 600) -> None:
    """Raise an error if the design that a search builds is not correct.

    Args:
        search: The search with its options.
        space: The search space in any form that ``tune`` takes.
        trials: The largest number of trials to check.

    Raises:
        AssertionError: If the design is not correct.
        SpaceError: If the space does not suit the search.
    """
    parsed = Space.parse(space)
    for seed in SEEDS:
        check_sequence(lambda: search.build(parsed, seed), parsed, trials=trials)  # noqa: B023 - called immediately


def check_sequence(build: Callable[[], Design], space: Space, *, trials: int = 600) -> None:
    """Check that all designs from ``build`` have the same configuration for the same trial number.

    Args:
        build: A function that returns a new design.
        space: The search space.
        trials: The largest number of trials to check.

    Raises:
        AssertionError: If a trial's configuration depends on the order of calls, is not in the
            space, is shared with the design, or is repeated in a finite design.
    """
    design = build()
    size = design.size
    assert size is None or size >= 0, f"size={size}"
    numbers = range(trials if size is None else min(trials, size))
    # The check uses copies, because the design might later change a configuration that it has
    # returned.
    drawn = [deepcopy(design.configuration(trial)) for trial in numbers]
    _check_plain(drawn, space)
    _check_order(build, drawn)
    for trial in (numbers[0], numbers[-1]) if numbers else ():
        taken = design.configuration(trial)
        for value in taken.values():
            if isinstance(value, list):
                value.append("changed by the caller")
        taken.clear()
        assert design.configuration(trial) == drawn[trial], (
            f"a caller that changes the configuration of trial {trial} changes the design"
        )
    if size is None:
        assert not drawn or design.find(drawn[0]) is None, (
            "find() of an infinite design must return None"
        )
        return
    texts = {repr(sorted(configuration.items())) for configuration in drawn}
    assert len(texts) == len(drawn), "a finite design has a configuration twice"
    for trial in {numbers[0], numbers[-1], numbers[len(numbers) // 2]} if numbers else ():
        assert design.find(drawn[trial]) == trial, (
            f"find() does not find trial {trial} by its configuration"
        )
    # In Python, -1 is the index of the last element of a list, so a design that keeps a list must
    # refuse -1.
    for outside in (-1, size):
        try:
            design.configuration(outside)
        except IndexError:
            continue
        raise AssertionError(f"configuration({outside}) of {size} trials must raise IndexError")


def _check_plain(drawn: list[dict[str, object]], space: Space) -> None:
    # Values are compared as texts, because 1 == True == 1.0, but a journal and a training function
    # distinguish them.
    for trial, configuration in enumerate(drawn):
        checked = space.check(configuration)
        assert repr(checked) == repr(configuration), (
            f"trial {trial} is {configuration}, but its plain values are {checked}"
        )


def _check_order(build: Callable[[], Design], drawn: list[dict[str, object]]) -> None:
    """Check that a trial's configuration does not depend on the order of the calls."""
    # A study asks for trials in the order in which workers become free, and asks again after a
    # resume. A design that draws all trials from one generator would then give different
    # configurations. A shuffled order, a single call, and the last three trials in reverse order
    # find designs that count calls, fill a list, or draw in blocks.
    order = list(range(len(drawn)))
    random.Random(0).shuffle(order)
    for some in (order, order[:1], sorted(order, reverse=True)[:3]):
        design = build()
        for trial in some:
            assert design.configuration(trial) == drawn[trial], (
                f"trial {trial} depends on the order of calls"
            )


def check_proposer(search: Search, space: object, *, trials: int = 60) -> None:
    """Raise an error if a search with a proposer makes an incorrect design or an incorrect
    proposal.

    Args:
        search: The search with its options.
        space: The search space in any form that ``tune`` takes.
        trials: The number of proposals to check. Results arrive between the proposals.

    Raises:
        AssertionError: If the design or a proposal is not correct.
        SpaceError: If a proposal is not a configuration of the space.
    """
    check_design(search, space, trials=trials)
    assert search.has_proposer, f"{search} overrides no proposer()"
    assert search.design_origin in DESIGNS, (
        f"design_origin={search.design_origin!r} is none of {DESIGNS}"
    )
    parsed = Space.parse(space)
    for seed in SEEDS:
        # The global random generator belongs to the user's program. If a search drew from it, the
        # program's next random numbers would change, and the search would depend on the program's
        # earlier draws.
        state = random.getstate()
        first = _proposed(search, parsed, seed, trials)
        assert random.getstate() == state, "the search draws from the module random"
        assert _proposed(search, parsed, seed, trials) == first, (
            "the search proposes other configurations after the same calls"
        )
    _proposed(search, parsed, SEEDS[0], max(1, trials // 4), known=KNOWN)


def _proposed(
    search: Search, space: Space, seed: int, trials: int, known: int = 0
) -> list[Proposal | None]:
    """Return the proposals in a random study with three rungs. Each job ends with a result, a
    failure or no message.

    The proposer gets results of ``known`` configurations before the study begins.
    """
    chance = random.Random(seed)
    design = search.build(space, seed)
    proposer = search.proposer(space, seed, MAX_RESOURCE)
    assert proposer is not None, f"{search} has no proposer for this space"
    assert search.most_ahead >= 0, f"most_ahead={search.most_ahead}"
    for number in range(known if design.size is None else min(known, design.size)):
        configuration = space.check(design.configuration(number))
        result = Result(
            TrialId(-1 - number), number % 3, 3 ** (number % 3), (chance.random(),), 0.0
        )
        before = deepcopy(configuration)
        proposer.know(result, configuration)
        assert repr(configuration) == repr(before), "the proposer changes a given configuration"
    proposals: list[Proposal | None] = []
    for trial in range(trials if design.size is None else min(trials, design.size)):
        proposal = proposer.propose(trial)
        proposals.append(deepcopy(proposal))
        configuration = design.configuration(trial) if proposal is None else proposal.configuration
        checked = space.check(configuration)
        assert repr(checked) == repr(configuration), (
            f"trial {trial} is {configuration}, but its plain values are {checked}"
        )
        for rung in range(3):
            before = deepcopy(checked)
            proposer.started(Job(TrialId(trial), rung), checked)
            loss = chance.choice((chance.random(), chance.random(), math.inf))
            # The other results never arrive, as if the driver had been killed.
            if chance.random() < 0.9:
                proposer.observe(Result(TrialId(trial), rung, 3**rung, (loss,), 1.0), checked)
            assert repr(checked) == repr(before), "the proposer changes a given configuration"
            if loss > 0.4:
                break
    return proposals
