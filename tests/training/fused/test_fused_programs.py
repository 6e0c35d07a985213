"""Numbers of lanes: programs are bought when renting has cost as much, and the best as measured is
taken.
"""

import random
from typing import Any

import pytest

from ashtune._src.training.fused.fused_protocol import MOST_EPOCHS, Variant
from ashtune._src.training.fused.programs import QUICK_COMPILING, Learnt, Shape, powers
from tests.training.fused.toy_lanes import ToyBackend


def shape(
    most: int, *, turns: int = 1, is_fixed: bool = False, learnt: Learnt | None = None, **more: Any
) -> Shape:
    return Shape(
        ToyBackend(most, most_turns=turns, **more), (), most, is_fixed=is_fixed, learnt=learnt
    )


def lanes_of(shape: Shape, lanes: int, epochs: int = 1) -> int | str:
    """Return how many lanes the program that is chosen has side by side;
    "quick" for the quick one.
    """
    return name(shape.choose(lanes, epochs).variant)


def name(variant: Variant) -> int | str:
    return "quick" if variant.quick else variant.lanes


def variant(shape: Shape, wanted: int | str) -> Variant:
    return next(variant for variant in shape._variants if name(variant) == wanted)


def there(shape: Shape, *lanes: int) -> None:
    """From now on another worker has programs for these numbers of lanes."""
    shape._backend.there = {variant(shape, wanted) for wanted in lanes}  # type: ignore[attr-defined]


def run(
    shape: Shape, packs: list[tuple[int, int]], seconds: dict[int | str, float], compiling: float
) -> tuple[float, float]:
    """Train packs of (lanes, epochs) call by call; return the seconds spent compiling and training.

    ``seconds`` is what an epoch takes of the lanes that a program trains side by side.
    """
    bought: set[Variant] = set()
    spent = trained = 0.0
    for lanes, epochs in packs:
        left = lanes
        while left:
            used = shape.choose(left, epochs).variant
            together, done = shape.call(used, left, epochs).lanes, 0
            while done < epochs:
                if used not in bought:
                    bought.add(used)
                    price = compiling * (QUICK_COMPILING if used.quick else 1.0)
                    spent += price
                    shape.note_compiled(used, price)
                stretch = shape.call(used, together, epochs - done).epochs
                trained += stretch * used.turns_for(together) * seconds[name(used)]
                shape.note_trained(used, seconds[name(used)])
                done += stretch
                if done < epochs:
                    other = shape.choose(together, epochs - done).variant
                    used = other if other.room >= together else used
            left -= together
    return spent, trained


def test_the_possible_numbers_of_lanes_are_powers_of_four_and_the_maximum() -> None:
    assert powers(1) == [1]
    assert powers(8) == [1, 4, 8]
    assert powers(64) == [1, 4, 16, 64]


def test_a_fixed_number_of_lanes_is_used_for_every_pack() -> None:
    fixed = shape(8, is_fixed=True, is_quick=True)
    assert {lanes_of(fixed, lanes) for lanes in (1, 3, 8)} == {8}
    fixed.note_trained(Variant(8), 100.0)
    assert {lanes_of(fixed, lanes, 64) for lanes in (1, 3, 8)} == {8}


def test_a_program_that_another_worker_has_compiled_is_used_at_once() -> None:
    new = shape(16)
    there(new, 1, 4, 16)
    assert lanes_of(new, 5) == 4, "the largest that is filled"
    there(new, 16)
    assert lanes_of(new, 3) == 1, "most of its lanes would be empty"
    new.note_trained(Variant(1), 1.0e-3)
    there(new)
    assert lanes_of(new, 16) == 1
    there(new, 16)
    assert lanes_of(new, 16) == 16


FASTER: dict[int | str, float] = {1: 1.0e-3, 4: 2.6e-3, 16: 8.5e-3}
SLOWER: dict[int | str, float] = {1: 1.0e-3, 4: 5.2e-3, 16: 20.8e-3}


def test_packs_are_trained_by_wide_programs_and_single_trials_by_narrow_programs() -> None:
    full = shape(16)
    run(full, [(16, 1)] * 3_000, FASTER, 1.0)
    assert lanes_of(full, 16) == 16
    run(full, [(1, 16)] * 300, FASTER, 1.0)
    assert lanes_of(full, 1, 16) == 1


def test_models_are_trained_one_by_one_if_programs_with_lanes_are_slower() -> None:
    slower = shape(16)
    run(slower, [(16, 4)] * 3_000, SLOWER, 1.0)
    assert [lanes_of(slower, lanes) for lanes in (1, 5, 16)] == [1, 1, 1]


@pytest.mark.parametrize("is_quick", [False, True])
def test_the_program_with_most_lanes_is_compiled_if_lanes_increase_the_speed(
    is_quick: bool,
) -> None:
    large = shape(256, turns=16, is_quick=is_quick)
    seconds: dict[int | str, float] = {"quick": 3.0e-3} | {
        lanes: 1.0e-3 * lanes**0.7 for lanes in powers(256)
    }
    run(large, [(256, 1)] * 1_000, seconds, 0.1)
    assert lanes_of(large, 256) == 256


def test_a_larger_program_is_compiled_when_lost_time_reaches_its_compile_time() -> None:
    """Of 16 lanes in turns of one, each turn could have saved what it alone takes longer, not what
    all 16 do.
    """
    rented = shape(16, gain=0.8, compile_seconds=0.1)
    rented.note_trained(Variant(1), 1.0e-3)
    turns = 1
    while lanes_of(rented, 16) == 1:
        turns += 1
    assert turns == pytest.approx(0.1 / (1.0e-3 * (1 - 0.8**4)), abs=1)


def test_one_call_of_a_program_trains_about_a_quarter_of_a_second() -> None:
    timed, one, many = shape(16, turns=16), Variant(1, 16), Variant(16)
    assert timed.call(one, 8, 9) == (1, 1), "nothing is known"
    assert timed.call(many, 8, 9) == (8, 1), "side by side the others cost nothing"
    timed.note_trained(one, 0.01)
    timed.note_trained(many, 0.04)
    assert timed.call(one, 1, 1_000) == (1, 25)
    assert timed.call(one, 8, 1_000) == (8, 3)
    assert timed.call(one, 99, 1_000) == (16, 1)
    assert timed.call(many, 99, 1_000) == (16, 6)
    assert timed.call(many, 99, 4) == (16, 4)
    timed.note_trained(one, 1e-9)
    assert timed.call(one, 99, 1_000) == (16, MOST_EPOCHS)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("slowness", [0.0, 1.1, 3.0])
@pytest.mark.parametrize("seconds", [FASTER, SLOWER])
def test_the_chosen_programs_need_at_most_about_twice_the_optimal_time(
    seed: int, seconds: dict[int | str, float], slowness: float
) -> None:
    """Every set of programs is tried, as what someone who knew would buy. Each is bought for at
    most what was lost for want of it, and on a guess that was wrong at most once: twice the best,
    and a program each.
    """
    chance = random.Random(seed)
    packs = [
        (chance.choice([1, 1, 2, 3, 5, 16]), chance.choice([1, 2, 8, 32]))
        for _ in range(chance.choice([5, 50, 500]))
    ]
    if slowness:
        seconds = {"quick": slowness * seconds[1], **seconds}
    learning = shape(16, is_quick=bool(slowness), turns=16 if slowness else 1)
    total = sum(run(learning, packs, seconds, 0.5))
    side = {wanted: 1 if wanted == "quick" else int(wanted) for wanted in seconds}
    some = [
        [size for bit, size in enumerate(seconds) if mask >> bit & 1]
        for mask in range(1, 1 << len(seconds))
    ]
    best = min(
        sum(0.5 * (QUICK_COMPILING if size == "quick" else 1) for size in bought)
        + sum(
            epochs * min(-(-lanes // side[size]) * seconds[size] for size in bought)
            for lanes, epochs in packs
        )
        for bought in some
    )
    assert total <= 2 * best + 0.5 * len(seconds)
