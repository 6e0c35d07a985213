"""Numbers of lanes: programs are bought when renting has cost as much, and the best as measured is taken."""

import random

import pytest

from ashtune.jobs import TrialId
from ashtune.training.fused.computation import MOST_EPOCHS
from ashtune.training.fused.memory import Kept
from ashtune.training.fused.sizes import QUICK, QUICK_COMPILING, Sizes, powers, turns_of


def run(sizes: Sizes, packs: list[tuple[int, int]], seconds: dict[int, float], compiling: float) -> tuple[float, float]:
    """Train packs of (lanes, epochs) call by call; return the seconds spent compiling and training.

    ``seconds`` is what an epoch takes of the lanes that a size trains side by side.
    """
    bought: set[int] = set()
    spent = trained = 0.0
    for lanes, epochs in packs:
        left = lanes
        while left:
            size = sizes.choose(left, epochs)
            together, done = sizes.call(size, left, epochs).lanes, 0
            while done < epochs:
                if size not in bought:
                    bought.add(size)
                    price = compiling * (QUICK_COMPILING if size == QUICK else 1.0)
                    spent += price
                    sizes.compiled(size, price)
                stretch = sizes.call(size, together, epochs - done).epochs
                trained += stretch * turns_of(size, together) * seconds[size]
                sizes.trained(size, seconds[size])
                done += stretch
                if done < epochs:
                    found = sizes.choose(together, epochs - done)
                    size = found if max(found, sizes.turns if found <= 1 else 1) >= together else size
            left -= together
    return spent, trained


def test_powers_of_four_up_to_the_largest() -> None:
    assert powers(1) == [1]
    assert powers(8) == [1, 4, 8]
    assert powers(64) == [1, 4, 16, 64]


def test_a_fixed_number_is_taken_whatever_a_pack_has() -> None:
    sizes = Sizes(8, is_fixed=True)
    sizes.trained(8, 100.0)
    assert {sizes.choose(lanes, 64) for lanes in (1, 3, 8)} == {8}


def test_the_first_program_has_one_lane() -> None:
    sizes = Sizes(32)
    assert sizes.is_new
    assert [sizes.choose(lanes, 1) for lanes in (1, 3, 20)] == [1, 1, 1]


def test_what_another_worker_has_compiled_is_taken_before_it_would_have_paid() -> None:
    sizes = Sizes(16)
    assert sizes.choose(3, 1, {4, 16}.__contains__) == 4, "the fewest, as no number is filled"
    assert sizes.choose(5, 1, {1, 4, 16}.__contains__) == 4
    assert sizes.choose(3, 1, {16}.__contains__) == 1, "most of its lanes would be empty"
    sizes.trained(1, 1.0e-3)
    assert sizes.choose(16, 1) == 1
    assert sizes.choose(16, 1, {16}.__contains__) == 16


FASTER = {1: 1.0e-3, 4: 2.6e-3, 16: 8.5e-3}
SLOWER = {size: 1.3e-3 * size if size > 1 else 1e-3 for size in FASTER}


def test_in_the_long_run_full_packs_have_the_best_program_and_single_trials_their_own() -> None:
    sizes = Sizes(16)
    run(sizes, [(16, 1)] * 3_000, FASTER, 1.0)
    assert sizes.choose(16, 1) == 16
    run(sizes, [(1, 16)] * 300, FASTER, 1.0)
    assert sizes.choose(1, 16) == 1


def test_a_shape_whose_lanes_are_slower_is_trained_one_by_one() -> None:
    sizes = Sizes(16)
    run(sizes, [(16, 4)] * 3_000, SLOWER, 1.0)
    assert [sizes.choose(lanes, 1) for lanes in (1, 5, 16)] == [1, 1, 1]


@pytest.mark.parametrize("is_quick", [False, True])
def test_the_largest_is_come_to_as_long_as_each_larger_one_has_paid(is_quick: bool) -> None:
    sizes = Sizes(256, turns=16, is_quick=is_quick)
    seconds = {QUICK: 3.0e-3} | {size: 1.0e-3 * size**0.7 for size in powers(256)}
    run(sizes, [(256, 1)] * 1_000, seconds, 0.1)
    assert sizes.choose(256, 1) == 256


def test_little_work_compiles_one_program_and_no_more() -> None:
    sizes = Sizes(16)
    spent, _ = run(sizes, [(chance, 1) for chance in (4, 1, 2, 16, 3)], FASTER, 1.0)
    assert spent == 1.0


def test_a_program_is_bought_when_what_was_rented_comes_to_its_price() -> None:
    """Of 16 lanes in turns of one, each turn could have saved what it alone takes longer, not what all 16 do."""
    sizes = Sizes(16, gain=0.8, compile_seconds=0.1)
    sizes.trained(1, 1.0e-3)
    turns = 1
    while sizes.choose(16, 1) == 1:
        turns += 1
    assert turns == pytest.approx(0.1 / (1.0e-3 * (1 - 0.8**4)), abs=1)


@pytest.mark.parametrize(("epoch_seconds", "lanes", "epochs"), [(1e-3, 16, 1), (0.1, 2, 1), (1.0, 1, 1)])
def test_only_what_a_call_trains_is_rented(epoch_seconds: float, lanes: int, epochs: int) -> None:
    """In turn a call trains 16 lanes of a small model at once, and of a large one what takes a quarter of a second."""
    sizes = Sizes(16, turns=16, gain=0.8, compile_seconds=10.0)
    sizes.trained(1, epoch_seconds)
    assert sizes.call(1, 16, epochs) == (lanes, epochs)
    calls = 1
    while sizes.choose(16, epochs) == 1:
        calls += 1
    assert calls == pytest.approx(10.0 / (lanes * epochs * epoch_seconds * (1 - 0.8**4)), abs=1)


def test_a_call_takes_about_a_quarter_of_a_second() -> None:
    sizes = Sizes(16, turns=16)
    assert sizes.call(1, 8, 9) == (1, 1), "nothing is known"
    assert sizes.call(16, 8, 9) == (8, 1), "side by side the others cost nothing"
    sizes.trained(1, 0.01)
    sizes.trained(16, 0.04)
    assert sizes.call(1, 1, 1_000) == (1, 25)
    assert sizes.call(1, 8, 1_000) == (8, 3)
    assert sizes.call(1, 99, 1_000) == (16, 1)
    assert sizes.call(16, 99, 1_000) == (16, 6)
    assert sizes.call(16, 99, 4) == (16, 4)
    sizes.trained(1, 1e-9)
    assert sizes.call(1, 99, 1_000) == (16, MOST_EPOCHS)


def test_a_shape_begins_with_the_quickly_compiled_program_and_leaves_it_after_as_long_as_another_costs() -> None:
    """However much slower it is, no more is lost than the price of the other."""
    sizes = Sizes(1, is_quick=True)
    assert sizes.choose(1, 4) == QUICK
    sizes.compiled(QUICK, 0.3)
    sizes.trained(QUICK, 1.0e-3)
    epochs = 0
    while sizes.choose(1, 4) == QUICK:
        epochs += 4
    assert epochs == pytest.approx(0.3 / QUICK_COMPILING / 1.0e-3, abs=4)
    sizes.trained(1, 1.2e-3)
    assert sizes.choose(1, 4) == QUICK, "the other is no faster"
    sizes.trained(1, 0.2e-3)
    assert sizes.choose(1, 4) == 1
    assert sizes.alone_seconds == 1.0e-3


def test_what_another_shape_has_shown_says_how_long_the_quickly_compiled_program_is_kept() -> None:
    other, sizes = Sizes(1, is_quick=True), Sizes(1, is_quick=True, compile_seconds=0.1)
    other.trained(QUICK, 1.25e-3)
    assert other.quick_lost is None
    other.trained(1, 1.0e-3)
    assert other.quick_lost == pytest.approx(0.2)
    sizes.trained(QUICK, 1.0e-3)
    epochs = 0
    while sizes.choose(1, 1, quick_lost=0.2) == QUICK:
        epochs += 1
    assert epochs == pytest.approx(0.1 / 1.0e-3 / 0.2, abs=2)
    other.trained(QUICK, 0.5e-3)
    assert other.quick_lost == 0.0, "it is the faster one"


def test_the_quickly_compiled_program_says_nothing_of_what_larger_ones_take() -> None:
    sizes = Sizes(16, turns=16, is_quick=True, compile_seconds=0.1)
    sizes.trained(QUICK, 9.0e-3)
    sizes.trained(1, 1.0e-3)
    sizes.trained(4, 3.9e-3)
    calls = 1
    while sizes.choose(16, 1) != 16:
        calls += 1
    assert calls == pytest.approx(0.1 / (3.9e-3 * (1 - 0.9**2)), abs=1)


def test_after_the_quickly_compiled_program_what_another_worker_has_is_taken_at_once() -> None:
    sizes = Sizes(16, turns=16, is_quick=True)
    sizes.trained(QUICK, 1.0e-3)
    assert sizes.choose(16, 1) == QUICK
    assert sizes.choose(2, 1, {1, 16}.__contains__) == 1
    assert sizes.choose(16, 1, {1, 16}.__contains__) == 16


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("slowness", [0.0, 1.1, 3.0])
@pytest.mark.parametrize("seconds", [FASTER, SLOWER])
def test_it_never_costs_much_more_than_had_all_been_known_before(
    seed: int, seconds: dict[int, float], slowness: float
) -> None:
    """Every set of programs is tried, as what someone who knew would buy. Each is bought for at most what was lost for
    want of it, and on a guess that was wrong at most once: twice the best, and a program each.
    """
    chance = random.Random(seed)
    packs = [
        (chance.choice([1, 1, 2, 3, 5, 16]), chance.choice([1, 2, 8, 32])) for _ in range(chance.choice([5, 50, 500]))
    ]
    if slowness:
        seconds = {QUICK: slowness * seconds[1], **seconds}
    sizes = Sizes(16, is_quick=bool(slowness), turns=16 if slowness else 1)
    total = sum(run(sizes, packs, seconds, 0.5))
    best = min(
        sum(0.5 * (QUICK_COMPILING if size == QUICK else 1) for size in bought)
        + sum(epochs * min(turns_of(size, lanes) * seconds[size] for size in bought) for lanes, epochs in packs)
        for bought in [
            [size for bit, size in enumerate(seconds) if mask >> bit & 1] for mask in range(1, 1 << len(seconds))
        ]
    )
    assert total <= 2 * best + 0.5 * len(seconds)


def test_until_something_was_compiled_a_second_is_assumed() -> None:
    """Of four lanes a quarter is used at 0.1 s an epoch; one lane is guessed to need 0.039 s."""
    sizes = Sizes(4, gain=0.8)
    sizes.trained(4, 0.1)
    rounds = 0
    while sizes.choose(1, 1) == 4:
        rounds += 1
    assert (rounds + 1) * (0.1 - 0.1 / 4 / 0.8**2) == pytest.approx(1.0, abs=0.06)


def test_states_are_kept_up_to_so_many_bytes_and_given_out_once() -> None:
    kept = Kept(10)
    for trial in range(4):
        kept.put(TrialId(trial), 1, f"state {trial}", 4)
    assert kept.take(TrialId(0), 1) is None
    assert kept.take(TrialId(3), 2) is None
    assert kept.take(TrialId(3), 1) == "state 3"
    assert kept.take(TrialId(3), 1) is None
    kept.put(TrialId(9), 1, "large", 11)
    assert kept.take(TrialId(9), 1) is None
    kept.put(TrialId(8), 1, "fits", 10)
    assert kept.take(TrialId(8), 1) == "fits"
