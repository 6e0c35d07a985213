"""The scheduler that chooses the rung at which trials are first judged, against its pseudo-code."""

import random

from hypothesis import settings

from ashtune._src.core.jobs import Job, Result
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.adaptive import AdaptiveAsh, AdaptiveMachine, cost_of_entry, safe_rung
from ashtune.testing.oracles import Fact, Given, RecordedResult
from ashtune.testing.scheduler_suite import SETTINGS, check_scheduler
from tests.helpers import oracles

LADDER = Ladder(1, 81, 3)


def run(machine: AdaptiveMachine, trials: int, workers: int, seed: int, noise: float) -> list[Fact]:
    """Return what happens in a study whose losses at rung ``k`` are the final ones and noise of
    ``noise / 2**k``.
    """
    draws = random.Random(seed)
    history: list[Fact] = []
    running: list[Job] = []
    final = [draws.random() for _ in range(trials)]
    while True:
        while len(running) < workers and (job := machine.next_job()) is not None:
            running.append(job)
            history.append(Given(job))
        if not running:
            return history
        job = running.pop(draws.randrange(len(running)))
        loss = final[job.trial] + draws.gauss(0, noise) / 2**job.rung
        machine.record(Result.of(job, loss))
        history.append(RecordedResult(job, loss))


def test_adaptive_ash_gives_the_same_jobs_as_its_oracle() -> None:
    check_scheduler(AdaptiveAsh(), oracles.adaptive, options=settings(SETTINGS, max_examples=30))


def entries(noise: float) -> list[int]:
    """Return the rungs up to which the trials of a study have their passes."""
    machine = AdaptiveMachine(LADDER, 400)
    run(machine, 400, workers=8, seed=1, noise=noise)
    return list(machine._passes.values())


def test_trials_start_at_lower_rungs_if_low_rungs_are_reliable() -> None:
    passes = entries(noise=0.0)
    safe = safe_rung(LADDER)
    assert passes[0] == safe
    assert passes[-20:].count(0) >= 15


def test_no_trial_starts_below_the_safe_rung_if_results_are_noisy() -> None:
    late = entries(noise=20.0)[-100:]
    assert sum(rung < safe_rung(LADDER) for rung in late) == 0


def test_some_new_trials_still_start_at_the_safe_rung() -> None:
    assert safe_rung(LADDER) in entries(noise=0.0)[-100:]


def test_a_note_names_the_rung_at_which_new_trials_start() -> None:
    machine = AdaptiveMachine(LADDER, 400)
    run(machine, 400, workers=8, seed=1, noise=0.0)
    assert machine.notes().startswith("new trials are first judged at 1; about")


def test_the_cost_of_an_entry_rung_includes_expected_promotions() -> None:
    assert [cost_of_entry(LADDER, entry) for entry in (4, 3)] == [81, 27 + 54 / 3]
