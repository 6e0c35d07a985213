"""The tally, an observer that counts the trials, results, failures and seconds of a study.

Rule 1: an event takes O(1), and a trial takes one byte, because a study may have a million trials.
Rule 2: only events and verdicts are counted, so the counts from a journal are the same as in the
study itself. Only running jobs, and those that were lost or cut off, need the orders.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ashtune._src.analysis.confirmed_winner import Confirmations, Confirmed
from ashtune._src.analysis.counts import BestResult, Reasons, RungTally, result_of
from ashtune._src.analysis.present_workers import PresentWorker, PresentWorkers
from ashtune._src.core.events import (
    PROGRAM,
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    ProgramCompiled,
    Progress,
    SessionStarted,
    StopRequested,
    StudyContinued,
    StudyPaused,
    TrialReleased,
    TrialsExtended,
    TrialStarted,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
    WorkersChanged,
)
from ashtune._src.core.jobs import Goal, Metrics, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.numbers import digits_of, number_text, plural, share_text
from ashtune._src.core.observer import Observer, Told
from ashtune._src.core.order import front_of, preferred
from ashtune._src.core.orders import Followed, Train, TrialFailed, TrialPromoted
from ashtune._src.search.origins import ENQUEUED, PROPOSED, Sort, sort_of
from ashtune._src.training.versions import changes


class Tally(Observer):
    """Counts the trials, results, failures and seconds of a running study or of a journal."""

    def __init__(self, ladder: Ladder, goal: Goal) -> None:
        self.ladder = ladder
        self.goal = goal
        self.rungs = [RungTally(resource, goal) for resource in ladder.rungs]
        self._workers = PresentWorkers()
        self.now = 0.0
        """Seconds from the study's beginning to the last event or tick."""
        self.sessions = 0
        self.session: SessionStarted | None = None
        self.session_began = 0.0
        self.started = 0
        """The number of trials that have started, including trials that were withdrawn later."""
        self.sorts = [0] * len(Sort)
        """The number of started trials for each kind of origin of a configuration."""
        self.tried = 0
        """The number of trials with a result or a failure, without withdrawn trials."""
        self.withdrawn = 0
        self.broken_off = 0
        self.unfinished_seconds = 0.0
        """The seconds of training that was lost with its worker, or cut off with its session."""
        self.saving_seconds = 0.0
        self.compile_seconds = 0.0
        self.programs: Counter[int] = Counter()
        """The number of compiled programs (in fused studies) for each number of lanes."""
        self.saves = 0
        self.ended_early = 0
        """The number of trials that the training function stopped on purpose."""
        self.changes: list[tuple[int, list[str]]] = []
        """For each change of the training function between sessions: the number of started trials,
        and the changes.
        """
        self.retrained = 0
        """The number of promoted trials that trained again from the start, because their training
        was not saved.
        """
        self.failures = Reasons()
        self.withdrawals = Reasons()
        self.lost_workers = Reasons()
        self.saving_problems = Reasons()
        self.stopping = ""
        self.is_paused = False
        """Whether the user paused the study."""
        self.workers_wanted: int | None = None
        """The number of workers that the user set in this session; None if unchanged."""
        self.confirmations = Confirmations(goal)
        """The confirming trials. Only the counts of workers, failures and seconds include
        confirming trials.
        """
        self.first_enqueued: dict[int, BestResult] | None = None
        """The finite results of the first enqueued configuration (trial 0), by rung; None if the
        user enqueued none.
        """
        self._has_result = bytearray()  # by trial
        self.version: dict[str, str] = {}
        """The last known version of the training function."""

    def event(self, event: Event) -> None:
        """Process one event. O(1)."""
        self.batch(((event, ()),))

    def batch(self, told: Sequence[Told]) -> None:
        """Process some events with their verdicts and orders. O(1) for each."""
        rungs = self.rungs
        present = self._workers.present
        now = self.now
        for event, followed in told:
            before = now
            if event.time > before:
                self.now = now = event.time
            if type(event) is JobFinished:
                self._finished(event)
            else:
                self._process(event, before)
            for what in followed:
                if type(what) is not Train:
                    self.followed(what)
                elif (worker := present.get(what.worker)) is not None:
                    worker.train(what, now)
                    rungs[what.rung].running += 1

    def _process(self, event: Event, before: float) -> None:  # noqa: PLR0912 - one for each kind of event
        """Process an event that is no result; ``before`` is the time of the previous event."""
        match event:
            case TrialStarted():
                self._start(event)
            case TrialReleased():
                self._released(event)
            case JobFailed() | JobPaused() | TrialWithdrawn():
                self._ended(event)
            case WorkerJoined(worker=worker):
                self._workers.join(worker, self.now)
            case WorkerLost():
                self._lose(event)
            case StopRequested(reason=reason):
                self.stopping = self.stopping or reason
            case ProgramCompiled(seconds=seconds, lanes=lanes):
                self.compile_seconds += seconds
                self.programs[lanes] += 1
                if event.worker in self.workers:
                    self.workers[event.worker].free = self.now
            case StudyPaused():
                self.is_paused = True
            case StudyContinued():
                self.is_paused = False
            case TrialsExtended(trials=trials):
                if self.session is not None:
                    self.session = msgspec.structs.replace(self.session, trials=trials)
            case WorkersChanged(workers=workers):
                self.workers_wanted = workers
            case SessionStarted():
                self._start_session(event, before)
            case _:
                pass

    def followed(self, what: Followed) -> None:
        """Process a verdict or an order. O(1)."""
        match what:
            case TrialFailed():
                self._fail(what)
            case TrialPromoted(rung=rung):
                self.rungs[rung].promoted += 1
            case _:
                self._workers.followed(what, self.now)
                if type(what) is Train and what.worker in self.workers:
                    self.rungs[what.rung].running += 1

    def progress(self, progress: Progress) -> None:
        """Store the progress that a worker reported for its job."""
        worker = self.workers.get(progress.worker)
        if worker is not None and worker.job is not None and worker.job.trial == progress.trial:
            worker.resource = progress.resource

    def tick(self, now: float) -> None:
        self.now = max(self.now, now)

    @property
    def proposed(self) -> int:
        """The number of trials whose configurations were proposed from the
        results of other trials.
        """
        return sum(self.sorts[sort] for sort in PROPOSED)

    @property
    def origins(self) -> str:
        """A text with the shares of trials by origin; empty if no trial was proposed."""
        if not self.proposed:
            return ""
        counts = {
            "by the model": self.sorts[Sort.MODEL],
            "mutations": self.sorts[Sort.MUTATION] + self.sorts[Sort.STANDING_IN],
            "random": self.sorts[Sort.RANDOM],
            "others": self.sorts[Sort.OTHER] + self.sorts[Sort.ENQUEUED],
        }
        return ", ".join(
            f"{share_text(count / self.started)} {name}" for name, count in counts.items() if count
        )

    @property
    def most_trials(self) -> int | None:
        """The user's latest limit on the number of trials; None if there is no limit or no session
        yet.
        """
        return self.session.trials if self.session else None

    @property
    def workers(self) -> dict[WorkerId, PresentWorker]:
        """The workers that are present now."""
        return self._workers.present

    @property
    def running(self) -> int:
        """The number of jobs that are running now."""
        return sum(rung.running for rung in self.rungs)

    @property
    def busy(self) -> int:
        """The number of workers that have at least one job. O(workers)."""
        return sum(1 for worker in self.workers.values() if worker.jobs)

    @property
    def arrived(self) -> int:
        """The number of jobs that ended with a result."""
        return sum(rung.arrived for rung in self.rungs)

    @property
    def training_seconds(self) -> float:
        """The seconds of training, summed over all jobs that have ended."""
        return sum(rung.seconds for rung in self.rungs) + self.confirmations.seconds

    @property
    def epochs(self) -> int:
        """The units of resource that all trials have trained so far, without confirming trials."""
        return sum(rung.epochs for rung in self.rungs)

    @property
    def wall_seconds(self) -> float:
        """The seconds that the study has run, summed over all sessions."""
        return self._workers.wall_seconds(self.now)

    @property
    def pauses(self) -> list[tuple[float, float]]:
        """For each session, the time of its start, and the total seconds of all pauses before its
        start.
        """
        return self._workers.pauses

    @property
    def seconds_under_way(self) -> float:
        """The seconds that training workers have spent on their present jobs, summed over workers.
        O(workers).
        """
        return sum(
            max(0.0, self.now - worker.since)
            for worker in self.workers.values()
            if worker.state == "training"
        )

    @property
    def presence(self) -> float:
        """The seconds that workers were present, summed over all workers. O(workers)."""
        return self._workers.presence(self.now)

    @property
    def absence(self) -> float:
        """The seconds that a worker's place was empty, for example before a worker had started: the
        mean over all places.
        """
        return self._workers.absence(self.now) / max(1, self._workers.places)

    @property
    def utilisation(self) -> float | None:
        """The share of the workers' time that was used for training; None if no worker was present
        yet.
        """
        presence = self.presence
        if presence <= 0:
            return None
        trained = self.training_seconds + self.unfinished_seconds + self.seconds_under_way
        return min(1.0, trained / presence)

    @property
    def best(self) -> BestResult | None:
        """The best result at the highest rung that has a result, without withdrawn trials.

        An infeasible result is the best result only if no result is feasible. In a study with
        several objectives, the weights of the study choose the best result from the Pareto front;
        without weights, the best result is the knee of the front. If the confirmations have a
        winner, the best result is the winner's first result.
        """
        if (confirmed := self.confirmed) is not None:
            return self._at_the_highest[confirmed.trial]
        front = self.front
        return front[0] if front else None

    @property
    def best_value(self) -> float | None:
        """The value of the first metric in the best result; None if there is none."""
        best = self.best
        return None if best is None else best.metrics.get(self.goal.metric)

    def digits(self, name: str) -> int:
        """Return how many digits of a metric tell the best trials apart, at the highest rung that
        has two results. O(n log n) for the kept results.
        """
        rungs = (rung.bests.results for rung in reversed(self.rungs))
        results = next((each for each in rungs if len(each) > 1), {})
        return digits_of(result.metrics.get(name) or 0.0 for result in results.values())

    def number_text(self, name: str, value: float | None) -> str:
        """Return a value of a metric as text. Its digits follow the differences between trials."""
        return number_text(value, self.digits(name))

    def result_text(self, metrics: Metrics, equals: str = " = ") -> str:
        """Return the goal's metrics of a result as text, such as
        ``accuracy = 0.9866, latency = 4.2``.
        """
        return ", ".join(
            f"{name}{equals}{self.number_text(name, metrics.get(name))}"
            for name in self.goal.metrics
        )

    @property
    def front(self) -> list[BestResult]:
        """The Pareto front at the rung of the best result, the preferred result first."""
        fronts = [front for rung in reversed(self.rungs) if (front := rung.front)]
        return min(fronts, key=lambda front: front[0].violation > 0, default=[])

    @property
    def confirmed(self) -> Confirmed | None:
        """The winner of the confirmations; None if there is no winner yet."""
        if not self.session or not self.confirmations.of:
            return None
        wanted = self.session.confirm
        return self.confirmations.named(wanted, self._at_the_highest)

    @property
    def noise(self) -> float | None:
        """How much a trial's result varies by chance, as a standard deviation: over seeds, if
        results were confirmed, otherwise between the last reports of the trials at the rung of the
        best result. None if this is unknown, or if a result is not one number.
        """
        best = self.best
        if best is None or not self.goal.is_plain:
            return None
        confirmed = self.confirmed
        return self.rungs[best.rung].noise if confirmed is None else confirmed.noise

    @property
    def within_noise(self) -> int:
        """How many trials are worse than the best by at most the noise, at the rung of the best
        result and without confirmed trials.
        """
        noise = self.noise
        best = self.best
        if not noise or best is None:
            return 0
        confirmed = self.confirmed
        others = dict(self.rungs[best.rung].bests.results)
        loss = best.loss
        if confirmed is not None:
            loss = self.goal.loss({self.goal.metric: confirmed.mean})
            for each in confirmed.all:
                others.pop(each.trial, None)
        others.pop(best.trial, None)
        return sum(other.loss <= loss + noise for other in others.values())

    @property
    def _at_the_highest(self) -> Mapping[TrialId, BestResult]:
        """The results at the highest rung that has a result, by trial."""
        return next(filter(None, (rung.bests.results for rung in reversed(self.rungs))), {})

    @property
    def best_at_any_rung(self) -> BestResult | None:
        """The best result at any rung, even if its trial is worse now. If results are equal, a
        higher rung wins.
        """
        results = [result for rung in reversed(self.rungs) for result in rung.front]
        if not self.goal.others:
            return min(results, key=lambda best: best.loss, default=None)
        front = front_of(results, key=lambda result: (result.key[0], -result.rung))
        order = preferred([result.losses for result in front], self.goal.weights)
        return front[order[0]] if front else None

    @property
    def is_program(self) -> bool:
        """Whether the study trains a program. Messages about a program mention folders and
        variables.
        """
        return self.session is not None and PROGRAM in self.session.facts

    @property
    def how_to_save(self) -> str:
        """A text that tells the user how to save checkpoints."""
        if self.is_program:
            return (
                "save the model in the folder {checkpoint} ($ASHTUNE_CHECKPOINT), and load it from "
                "there at the start"
            )
        return "begin with trial.restore(), and call trial.save(model) after the loop"

    def notes(self) -> Iterator[str]:
        """Yield messages about this study for the user; each message is one line."""
        if self.retrained and not self.saves:
            who = "the program" if self.is_program else "the training function"
            yield (
                f"{who} saves nothing, so promoted trials train again from the start "
                f"({self.retrained:,} so far); {self.how_to_save}"
            )
        elif self.retrained:
            yield (
                f"{plural(self.retrained, 'promoted trial')} trained again from the start: the "
                "checkpoint was not saved, was deleted, or had no room under checkpoint_limit"
            )
        if self.changes:
            how = (
                f"{', '.join(names)} after {plural(started, 'trial')}"
                for started, names in self.changes
            )
            yield (
                f"trained by {len(self.changes) + 1} versions of the training function; changed: "
                f"{'; '.join(how)}"
            )
        if self.ended_early:
            by = '"stopped": true' if self.is_program else "trial.stop()"
            yield f"{plural(self.ended_early, 'trial')} ended early on purpose ({by})"
        for group in self.saving_problems.groups():
            yield f"{group.reason} ({group.count:,} x, first: trial {group.trial})"

    def _start(self, event: TrialStarted) -> None:
        if event.confirms is None:
            self.started += 1
            self.sorts[sort_of(event.origin)] += 1
            if not event.trial and event.origin == ENQUEUED:
                self.first_enqueued = {}
            return
        confirmed = TrialId(event.confirms)
        results = (rung.bests.results.get(confirmed) for rung in reversed(self.rungs))
        if (first := next(filter(None, results), None)) is not None:
            self.confirmations.start(event.trial, first)

    def _had_result(self, trial: TrialId) -> bool:
        """Make room for a trial's entry, and return whether the trial has had a result."""
        if trial >= len(self._has_result):
            self._has_result += bytes(max(256, trial + 1 - len(self._has_result)))
        return bool(self._has_result[trial])

    def _free(self, event: JobFinished | JobFailed | JobPaused | TrialWithdrawn) -> None:
        if (worker := self._workers.present.get(event.worker)) is not None:
            worker.free = self.now
            if (rung := worker.jobs.pop(event.trial, None)) is not None:
                self.rungs[rung].running -= 1

    def _finished(self, event: JobFinished) -> None:
        trial = event.trial
        has_result = self._has_result
        self._free(event)
        if trial in self.confirmations.of:
            self.confirmations.finish(event)
            return
        if trial >= len(has_result) or not has_result[trial]:
            self._had_result(trial)
            has_result[trial] = True
            self.tried += 1
        elif not event.start:
            self.retrained += 1
        if event.checkpoint is not None or event.problem:
            self._saved(event, event.rung)
        if event.stopped:
            self.ended_early += 1
        self.rungs[event.rung].add(event)
        if (
            not trial
            and self.first_enqueued is not None
            and (result := result_of(event, self.goal)).loss < math.inf
        ):
            self.first_enqueued[event.rung] = result

    def _released(self, event: TrialReleased) -> None:
        self.saving_seconds += event.seconds
        self._saved(event)
        worker = self.workers.get(event.worker)
        if worker is not None and worker.releasing == event.trial:
            worker.releasing, worker.free = None, self.now

    def _ended(self, event: JobFailed | JobPaused | TrialWithdrawn) -> None:
        self._free(event)
        if event.trial in self.confirmations.of:
            self._end_confirmation(event)
            return
        self.rungs[event.rung].seconds += event.seconds
        match event:
            case JobFailed():
                pass  # the verdict counts it
            case JobPaused():
                self._paused(event)
            case TrialWithdrawn():
                self._withdraw(event)

    def _end_confirmation(self, event: JobFailed | JobPaused | TrialWithdrawn) -> None:
        self.confirmations.seconds += event.seconds
        if isinstance(event, JobPaused):
            self.confirmations.epochs += event.resource - event.start
        elif isinstance(event, TrialWithdrawn):
            self.confirmations.fail(event.trial)
            self.withdrawals.add(event.reason, event.trial, event.rung)

    def _paused(self, event: JobPaused) -> None:
        self.broken_off += 1
        self.rungs[event.rung].epochs += event.resource - event.start
        self._saved(event, event.rung)

    def _saved(self, event: JobFinished | TrialReleased | JobPaused, rung: int = 0) -> None:
        if event.checkpoint is not None:
            self.saves += 1
        if event.problem:
            self.saving_problems.add(event.problem, event.trial, rung)

    def _fail(self, verdict: TrialFailed) -> None:
        if verdict.trial in self.confirmations.of:
            self.confirmations.fail(verdict.trial)
        else:
            self.rungs[verdict.rung].failed += 1
            self.tried += not self._had_result(verdict.trial)
        self.failures.add(verdict.reason, verdict.trial, verdict.rung, verdict.traceback)

    def _withdraw(self, event: TrialWithdrawn) -> None:
        self.rungs[event.rung].withdrawn += 1
        self.withdrawn += 1
        if self._had_result(event.trial):
            self.tried -= 1
            for rung in self.rungs:
                rung.bests.withdraw(event.trial)
            if not event.trial and self.first_enqueued:
                self.first_enqueued.clear()
        self.withdrawals.add(event.reason, event.trial, event.rung)

    def _lose(self, event: WorkerLost) -> None:
        if event.trial is None and event.worker in self.workers:  # it had begun none of its jobs
            self.workers[event.worker].free = self.now
        self._depart(event.worker, self.now, is_lost=not event.is_dismissed)
        if not event.is_dismissed:
            self.lost_workers.add(event.reason, event.trial, event.rung, event.last_words)

    def _depart(self, number: WorkerId, time: float, *, is_lost: bool = False) -> None:
        if (worker := self._workers.leave(number, time, is_lost=is_lost)) is not None:
            if worker.state == "training":
                self.unfinished_seconds += max(0.0, time - worker.since)
            for rung in worker.jobs.values():
                self.rungs[rung].running -= 1

    def _start_session(self, event: SessionStarted, end_of_the_last: float) -> None:
        for worker in list(self.workers):
            self._depart(worker, end_of_the_last)
        self._workers.start_session(end_of_the_last, self.now)
        self.sessions += 1
        if names := changes(self.version, event.objective):
            self.changes.append((self.started, names))
        self.version = event.objective or self.version
        self.session = event
        self.session_began = event.time
        self.stopping = ""
        self.is_paused = False
        self.workers_wanted = None
