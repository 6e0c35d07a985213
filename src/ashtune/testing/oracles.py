"""What each scheduler should do, recomputed from the whole history at every step.

Source: Li et al., *A System for Massively Parallel Hyperparameter Tuning*, MLSys 2020,
https://arxiv.org/abs/1810.05934, Algorithms 1 (``sh``) and 2 (``ash``); ``stopping`` is the variant
that decides once, at a trial's own report; ``brackets`` is Algorithm 1 on many workers as in section 4.2 of
Falkner, Klein, Hutter, *BOHB*, ICML 2018, https://arxiv.org/abs/1807.01774. Several losses and constraints: Deb,
Pratap, Agarwal, Meyarivan, *NSGA-II*, IEEE Trans. Evol. Comp. 6(2), 2002.

Rule 1: written as plainly as the paper: lists and ``sorted``. No heap, and nothing remembered from
one call to the next, so that an oracle is slow and its mistakes are easy to see.
Rule 2: nothing is shared with the schedulers but the words. The quota is worked out here again.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import combinations

import msgspec

from ashtune.core.jobs import Job, TrialId
from ashtune.core.ladder import Ladder


class Given(msgspec.Struct, frozen=True):
    """A job was given to a worker."""

    job: Job


class RecordedResult(msgspec.Struct, frozen=True):
    """A job's result arrived; a loss of ``math.inf`` is a failure.

    ``curve`` has the losses reported on the way, and ``seconds`` is what it took. ``more`` are its other losses, if
    there are several, and ``violation`` is by how much it violates the constraints, if there are any.
    """

    job: Job
    loss: float
    curve: tuple[tuple[int, float], ...] = ()
    seconds: float = 0.0
    more: tuple[float, ...] = ()
    violation: float | None = None

    @property
    def is_failure(self) -> bool:
        """Whether some loss is not finite."""
        return math.inf in (self.loss, *self.more)


class Withdrawn(msgspec.Struct, frozen=True):
    """A running job's trial was withdrawn; with ``replace`` a new one may start."""

    job: Job
    replace: bool


class PassedOver(msgspec.Struct, frozen=True):
    """A promotion that was given will not be trained; the trial's results stay."""

    job: Job


class Extended(msgspec.Struct, frozen=True):
    """The number of trials was set anew."""

    trials: int | None


class Lengthened(msgspec.Struct, frozen=True):
    """The ladder got more rungs above."""

    ladder: Ladder


MOST_TRIALS = 10_000
"""Of a study that is compared with :func:`sh`."""

Fact = Given | RecordedResult | Withdrawn | PassedOver | Extended | Lengthened
History = Sequence[Fact]
Oracle = Callable[[Ladder, int | None, History], Job | None]
"""From the ladder and the number of trials at first, and all that happened, to the next job."""
QuotaOf = Callable[[int, Fraction], int]
"""From the number of results of a rung, and the fraction that goes on, to its quota."""


def ash(ladder: Ladder, trials: int | None, history: History) -> Job | None:
    """Return the job that ``get_job`` of Algorithm 2 gives, from the top rung down."""
    due = promotable(ladder, history)
    return due[0] if due else newborn(trials, history, rung=0)


def ash_by_default(ladder: Ladder, trials: int | None, history: History) -> Job | None:
    """Return the job of ``ash`` with the quota of a study whose user names no lowest rung."""
    due = promotable(ladder, history, early_and_slow)
    return due[0] if due else newborn(trials, history, rung=0)


def floor_of(arrived: int, kept: Fraction) -> int:
    """Return the quota of the paper."""
    return math.floor(arrived * kept)


def early_and_slow(arrived: int, kept: Fraction) -> int:
    """Return the quota that counts one result in advance and grows as the number of results to the power 0.8."""
    quota, factor = 0, 1 / kept
    for count in range(1, arrived + 1):
        if (quota + 1) * factor <= count + 1 and (quota + 1) ** 5 * factor**3 <= (count + 1) ** 4:
            quota += 1
    return quota


def promotable(ladder: Ladder, history: History, quota: QuotaOf = floor_of) -> list[Job]:
    """Return all promotions that Algorithm 2 allows now: the top rung first, in it the best first."""
    given, ladder = _given(history), ladder_now(ladder, history)
    due = []
    for rung in reversed(range(ladder.top)):
        for fact in _within_quota(ladder, history, rung, quota):
            goes_on = Job(fact.job.trial, rung + 1)
            if not fact.is_failure and goes_on not in given:
                due.append(goes_on)
    return due


def adaptive(ladder: Ladder, trials: int | None, history: History) -> Job | None:
    """Return the job where each trial has a free pass up to a rung, which the results before it decide.

    Written from the pseudo-code of ``min_resource="auto"`` in ``docs/decisions/0028-where-trials-enter.md``.
    """
    now, given, passes = ladder_now(ladder, history), _given(history), _passes(ladder, history)
    for fact in history:
        if isinstance(fact, RecordedResult) and fact.loss < math.inf and fact.job.rung < now.top:
            goes_on = Job(fact.job.trial, fact.job.rung + 1)
            had_a_pass = fact.job.rung < passes[fact.job.trial]
            if had_a_pass and goes_on not in given:
                return goes_on
    due = promotable(ladder, history, early_and_slow)
    return due[0] if due else newborn(trials, history, rung=0)


def _passes(ladder: Ladder, history: History) -> dict[TrialId, int]:
    """Return for each trial the rung up to which it goes on whatever its rank."""
    passes: dict[TrialId, int] = {}
    credit, chosen_at, chosen = Fraction(0), -1, 0
    for moment, fact in enumerate(history):
        if isinstance(fact, Lengthened) and fact.ladder != ladder_now(ladder, history[:moment]):
            chosen_at = -1
        if not isinstance(fact, Given) or fact.job.rung > 0 or fact.job.trial in passes:
            continue
        now, started = ladder_now(ladder, history[:moment]), len(passes)
        ninth = Fraction(now.rungs[-1], 9)
        safe = min(rung for rung, resource in enumerate(now.rungs) if resource >= ninth - Fraction(1, 2))
        if chosen_at < 0 or started >= chosen_at + 1 + chosen_at // 20:
            chosen_at, chosen = started, _best_entry(now, history[:moment], passes, safe)
        passes[fact.job.trial] = chosen
        if chosen < safe:
            taken = safe if credit > 0 else chosen
            passes[fact.job.trial] = taken
            credit += Fraction(5, 100) * _entry_cost(now, taken) - (taken == safe) * _entry_cost(now, taken)
    return passes


def _entry_cost(ladder: Ladder, entry: int) -> Fraction:
    steps = [
        (ladder.rungs[rung] - ladder.rungs[rung - 1]) * math.prod(ladder.kept[entry:rung], start=Fraction(1))
        for rung in range(entry + 1, len(ladder.rungs))
    ]
    return ladder.rungs[entry] + sum(steps, start=Fraction(0))


def _best_entry(ladder: Ladder, history: History, passes: dict[TrialId, int], safe: int) -> int:
    """Return ``e*``, the entry with the most good trials for its cost; below the safe rung half the saving counts."""
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
        unselected = sorted(loss for (trial, rung), loss in seen.items() if rung == low and passes[trial] >= low)
        if len(unselected) < 1 / ladder.kept[low]:
            return prior
        bar = unselected[max(1, nearest(len(unselected) * ladder.kept[low])) - 1]
        hits, out_of = 2 * prior, Fraction(2)
        for high in range(low + 1, len(ladder.rungs)):
            if high == low + 1 and high < ladder.top:
                continue
            reached = sorted(
                (loss, trial) for (trial, rung), loss in seen.items() if rung == high and passes[trial] > low
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
        squared = good**2 / cost**2 if entry >= safe else good**2 / (cost * _entry_cost(ladder, safe))
        if squared >= best_score:
            best, best_score = entry, squared
    return best


def pasha(epsilon: float | None, ladder: Ladder, trials: int | None, history: History) -> Job | None:
    """Return the job of PASHA: a promotion of Algorithm 2 up to the rung that is open, else a new trial."""
    top, noise = min(1, ladder.top), epsilon or 0.0
    for moment, fact in enumerate(history, start=1):
        past, now = history[:moment], ladder_now(ladder, history[:moment])
        top = max(top, min(1, now.top))
        is_new_there = isinstance(fact, RecordedResult) and fact.job.rung == top < now.top and fact.loss < math.inf
        if is_new_there:
            here = {fact.job.trial: fact.loss for fact in _ranked(past, top) if not fact.is_failure}
            if epsilon is None:
                noise = _noise(now, past, here, top) or noise
            below = {fact.job.trial: fact.loss for fact in _ranked(past, top - 1) if fact.job.trial in here}
            top += not _is_in_order(here, below, noise)
    due = [job for job in promotable(ladder, history) if job.rung <= top]
    return due[0] if due else newborn(trials, history, rung=0)


def _is_in_order(here: dict[TrialId, float], below: dict[TrialId, float], noise: float) -> bool:
    """Say whether each trial of the soft ranking below has its place here, or one of its group."""
    ranking_below = sorted(here, key=lambda trial: (below[trial], trial))
    ranking = sorted(here, key=lambda trial: (here[trial], below[trial]))
    for place, trial in enumerate(ranking):
        group = [other for other in here if abs(below[other] - below[ranking_below[place]]) <= noise]
        if trial not in group:
            return False
    return True


def _noise(ladder: Ladder, history: History, here: dict[TrialId, float], top: int) -> float | None:
    """Return the 90th percentile of the differences at a rung of those pairs whose order changed and changed back."""
    curves: dict[TrialId, dict[int, float]] = {trial: {} for trial in here}
    for fact in history:
        if isinstance(fact, RecordedResult) and fact.job.trial in here:
            curves[fact.job.trial].update(fact.curve)
            curves[fact.job.trial][ladder.rungs[fact.job.rung]] = fact.loss
    differences = []
    first = [fact.job.trial for fact in history if isinstance(fact, RecordedResult) and fact.job.rung == top]
    for one, other in combinations([trial for trial in first if trial in here][:256], 2):
        mine, its = curves[one], curves[other]
        both = [at for at in sorted(mine) if at in its and max(mine[at], its[at]) < math.inf]
        is_ahead = [mine[at] < its[at] for at in both if at <= ladder.rungs[top] and mine[at] != its[at]]
        changes = [place for place in range(1, len(is_ahead)) if is_ahead[place] != is_ahead[place - 1]]
        if here[one] != here[other] and len(changes) >= 2:
            differences.append(abs(here[one] - here[other]))
    for noise in sorted(differences):
        if 10 * sum(difference <= noise for difference in differences) >= 9 * len(differences):
            return noise
    return None


def stopping(ladder: Ladder, trials: int | None, history: History) -> Job | None:
    """Return the oldest trial that goes on and is not yet given, else a new one."""
    given = _given(history)
    for moment in range(1, len(history) + 1):
        higher = ladder_now(ladder, history[:moment])
        for report, result in _below_the_top(ladder, history[:moment]):
            goes_on = Job(result.job.trial, result.job.rung + 1)
            if goes_on not in given and _goes_on(higher, history[:report], result):
                return goes_on
    return newborn(trials, history, rung=0)


def _below_the_top(ladder: Ladder, history: History) -> list[tuple[int, RecordedResult]]:
    """Return the results that the last fact of a history brings below the top rung, with the moments of their reports.

    That is the fact itself, if it is one; or, where the ladder got longer, all those of what was its top rung.
    """
    fact, before = history[-1], ladder_now(ladder, history[:-1])
    if isinstance(fact, RecordedResult) and fact.job.rung < before.top:
        return [(len(history), fact)]
    if isinstance(fact, Lengthened) and before.top < fact.ladder.top:
        results = [(moment, past) for moment, past in enumerate(history, start=1) if isinstance(past, RecordedResult)]
        return [(moment, result) for moment, result in results if result.job.rung == before.top]
    return []


def _goes_on(ladder: Ladder, history: History, fact: RecordedResult) -> bool:
    """Say whether a trial goes on after the result that ends this history."""
    best = _within_quota(ladder, history, fact.job.rung)
    too_few_peers = not best
    return not fact.is_failure and (too_few_peers or fact in best)


def ash_entering(
    entry_on: Callable[[Ladder], Callable[[TrialId], int]], ladder: Ladder, trials: int | None, history: History
) -> Job | None:
    """Return the job of Algorithm 2 where a new trial enters at a rung of its own: ``entry_on(ladder)(trial)``."""
    due = promotable(ladder, history)
    new = newborn(trials, history, rung=0)
    return due[0] if due else new and Job(new.trial, entry_on(ladder)(new.trial))


def brackets(
    round_on: Callable[[Ladder], Sequence[tuple[int, int]]], ladder: Ladder, trials: int | None, history: History
) -> Job | None:
    """Return the job of synchronous brackets: the oldest one's that has one, else a new trial.

    Args:
        round_on: From the ladder at first to the brackets of a round: the rung at which they enter, and their trials.
        ladder: The ladder at first.
        trials: The number of trials at first.
        history: What has happened.
    """
    sizes = round_on(ladder)
    in_all = sum(size for _, size in sizes)

    def home(trial: TrialId) -> tuple[int, int]:
        place = trial % in_all
        number = next(number for number in range(len(sizes)) if place < sum(size for _, size in sizes[: number + 1]))
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
    given = _given(history)
    waiting = [job for _, jobs in sorted(due.items()) for job in jobs if job not in given]
    new = newborn(trials, history, rung=0)
    return waiting[0] if waiting else new and Job(new.trial, home(new.trial)[1])


def sh(ladder: Ladder, trials: int | None, history: History) -> Job | None:
    """Return the job of Algorithm 1: of one bracket, to which all trials belong."""
    return brackets(lambda _: [(0, MOST_TRIALS)], ladder, trials, history)


def _promoted_in_bracket(ladder: Ladder, history: History, due: Sequence[Job]) -> list[Job]:
    """Return whom a bracket promotes now: of each rung to which nothing more can come, those within its quota."""
    now = ladder_now(ladder, history)
    settled = {fact.job for fact in history if isinstance(fact, RecordedResult | Withdrawn | PassedOver)}
    new: list[Job] = []
    for rung in range(now.top):
        if any(job.rung == rung and job not in settled for job in [*_given(history), *due, *new]):
            break
        best = [Job(fact.job.trial, rung + 1) for fact in _within_quota(now, history, rung) if not fact.is_failure]
        new += [job for job in best if job not in due]
    return new


def full(ladder: Ladder, trials: int | None, history: History) -> Job | None:
    """Return the oldest trial whose training ended below the top rung, else a new one: for the top rung."""
    now = ladder_now(ladder, history)
    for moment in range(1, len(history) + 1):
        for _, result in _below_the_top(ladder, history[:moment]):
            went_on = any(job.trial == result.job.trial and job.rung > result.job.rung for job in _given(history))
            if not result.is_failure and not went_on:
                return Job(result.job.trial, now.top)
    return newborn(trials, history, rung=now.top)


def unexplained_results(ladder: Ladder, results: Sequence[RecordedResult]) -> list[str]:
    """Return the results that no promotion explains, a sentence each; for journals without orders.

    A trial that has a result above the lowest rung must have been within the quota of the rung below
    at some moment after it arrived there and before this result: an order may have been held back
    until its checkpoint was saved.
    """
    wrong = []
    ever: set[Job] = set()  # promotions that were due at some moment so far
    for moment, result in enumerate(results):
        trial, rung = result.job.trial, result.job.rung
        if rung > 0 and Job(trial, rung) not in ever:
            wrong.append(f"result {moment}: trial {trial} reached rung {rung} and never was within the quota below")
        if rung < ladder.top:
            best = _within_quota(ladder, results[: moment + 1], rung)
            ever |= {Job(good.job.trial, rung + 1) for good in best if not good.is_failure}
    return wrong


def _given(history: History) -> set[Job]:
    return {fact.job for fact in history if isinstance(fact, Given)}


def _ranked(history: History, rung: int) -> list[RecordedResult]:
    """Return what arrived in a rung, best first, ties to the earlier trial; withdrawn trials never did."""
    gone = [fact.job.trial for fact in history if isinstance(fact, Withdrawn)]
    arrived = [fact for fact in history if isinstance(fact, RecordedResult) and fact.job.rung == rung]
    return ranked([fact for fact in arrived if fact.job.trial not in gone])


def ranked(results: Sequence[RecordedResult]) -> list[RecordedResult]:
    """Return results of one rung, the best first. O(m n^2) for each front, of several losses.

    Feasible ones come first, then the others by their violation, then failures. Those that violate the constraints
    equally are ordered by their loss and the trial's number. With several losses they are peeled off front by front; in
    a front the larger crowding distance comes first, then the earlier trial.
    """
    if not any(result.more for result in results):
        return sorted(
            results, key=lambda result: (result.is_failure, result.violation or 0.0, result.loss, result.job.trial)
        )
    left = sorted(results, key=lambda result: result.job.trial)
    order: list[RecordedResult] = []
    while finite := [result for result in left if not result.is_failure]:
        least = min(result.violation or 0.0 for result in finite)
        equal = [result for result in finite if (result.violation or 0.0) == least]
        front = [result for result in equal if not any(dominates(other, result) for other in equal)]
        order += sorted(front, key=lambda result: (-_crowding(front, result), result.job.trial))
        left = [result for result in left if result not in front]
    return order + left


def dominates(one: RecordedResult, other: RecordedResult) -> bool:
    """Say whether one result is better than another in some loss and worse in none."""
    pairs = list(zip((one.loss, *one.more), (other.loss, *other.more), strict=True))
    return all(mine <= its for mine, its in pairs) and any(mine < its for mine, its in pairs)


def front(results: Sequence[RecordedResult]) -> list[RecordedResult]:
    """Return the results that no other dominates and no earlier one equals: of the feasible ones, if any is."""
    finite = [result for result in results if not result.is_failure]
    least = min((result.violation or 0.0 for result in finite), default=0.0)
    best = [result for result in finite if (result.violation or 0.0) == least]
    return [
        result
        for result in best
        if not any(
            dominates(other, result)
            or ((other.loss, *other.more) == (result.loss, *result.more) and other.job.trial < result.job.trial)
            for other in best
        )
    ]


def _crowding(front: Sequence[RecordedResult], result: RecordedResult) -> float:
    """Return how far apart the neighbours of a result are, all losses together, in parts of the front's extent."""
    distance = 0.0
    for loss in range(1 + len(result.more)):
        along = sorted(((one.loss, *one.more)[loss], one.job.trial) for one in front)
        place = [trial for _, trial in along].index(result.job.trial)
        if place in (0, len(along) - 1):
            return math.inf
        extent = along[-1][0] - along[0][0]
        distance += (along[place + 1][0] - along[place - 1][0]) / extent if extent else 0.0
    return distance


def ladder_now(ladder: Ladder, history: History) -> Ladder:
    """Return the ladder as it was lengthened last."""
    ladders = [fact.ladder for fact in history if isinstance(fact, Lengthened)]
    return ladders[-1] if ladders else ladder


def _within_quota(ladder: Ladder, history: History, rung: int, quota: QuotaOf = floor_of) -> list[RecordedResult]:
    in_order = _ranked(history, rung)
    return in_order[: quota(len(in_order), ladder.kept[rung])]


def newborn(trials: int | None, history: History, *, rung: int = 0) -> Job | None:
    """Return the next new trial, unless as many as allowed were started and not replaced."""
    limit = _limit(trials, history)
    if limit is not None and _started(history) >= limit:
        return None
    return Job(TrialId(len({job.trial for job in _given(history)})), rung)


def _limit(trials: int | None, history: History) -> int | None:
    """Return the number of trials as it was set last."""
    limits = [fact.trials for fact in history if isinstance(fact, Extended)]
    return limits[-1] if limits else trials


def _started(history: History) -> int:
    """Return how many trials were started, without those that may be replaced."""
    replaced = sum(fact.replace for fact in history if isinstance(fact, Withdrawn))
    return len({job.trial for job in _given(history)}) - replaced
