"""Numbers of lanes: programs are bought when renting has cost as much, and the best as measured is taken."""

import random

import pytest

from ashtune.jobs import TrialId
from ashtune.training.fused.memory import Kept
from ashtune.training.fused.sizes import DOUBLINGS, GAIN, QUICK, QUICK_COMPILING, QUICK_EPOCH, Sizes, powers


def run(sizes: Sizes, packs: list[tuple[int, int]], seconds: dict[int, float], compiling: float) -> tuple[float, float]:
    """Train packs of (lanes, epochs); return the seconds spent compiling and training."""
    bought: set[int] = set()
    spent = trained = 0.0
    for lanes, epochs in packs:
        left = lanes
        while left:
            size = sizes.choose(left, epochs)
            if size not in bought:
                bought.add(size)
                spent += compiling
                sizes.compiled(size, compiling)
            trained += epochs * seconds[size]
            sizes.trained(size, seconds[size])
            left -= min(size, left)
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


FASTER = {1: 1.0e-3, 2: 1.6e-3, 4: 2.6e-3, 8: 4.6e-3, 16: 8.5e-3}
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


def test_little_work_compiles_one_program_and_no_more() -> None:
    sizes = Sizes(16)
    spent, _ = run(sizes, [(chance, 1) for chance in (4, 1, 2, 16, 3)], FASTER, 1.0)
    assert spent == 1.0


def test_a_program_is_bought_when_what_was_rented_comes_to_its_price() -> None:
    """Of 16 lanes in turns of one, each turn could have saved what it alone takes longer, not what all 16 do."""
    sizes = Sizes(16, compile_seconds=0.1)
    sizes.trained(1, 1.0e-3)
    turns = 1
    while sizes.choose(16, 1) == 1:
        turns += 1
    assert turns == pytest.approx(0.1 / (1.0e-3 * (1 - GAIN**DOUBLINGS)), abs=1)


def test_a_shape_begins_with_the_program_that_is_quickly_compiled_until_another_has_paid() -> None:
    sizes = Sizes(1, is_quick=True)
    assert sizes.choose(1, 4) == QUICK
    sizes.compiled(QUICK, 0.3)
    sizes.trained(QUICK, 1.0e-3)
    epochs = 0
    while sizes.choose(1, 4) == QUICK:
        epochs += 4
    assert epochs == pytest.approx(0.3 / QUICK_COMPILING / (1.0e-3 * (1 - 1 / QUICK_EPOCH)), abs=4)
    sizes.trained(1, 1.2e-3)
    assert sizes.choose(1, 4) == QUICK, "the other was bought on a guess that was wrong"
    sizes.trained(1, 0.2e-3)
    assert sizes.choose(1, 4) == 1
    assert sizes.alone_seconds == 1.0e-3


def test_a_program_for_one_lane_after_another_is_not_asked_for_again_what_it_trains_in_one_call() -> None:
    """What 16 side by side would have saved is counted for all that a call trains, once."""
    sizes = Sizes(16, turns=16, compile_seconds=0.1)
    sizes.trained(1, 1.0e-3)
    calls = 1
    while sizes.choose(16, 1) == 1:
        calls += 1
    assert calls == pytest.approx(0.1 / (16.0e-3 * (1 - GAIN**DOUBLINGS)), abs=1)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("seconds", [FASTER, SLOWER])
def test_it_never_costs_much_more_than_had_all_been_known_before(seed: int, seconds: dict[int, float]) -> None:
    """Every set of programs is tried, as what someone who knew would buy. Each is bought for at most what was lost for
    want of it, and on a guess that was wrong at most once: twice the best, and a program each.
    """
    chance = random.Random(seed)
    packs = [
        (chance.choice([1, 1, 2, 3, 5, 16]), chance.choice([1, 2, 8, 32])) for _ in range(chance.choice([5, 50, 500]))
    ]
    total = sum(run(Sizes(16), packs, seconds, 0.5))
    best = min(
        0.5 * len(bought)
        + sum(epochs * min(-(-lanes // size) * seconds[size] for size in bought) for lanes, epochs in packs)
        for bought in [[size for bit, size in enumerate(seconds) if mask >> bit & 1] for mask in range(1, 32)]
    )
    assert total <= 2 * best + 0.5 * len(seconds)


def test_until_something_was_compiled_a_second_is_assumed() -> None:
    """Of four lanes a quarter is used at 0.1 s an epoch; one lane is guessed to need 0.028 s."""
    sizes = Sizes(4)
    sizes.trained(4, 0.1)
    rounds = 0
    while sizes.choose(1, 1) == 4:
        rounds += 1
    assert (rounds + 1) * (0.1 - 0.1 / 4 / GAIN**2) == pytest.approx(1.0, abs=0.06)


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
