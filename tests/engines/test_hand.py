"""Who is to blame when a worker dies."""

import pytest

from ashtune.engines.hand import Hand
from ashtune.jobs import TrialId, WorkerId
from ashtune.orders import Train


def job(trial: int, *, in_place: bool = False) -> Train:
    return Train(WorkerId(0), TrialId(trial), 0, 0, 1, in_place)


def hand_of(*trials: int, together: bool) -> Hand[Train]:
    hand = Hand[Train]()
    hand.trains_together = together
    for trial in trials:
        hand.take(job(trial))
    return hand


def blamed(hand: Hand[Train]) -> int | None:
    return None if hand.to_blame is None else hand.to_blame.trial


def test_the_first_job_that_came_is_to_blame_and_one_in_place_comes_before_it() -> None:
    hand = hand_of(3, 4, together=False)
    assert blamed(hand) == 3
    hand.take(job(2, in_place=True))
    assert blamed(hand) == 2
    assert hand.end(TrialId(2))
    assert not hand.end(TrialId(2)), "it has ended already"
    assert blamed(hand) == 3


def test_an_empty_hand_has_nobody_to_blame() -> None:
    assert blamed(hand_of(together=False)) is None
    assert blamed(hand_of(together=True)) is None


def test_of_several_trained_together_none_is_to_blame() -> None:
    hand = hand_of(3, 4, together=True)
    assert blamed(hand) is None
    hand.end(TrialId(3))
    assert blamed(hand) == 4, "there is no other left"


@pytest.mark.parametrize("ends", [0, 2])
def test_one_that_is_trained_alone_is_to_blame_as_long_as_it_is_trained(ends: int) -> None:
    hand = hand_of(0, 1, 2, 3, together=True)
    hand.begin_alone(TrialId(2))
    hand.end(TrialId(ends))
    assert blamed(hand) == (2 if ends == 0 else None)
