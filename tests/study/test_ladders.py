"""Which ladder a study continues with that is asked for again."""

import pytest

from ashtune._src.core.ladder import Ladder
from ashtune._src.study.settings import extend_ladder

FIRST = Ladder(1, 5, 2)
LATER = FIRST.lengthened(12)


@pytest.mark.parametrize(
    ("now", "wanted", "rungs"),
    [
        (FIRST, FIRST, (1, 2, 4, 5)),
        (FIRST, FIRST.lengthened(16), (1, 2, 4, 5, 10, 16)),
        (FIRST, Ladder(1, 16, 2), (1, 2, 4, 5, 10, 16)),  # its own rungs, and not 8
        (LATER, FIRST, (1, 2, 4, 5, 10, 12)),
        (LATER, FIRST.lengthened(16), (1, 2, 4, 5, 10, 12, 16)),
        (FIRST, Ladder(1, 4, 2), None),  # a lower top
        (FIRST, Ladder(2, 10, 2), None),  # other rungs
        (FIRST, Ladder(1, 16, 3), None),
        # others of its trials continue
        (LATER, Ladder.from_record(((1, 2, 4, 5), ((1, 3), (1, 3), (1, 3)))), None),
    ],
)
def test_adding_rungs_keeps_the_rungs_below_the_old_maximum(
    now: Ladder, wanted: Ladder, rungs: tuple[int, ...] | None
) -> None:
    ladder = extend_ladder(FIRST, now, wanted)
    assert (None if ladder is None else ladder.rungs) == rungs
