"""The oracles of ashtune's own schedulers, beside :func:`ashtune.testing.oracles.ash`: see the
rules there.

``stopping`` decides once, at a trial's own report; ``sh`` is Algorithm 1 of Li et al.,
https://arxiv.org/abs/1810.05934, and ``brackets`` the same on many workers as in section 4.2 of
Falkner, Klein, Hutter, *BOHB*, ICML 2018.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import combinations

from ashtune._src.core.jobs import Job, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune.testing.oracles import (
    Extended,
    Fact,
    Given,
    History,
    Lengthened,
    PassedOver,
    RecordedResult,
    Withdrawn,
    arrived_in,
    dominates,
    given_jobs,
    ladder_now,
    newborn,
    promotable,
    within_quota,
)  # fmt: skip

MOST_TRIALS = 10_000
"""Of a study that is compared with :func:`sh`."""


def ash_by_default(ladder: Ladder, trials: int | None, history: History) -> Job | None:
    """Return the job of ``ash`` with the quota and the entry of a study whose user names no lowest
    rung.
    """
    due = promotable(ladder, history, early_and_slow)
    if due:
        return due[0]
    number = len({job.trial for job in given_jobs(history)})
    every = [each for each in (_by_price(ladder, history), _by_agreement(ladder, history)) if each]
    top = len(ladder_now(ladder, history).rungs) - 1
    skips = bool(every) and number % min(every) == min(every) - 1
    return newborn(trials, history, rung=top if skips else 0)


def _moment_of_ladder(ladder: Ladder, history: History) -> int:
    """Return the moment at which the ladder changed last, or -1."""
    changes = [
        moment
        for moment, fact in enumerate(history)
        if isinstance(fact, Lengthened) and fact.ladder != ladder_now(ladder, history[:moment])
    ]
    return max(changes, default=-1)


def _by_price(ladder: Ladder, history: History) -> int:
    """Return 1 if the lowest of three or more takes over 0.4 of a full training, and nothing is
    resumed; else 0.
    """
    results = [
        (moment, fact) for moment, fact in enumerate(history) if isinstance(fact, RecordedResult)
    ]
    if any(fact.start for _, fact in results if not fact.is_failure):
        return 0
    rungs, since = ladder_now(ladder, history).rungs, _moment_of_ladder(ladder, history)
    lately = [fact for moment, fact in results if moment > since and not fact.is_failure]
    first = {fact.job.trial: fact.seconds for fact in lately if fact.job.rung == 0}
    prices = []
    for fact in lately:
        if fact.job.rung == 1 and fact.job.trial in first:
            before = first[fact.job.trial]
            pace = max(0.0, fact.seconds - before) / (rungs[1] - rungs[0])
            full = fact.seconds + pace * (rungs[-1] - rungs[1])
            prices.append(before / full if full else 0.0)
    newest = sorted(prices[-15:])
    return int(len(rungs) > 2 and len(newest) > 2 and newest[len(newest) // 2] > 0.4)


def _by_agreement(ladder: Ladder, history: History) -> int:
    """Return 4 if the lowest rung seems to mislead, 1 if trials that skipped it are better at the
    top, else 0.
    """
    top, since = len(ladder_now(ladder, history).rungs) - 1, _moment_of_ladder(ladder, history)
    results = [
        (moment, fact) for moment, fact in enumerate(history) if isinstance(fact, RecordedResult)
    ]
    low = {fact.job.trial: fact.loss for _, fact in results if fact.job.rung == 0}
    ends = [fact for moment, fact in results if fact.job.rung == top and moment > since]
    first = {fact.job.trial: fact.job.rung for fact in reversed(history) if isinstance(fact, Given)}
    direct = [fact.loss for fact in ends if top and first[fact.job.trial] == top][-15:]
    promoted = [fact.loss for fact in ends if first[fact.job.trial] != top][-15:]
    better = sum(one < other for one in direct for other in promoted)
    worse = sum(one > other for one in direct for other in promoted)
    if len(direct) >= 3 and better != worse:
        return int(better > worse)
    pairs = [(low[fact.job.trial], fact.loss) for fact in ends if top and fact.job.trial in low][
        -30:
    ]
    differences = [(one[0] - other[0], one[1] - other[1]) for one, other in combinations(pairs, 2)]
    agreeing = sum(left * right > 0 for left, right in differences)
    disagreeing = sum(left * right < 0 for left, right in differences)
    if len(pairs) < 4 or not agreeing + disagreeing:
        return 0
    return 4 if 5 * (agreeing - disagreeing) < agreeing + disagreeing else 0


def early_and_slow(arrived: int, kept: Fraction) -> int:
    """Return the quota that counts one result in advance and grows as the number of results to the
    power 0.8.
    """
    quota, factor = 0, 1 / kept
    for count in range(1, arrived + 1):
        if (quota + 1) * factor <= count + 1 and (quota + 1) ** 5 * factor**3 <= (count + 1) ** 4:
            quota += 1
    return quota


def adaptive(ladder: Ladder, trials: int | None, history: History) -> Job | None:
    """Return the job where each trial has a free pass up to a rung, which the results before it
    decide.

    Written from the pseudo-code of ``min_resource="auto"`` in
    ``docs/decisions/0028-where-trials-enter.md``.
    """
    now, given, passes = ladder_now(ladder, history), given_jobs(history), _passes(ladder, history)
    for fact in history:
        if isinstance(fact, RecordedResult) and fact.loss < math.inf and fact.job.rung < now.top:
            goes_on = Job(fact.job.trial, fact.job.rung + 1)
            had_a_pass = fact.job.rung < passes[fact.job.trial]
            if had_a_pass and goes_on not in given:
                return goes_on
    due = promotable(ladder, history, early_and_slow)
    return due[0] if due else newborn(trials, history, rung=0)


def _passes(ladder: Ladder, history: History) -> dict[TrialId, int]:
    """Return for each trial the rung up to which it continues whatever its rank."""
    passes: dict[TrialId, int] = {}
    credit, chosen_at, chosen = Fraction(0), -1, 0
    for moment, fact in enumerate(history):
        if isinstance(fact, Lengthened) and fact.ladder != ladder_now(ladder, history[:moment]):
            chosen_at = -1
        if not isinstance(fact, Given) or fact.job.rung > 0 or fact.job.trial in passes:
            continue
        now, started = ladder_now(ladder, history[:moment]), len(passes)
        ninth = Fraction(now.rungs[-1], 9)
        safe = min(
            rung for rung, resource in enumerate(now.rungs) if resource >= ninth - Fraction(1, 2)
        )
        if chosen_at < 0 or started >= chosen_at + 1 + chosen_at // 20:
            chosen_at, chosen = started, _best_entry(now, history[:moment], passes, safe)
        passes[fact.job.trial] = chosen
        if chosen < safe:
            taken = safe if credit > 0 else chosen
            passes[fact.job.trial] = taken
            credit += Fraction(5, 100) * _entry_cost(now, taken) - (taken == safe) * _entry_cost(
                now, taken
            )
    return passes


def _entry_cost(ladder: Ladder, entry: int) -> Fraction:
    steps = [
        (ladder.rungs[rung] - ladder.rungs[rung - 1])
        * math.prod(ladder.kept[entry:rung], start=Fraction(1))
        for rung in range(entry + 1, len(ladder.rungs))
    ]
    return ladder.rungs[entry] + sum(steps, start=Fraction(0))


def _best_entry(ladder: Ladder, history: History, passes: dict[TrialId, int], safe: int) -> int:
    """Return ``e*``, the entry with the most good trials for its cost; below the safe rung half the
    saving counts.
    """
    gone = {fact.job.trial for fact in history if isinstance(fact, Withdrawn)}
    seen = {
        (fact.job.trial, fact.job.rung): fact.loss
        for fact in history
        if isinstance(fact, RecordedResult) and fact.job.trial not in gone
    }

    def nearest(number: Fraction) -> int:
        return math.floor(number + Fraction(1, 2))

    def kept_of_good(low: int) -> Fraction:
        prior = Fraction(8, 10) if low >= safe else ladder.kept[low]
        unselected = sorted(
            loss for (trial, rung), loss in seen.items() if rung == low and passes[trial] >= low
        )
        if len(unselected) < 1 / ladder.kept[low]:
            return prior
        bar = unselected[max(1, nearest(len(unselected) * ladder.kept[low])) - 1]
        hits, out_of = 2 * prior, Fraction(2)
        for high in range(low + 1, len(ladder.rungs)):
            if high == low + 1 and high < ladder.top:
                continue
            reached = sorted(
                (loss, trial)
                for (trial, rung), loss in seen.items()
                if rung == high and passes[trial] > low
            )
            if not reached or (len(reached) < 2 and high < ladder.top):
                continue
            elite = reached[: max(1, nearest(Fraction(len(reached), 5)))]
            weight = Fraction(1, 2 ** (ladder.top - high))
            hits += weight * len([trial for _, trial in elite if seen[trial, low] <= bar])
            out_of += weight * len(elite)
        return hits / out_of

    parts = [kept_of_good(low) for low in range(ladder.top)]
    best, best_score = 0, Fraction(-1)
    for entry in range(len(ladder.rungs)):
        good, cost = math.prod(parts[entry:], start=Fraction(1)), _entry_cost(ladder, entry)
        squared = (
            good**2 / cost**2 if entry >= safe else good**2 / (cost * _entry_cost(ladder, safe))
        )
        if squared >= best_score:
            best, best_score = entry, squared
    return best


def pasha(
    epsilon: float | None, ladder: Ladder, trials: int | None, history: History
) -> Job | None:
    """Return the job of PASHA: a promotion of Algorithm 2 up to the rung that is open, else a new
    trial.
    """
    top, noise = min(1, ladder.top), epsilon or 0.0
    for moment, fact in enumerate(history, start=1):
        past, now = history[:moment], ladder_now(ladder, history[:moment])
        top = max(top, min(1, now.top))
        is_new_there = (
            isinstance(fact, RecordedResult)
            and fact.job.rung == top < now.top
            and fact.loss < math.inf
        )
        if is_new_there:
            here = {
                fact.job.trial: fact.loss for fact in arrived_in(past, top) if not fact.is_failure
            }
            if epsilon is None:
                noise = _noise(now, past, here, top) or noise
            below = {
                fact.job.trial: fact.loss
                for fact in arrived_in(past, top - 1)
                if fact.job.trial in here
            }
            top += not _is_in_order(here, below, noise)
    due = [job for job in promotable(ladder, history) if job.rung <= top]
    return due[0] if due else newborn(trials, history, rung=0)


def _is_in_order(here: dict[TrialId, float], below: dict[TrialId, float], noise: float) -> bool:
    """Say whether each trial of the soft ranking below has its place here, or one of its group."""
    ranking_below = sorted(here, key=lambda trial: (below[trial], trial))
    ranking = sorted(here, key=lambda trial: (here[trial], below[trial]))
    for place, trial in enumerate(ranking):
        group = [
            other for other in here if abs(below[other] - below[ranking_below[place]]) <= noise
        ]
        if trial not in group:
            return False
    return True


def _noise(ladder: Ladder, history: History, here: dict[TrialId, float], top: int) -> float | None:
    """Return the 90th percentile of the differences at a rung of those pairs whose order changed
    and changed back.
    """
    curves: dict[TrialId, dict[int, float]] = {trial: {} for trial in here}
    for fact in history:
        if isinstance(fact, RecordedResult) and fact.job.trial in here:
            curves[fact.job.trial].update(fact.curve)
            curves[fact.job.trial][ladder.rungs[fact.job.rung]] = fact.loss
    differences = []
    first = [
        fact.job.trial
        for fact in history
        if isinstance(fact, RecordedResult) and fact.job.rung == top
    ]
    for one, other in combinations([trial for trial in first if trial in here][:256], 2):
        mine, its = curves[one], curves[other]
        both = [at for at in sorted(mine) if at in its and max(mine[at], its[at]) < math.inf]
        is_ahead = [
            mine[at] < its[at] for at in both if at <= ladder.rungs[top] and mine[at] != its[at]
        ]
        changes = [
            place for place in range(1, len(is_ahead)) if is_ahead[place] != is_ahead[place - 1]
        ]
        if here[one] != here[other] and len(changes) >= 2:
            differences.append(abs(here[one] - here[other]))
    for noise in sorted(differences):
        if 10 * sum(difference <= noise for difference in differences) >= 9 * len(differences):
            return noise
    return None


def stopping(ladder: Ladder, trials: int | None, history: History) -> Job | None:
    """Return the oldest trial that continues and is not yet given, else a new one."""
    given = given_jobs(history)
    for moment in range(1, len(history) + 1):
        higher = ladder_now(ladder, history[:moment])
        for report, result in _below_the_top(ladder, history[:moment]):
            goes_on = Job(result.job.trial, result.job.rung + 1)
            if goes_on not in given and _goes_on(higher, history[:report], result):
                return goes_on
    return newborn(trials, history, rung=0)


def _below_the_top(ladder: Ladder, history: History) -> list[tuple[int, RecordedResult]]:
    """Return the results that the last fact of a history brings below the top rung, with the
    moments of their reports.

    That is the fact itself, if it is one; or, where the ladder got longer, all those of what was
    its top rung.
    """
    fact, before = history[-1], ladder_now(ladder, history[:-1])
    if isinstance(fact, RecordedResult) and fact.job.rung < before.top:
        return [(len(history), fact)]
    if isinstance(fact, Lengthened) and before.top < fact.ladder.top:
        results = [
            (moment, past)
            for moment, past in enumerate(history, start=1)
            if isinstance(past, RecordedResult)
        ]
        return [(moment, result) for moment, result in results if result.job.rung == before.top]
    return []


def _goes_on(ladder: Ladder, history: History, fact: RecordedResult) -> bool:
    """Say whether a trial continues after the result that ends this history."""
    best = within_quota(ladder, history, fact.job.rung)
    too_few_peers = not best
    return not fact.is_failure and (too_few_peers or fact in best)


def ash_entering(
    entry_on: Callable[[Ladder], Callable[[TrialId], int]],
    ladder: Ladder,
    trials: int | None,
    history: History,
) -> Job | None:
    """Return the job of Algorithm 2 where a new trial enters at its own rung:
    ``entry_on(ladder)(trial)``.
    """
    due = promotable(ladder, history)
    new = newborn(trials, history, rung=0)
    return due[0] if due else new and Job(new.trial, entry_on(ladder)(new.trial))


def brackets(
    round_on: Callable[[Ladder], Sequence[tuple[int, int]]],
    ladder: Ladder,
    trials: int | None,
    history: History,
) -> Job | None:
    """Return the job of synchronous brackets: the oldest one's that has one, else a new trial.

    Args:
        round_on: From the ladder at first to the brackets of a round: the rung at which they enter,
            and their trials.
        ladder: The ladder at first.
        trials: The number of trials at first.
        history: What has happened.
    """
    sizes = round_on(ladder)
    in_all = sum(size for _, size in sizes)

    def home(trial: TrialId) -> tuple[int, int]:
        place = trial % in_all
        number = next(
            number
            for number in range(len(sizes))
            if place < sum(size for _, size in sizes[: number + 1])
        )
        return trial // in_all * len(sizes) + number, sizes[number][0]

    of_all: list[Fact] = []
    of_bracket: dict[int, list[Fact]] = {}  # and what is of all, in its place
    due: dict[int, list[Job]] = {}
    open_one: int | None = None  # the bracket to whose lowest rung a trial can still come
    for moment, fact in enumerate(history, start=1):
        if isinstance(fact, Extended | Lengthened):
            changed = list(of_bracket)
            for facts in (of_all, *of_bracket.values()):
                facts.append(fact)
        else:
            own = home(fact.job.trial)[0]
            changed = [own] if open_one in (own, None) else [own, open_one]
            of_bracket.setdefault(own, list(of_all)).append(fact)
        new = newborn(trials, history[:moment], rung=0)
        open_one = None if new is None else home(new.trial)[0]
        for number in changed:
            if number != open_one and number in of_bracket:
                before = due.setdefault(number, [])
                before += _promoted_in_bracket(ladder, of_bracket[number], before)
    given = given_jobs(history)
    waiting = [job for _, jobs in sorted(due.items()) for job in jobs if job not in given]
    new = newborn(trials, history, rung=0)
    return waiting[0] if waiting else new and Job(new.trial, home(new.trial)[1])


def sh(ladder: Ladder, trials: int | None, history: History) -> Job | None:
    """Return the job of Algorithm 1: of one bracket, to which all trials belong."""
    return brackets(lambda _: [(0, MOST_TRIALS)], ladder, trials, history)


def _promoted_in_bracket(ladder: Ladder, history: History, due: Sequence[Job]) -> list[Job]:
    """Return whom a bracket promotes now: of each rung to which nothing more can come, those within
    its quota.
    """
    now = ladder_now(ladder, history)
    settled = {
        fact.job for fact in history if isinstance(fact, RecordedResult | Withdrawn | PassedOver)
    }
    new: list[Job] = []
    for rung in range(now.top):
        if any(
            job.rung == rung and job not in settled for job in [*given_jobs(history), *due, *new]
        ):
            break
        best = [
            Job(fact.job.trial, rung + 1)
            for fact in within_quota(now, history, rung)
            if not fact.is_failure
        ]
        new += [job for job in best if job not in due]
    return new


def full(ladder: Ladder, trials: int | None, history: History) -> Job | None:
    """Return the oldest trial whose training ended below the top rung, else a new one: for the top
    rung.
    """
    now = ladder_now(ladder, history)
    for moment in range(1, len(history) + 1):
        for _, result in _below_the_top(ladder, history[:moment]):
            went_on = any(
                job.trial == result.job.trial and job.rung > result.job.rung
                for job in given_jobs(history)
            )
            if not result.is_failure and not went_on:
                return Job(result.job.trial, now.top)
    return newborn(trials, history, rung=now.top)


def front(results: Sequence[RecordedResult]) -> list[RecordedResult]:
    """Return the results that no other dominates and no earlier one equals: of the feasible ones,
    if any is.
    """
    finite = [result for result in results if not result.is_failure]
    least = min((result.violation or 0.0 for result in finite), default=0.0)
    best = [result for result in finite if (result.violation or 0.0) == least]
    return [
        result
        for result in best
        if not any(
            dominates(other, result)
            or (
                (other.loss, *other.more) == (result.loss, *result.more)
                and other.job.trial < result.job.trial
            )
            for other in best
        )
    ]
