"""What is enqueued while a study runs: the next new trial has it, and where configurations end each
is tried once.
"""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.jobs import TrialId
from ashtune._src.search.search_protocol import Design
from ashtune._src.search.search_registry import SEARCHES, design_of
from ashtune._src.space.plain import identity
from ashtune._src.space.space import Space
from ashtune._src.study.configurations import Configurations

SPACE = Space.parse({"a": [1, 2, 3, 4], "b": ["x", "y"]})
ENDLESS = Space.parse({"a": (0.0, 1.0)})
ALL = [{"a": a, "b": b} for a in (1, 2, 3, 4) for b in ("x", "y")]
FIRST = [{"a": 2, "b": "y"}, {"a": 4, "b": "x"}]


def design_for(kind: str, first: Sequence[dict[str, Any]] = (), *, grouped: bool = False) -> Design:
    return design_of(
        SEARCHES.part(kind), SPACE, 3, enqueued=first, grouped_by=("b",) if grouped else ()
    )


def wished(configurations: Configurations, configuration: dict[str, Any]) -> bool:
    """Enqueue a configuration as a driver does; say whether it was taken."""
    try:
        configurations.check_enqueued(configuration)
    except SettingsError:
        return False
    configurations.enqueue(dict(configuration))
    return True


@given(
    kind=st.sampled_from(["random", "grid", "sobol"]),
    first=st.sampled_from([[], FIRST]),
    grouped=st.booleans(),
    steps=st.lists(st.one_of(st.none(), st.integers(0, 7)), max_size=24),
    kill_at=st.integers(0, 24),
)
def test_each_configuration_of_a_finite_design_is_tried_once(
    kind: str, first: list[dict[str, Any]], grouped: bool, steps: list[int | None], kill_at: int
) -> None:
    def made() -> Configurations:
        return Configurations(design_for(kind, first, grouped=grouped), enqueued=len(first))

    configurations, journal, tried, due = made(), [], [], []
    for at, step in enumerate([*steps, *[None] * len(ALL)]):
        if at == kill_at:  # another driver reads the journal
            configurations = made()
            for trial, configuration, origin in journal:
                if trial < 0:
                    configurations.enqueue(configuration)
                else:
                    configurations.put(TrialId(trial), configuration, origin=origin)
        if step is not None:
            if wished(configurations, ALL[step]):
                journal.append((-1, ALL[step], ""))
                due.append(ALL[step])
        elif len(tried) < len(ALL):
            trial = len(tried)
            proposal = configurations.draw(TrialId(trial))
            if due and trial >= len(first):
                assert (proposal.configuration, proposal.origin) == (due.pop(0), "enqueued")
            tried.append(proposal.configuration)
            journal.append((trial, proposal.configuration, proposal.origin))
    assert {identity(each) for each in tried} == {identity(each) for each in ALL}
    assert due == []


def test_an_enqueued_configuration_changes_only_its_own_trial() -> None:
    def made() -> Configurations:
        return Configurations(SEARCHES.part("random").build(ENDLESS, 3))

    plain, other = made(), made()
    expected = [plain.draw(TrialId(trial)).configuration for trial in range(6)]
    before = [other.draw(TrialId(trial)).configuration for trial in range(2)]
    other.check_enqueued({"a": 0.5})
    other.enqueue({"a": 0.5})
    assert other.waiting == 1
    after = [other.draw(TrialId(trial)) for trial in range(2, 6)]
    assert other.waiting == 0
    assert [*before, *(each.configuration for each in after)] == [
        *expected[:2],
        {"a": 0.5},
        *expected[3:],
    ]
    assert [each.origin for each in after] == ["enqueued", "", "", ""]


def test_configurations_that_were_enqueued_at_the_start_count_as_waiting() -> None:
    configurations = Configurations(design_for("random", FIRST), enqueued=len(FIRST))
    assert configurations.waiting == 2
    configurations.draw(TrialId(0))
    assert wished(configurations, ALL[0])
    assert configurations.waiting == 2
    configurations.draw(TrialId(1))
    configurations.draw(TrialId(2))
    assert configurations.waiting == 0


def test_a_tried_configuration_can_be_enqueued_only_in_an_endless_design() -> None:
    endless = Configurations(SEARCHES.part("random").build(ENDLESS, 3))
    drawn = endless.draw(TrialId(0)).configuration
    endless.check_enqueued(drawn)
    finite = Configurations(design_for("random"))
    drawn = finite.draw(TrialId(0)).configuration
    with pytest.raises(SettingsError):
        finite.check_enqueued(drawn)


def test_a_configuration_outside_of_a_grid_is_refused() -> None:
    grid = design_of(SEARCHES.part("grid:points=3"), Space.parse({"a": (0.0, 1.0)}), 0)
    with pytest.raises(SettingsError):
        Configurations(grid).check_enqueued({"a": 0.25})
    Configurations(grid).check_enqueued(grid.configuration(1))


def test_a_confirmation_uses_no_enqueued_configuration() -> None:
    configurations = Configurations(SEARCHES.part("random").build(ENDLESS, 3))
    configurations.draw(TrialId(0))
    configurations.enqueue({"a": 0.5})
    assert configurations.repeat(TrialId(0), TrialId(1)).configuration == configurations[TrialId(0)]
    assert configurations.waiting == 1
    assert configurations.draw(TrialId(2)).configuration == {"a": 0.5}
