"""What sort of origin is what the journal says."""

import pytest

from ashtune._src.search.origins import FAILED, NOT_READY, OF_OTHER_TASKS, REPLACED, Sort, sort_of


@pytest.mark.parametrize(
    ("origin", "sort"),
    [
        ("", Sort.RANDOM),
        ("random", Sort.RANDOM),
        ("design", Sort.RANDOM),
        (f"random{NOT_READY}", Sort.RANDOM),
        (f"design{REPLACED}", Sort.RANDOM),
        (f"random{FAILED}", Sort.RANDOM),
        ("gp, 23 results", Sort.MODEL),
        ("TPESampler, 9 results", Sort.MODEL),
        ("script", Sort.MODEL),
        ("mutation of 17", Sort.MUTATION),
        (f"mutation of 17{NOT_READY}", Sort.STANDING_IN),
        (f"one step from 3{NOT_READY}", Sort.STANDING_IN),
        ("enqueued", Sort.ENQUEUED),
        (OF_OTHER_TASKS, Sort.ENQUEUED),
        ("confirms 17", Sort.OTHER),
    ],
)
def test_each_recorded_origin_of_a_trial_is_assigned_the_right_category(
    origin: str, sort: Sort
) -> None:
    assert sort_of(origin) is sort
