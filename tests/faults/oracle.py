"""What must hold of a study after whatever has happened to it, worked out from its file alone.

Nothing of the package decides here: the lines are read as JSON, and the rules are those of the
guide and the papers.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.analysis.tally import Tally
from ashtune._src.core.events import JobFinished, TrialStarted
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer, Observers
from ashtune._src.search.search_protocol import Proposer, Search
from ashtune._src.space.space import Space
from ashtune._src.study.factory import build_controller, built_study
from ashtune._src.study.journal import read_events
from ashtune._src.study.replay import replay
from ashtune._src.training.worker_messages import FromWorker

STUDY = Path("/study")
JOURNAL = f"{STUDY}/journal.jsonl"
_decoder = msgspec.msgpack.Decoder(FromWorker)
CHECKPOINTS = f"{STUDY}/checkpoints/"
OF_THE_DISK = frozenset(
    ("power loss", "no space", "no inode", "read error", "sync error", "no descriptor")
)
LOSE_WORKERS = frozenset(
    (
        "worker killed",
        "worker hangs",
        "message cut",
        "nonsense",
        "message doubled",
        "message late",
        "slow sync",
        "exception breaks in",
        "no descriptor",
    )
)
"""What a lost worker leaves is swept when the study is opened again."""


class Record:
    """What really happened in a world, as far as the file cannot tell."""

    def __init__(self) -> None:
        self.settings: Any = None
        self.synced = b""
        self.complaints: list[str] = []
        self.trained: Counter[tuple[int, int]] = Counter()
        self._before = b""

    def begins(self, trial: Any, trained: list[int]) -> None:
        """A worker takes up a trial."""
        if trained != list(range(1, trial.start + 1)):
            self.complaints.append(
                f"trial {trial.number} begins at {trial.start} with epochs {trained}"
            )

    def trains(self, trial: Any, epoch: int) -> None:
        self.trained[trial.number, epoch] += 1

    def before_an_order(self, world: Any) -> None:
        """The driver acts: every result that it has read must be in its file."""
        events = [_decoder.decode(body) for process, body in world.heard if not process.is_spoilt]
        world.heard.clear()
        results = [event for event in events if isinstance(event, JobFinished)]
        content = journal_of(world) if results else b""
        for event in results:
            if f'"worker":{event.worker},"trial":{event.trial},'.encode() not in content:
                self.complaints.append(
                    f"the driver acts on a result of trial {event.trial}, which is not in its file"
                )

    def begin_session(self, world: Any) -> None:
        self._before = journal_of(world)

    def is_safe(self, world: Any) -> None:
        """The journal was opened, synced or closed: what is in it must not get lost, even if the
        power goes.
        """
        self.synced = journal_of(world)

    def at_end(self, world: Any) -> None:
        """The driver is gone; what is in the file now must not get lost,
        unless the power goes too.
        """
        self._before = whole(journal_of(world))

    def end_session(self, world: Any, *, is_power_loss: bool) -> None:
        there, must_be = journal_of(world), whole(self.synced) if is_power_loss else self._before
        if not there.startswith(must_be):
            self.complaints.append(
                f"{len(must_be)} bytes of the journal were safe, and are not there any more"
            )


def journal_of(world: Any) -> bytes:
    content = world.disk.tree().get(JOURNAL)
    return content if isinstance(content, bytes) else b""


def whole(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


class Reading:
    """The file as a list of events, and what follows from them."""

    def __init__(self, content: bytes) -> None:
        lines = content.split(b"\n")
        assert lines[-1] == b"", "the file ends in the middle of a line"
        self.events: list[dict[str, Any]] = [json.loads(line) for line in lines[1:-1]]
        self.configurations: dict[int, dict[str, Any]] = {}
        self.results: dict[tuple[int, int], float] = {}
        self.confirms: dict[int, int] = {}
        """Trial that confirms -> trial that it confirms; what comes of it is in ``confirmed`` and
        ranks nowhere.
        """
        self.confirmed: dict[int, tuple[int, float | None]] = {}
        """Trial that confirms -> rung, and loss; None if it failed."""
        self.withdrawn: set[int] = set()
        self.failed: set[tuple[int, int]] = set()
        self.stopped: set[tuple[int, int]] = set()
        """(trial, rung) of those that ended themselves on purpose: they are ranked and never
        trained again.
        """
        self.arrivals: list[tuple[int, int, float]] = []
        """(trial, rung, loss) in their order; failures are infinite."""
        deaths: Counter[int] = Counter()
        for event in self.events:
            match event["event"]:
                case "trial_started":
                    before = self.configurations.setdefault(event["trial"], event["configuration"])
                    assert before == event["configuration"], (
                        f"trial {event['trial']} has two configurations"
                    )
                    if (confirms := event.get("confirms")) is not None:
                        self.confirms[event["trial"]] = confirms
                        assert self.configurations[confirms] == before, (
                            f"trial {event['trial']} confirms another"
                        )
                        assert event["origin"] == f"confirms {confirms}"
                case "job_finished":
                    key = event["trial"], event.get("rung", 0)
                    if event["trial"] in self.confirms:
                        assert event["trial"] not in self.confirmed, (
                            f"trial {event['trial']} ends twice"
                        )
                        self.confirmed[event["trial"]] = key[1], event["metrics"]["loss"]
                        continue
                    assert key not in self.results, (
                        f"trial {key[0]} has two results at rung {key[1]}"
                    )
                    assert key not in self.failed, (
                        f"trial {key[0]} failed at rung {key[1]} and has a result there"
                    )
                    if event.get("stopped"):
                        self.stopped.add(key)
                    self.results[key] = event["metrics"]["loss"]
                    self._arrive(event["trial"], key[1], event["metrics"]["loss"])
                case "job_failed":
                    self._fail(event["trial"], event.get("rung", 0))
                case "trial_withdrawn":
                    self.withdrawn.add(event["trial"])
                case "worker_lost" if event.get("trial") is not None:
                    deaths[event["trial"]] += 1
                    if event.get("is_fatal") or deaths[event["trial"]] > 1:
                        self._fail(event["trial"], event.get("rung", 0))
                case _:
                    pass

    def _fail(self, trial: int, rung: int) -> None:
        if trial in self.confirms:
            assert trial not in self.confirmed, f"trial {trial} ends twice"
            self.confirmed[trial] = rung, None
            return
        assert (trial, rung) not in self.failed, f"trial {trial} fails twice at rung {rung}"
        self.failed.add((trial, rung))
        self._arrive(trial, rung, math.inf)

    def _arrive(self, trial: int, rung: int, loss: float) -> None:
        self.arrivals.append((trial, rung, loss))


def check(
    plan: Any,
    world: Any,
    record: Record,
    session: Any,
    *,
    fate_of: Callable[..., str],
    loss_of: Callable[..., float],
) -> None:
    """Hold a complete study against the rules.

    Raises:
        AssertionError: For the first that does not hold.
    """
    assert not record.complaints, record.complaints
    ended = [name for name in world.counts if name.startswith("worker ended by")]
    assert not ended, ended
    reading = Reading(journal_of(world))
    _results_are_those_of_the_function(plan, reading, loss_of)
    _failures_are_explained(plan, reading, fate_of)
    _jobs_begin_where_the_file_says(plan, reading)
    _all_trials_are_done(plan, reading, session)
    _the_best_are_confirmed_once(plan, reading)
    if plan.scheduler in ("ash", "sh"):
        _promotions_follow_the_rule(plan, record, reading)
    _replay_gives_the_same(world, record, reading, session)
    _checkpoints_are_those_of_the_file(plan, world, session)
    _the_best_has_its_checkpoint(plan, reading, session)
    _proposals_follow_from_the_file(world, record)


def _results_are_those_of_the_function(
    plan: Any, reading: Reading, loss_of: Callable[..., float]
) -> None:
    for event in reading.events:
        if event["event"] == "job_finished":
            x = reading.configurations[event["trial"]]["x"]
            assert event["metrics"]["loss"] == loss_of(x, event["resource"]), event
    del plan


def _failures_are_explained(plan: Any, reading: Reading, fate_of: Callable[..., str]) -> None:
    for event in reading.events:
        if event["event"] == "job_failed":
            fate, reason = (
                fate_of(reading.configurations[event["trial"]]["x"], plan),
                event["reason"],
            )
            is_its_own = (fate == "raises" and "it raises" in reason) or (
                fate == "is not finite" and "finite" in reason
            )
            is_an_alarm = "exception breaks in" in plan.faults and reason.startswith("Alarm")
            is_of_the_disk = (
                plan.keeps == "directory"
                and bool(OF_THE_DISK & set(plan.faults))
                and "Error" in reason
            )
            assert is_its_own or is_an_alarm or is_of_the_disk, (
                f"trial {event['trial']} failed: {reason}"
            )
        elif event["event"] == "worker_lost" and event.get("is_fatal"):
            assert plan.trial_timeout is not None
            late = {
                "worker hangs",
                "worker stopped",
                "message late",
                "message cut",
                "nonsense",
                "slow sync",
            } & set(plan.faults)
            assert late, f"trial {event['trial']} timed out: {event['reason']}"
        elif event["event"] == "worker_lost" and "does not fit" in event["reason"]:
            spoilt = {"nonsense", "message doubled", "message cut"} & set(plan.faults)
            assert spoilt, f"worker {event['worker']} speaks out of turn: {event['reason']}"
        elif event["event"] == "trial_withdrawn":
            assert fate_of(reading.configurations[event["trial"]]["x"], plan) == "is invalid"


def _jobs_begin_where_the_file_says(plan: Any, reading: Reading) -> None:
    # Of a study that is given more trials what seemed hopeless may be promoted after all.
    may_be_lost = (
        bool(OF_THE_DISK & set(plan.faults)) or plan.checkpoint_limit is not None or plan.grows
    )
    saved: dict[int, int] = {}
    held: dict[int, tuple[int, int]] = {}
    for event in reading.events:
        kind, trial = event["event"], event.get("trial")
        if kind == "session_started":
            held.clear()
        if kind in ("job_finished", "job_paused"):
            start, goes_on = (
                event.get("start", 0),
                held.get(trial) == (event["worker"], event.get("start", 0)),
            )
            where = f"trial {trial} to {event['resource']} begins at {start}"
            assert goes_on or start in (0, saved.get(trial, 0)), (
                f"{where}; its checkpoint is at {saved.get(trial)}"
            )
            if start == 0 and saved.get(trial, 0) > 0:
                assert may_be_lost, f"{where}, though it has a checkpoint at {saved[trial]}"
            held.pop(trial, None)
        if kind == "job_finished" and event.get("held"):
            held[trial] = event["worker"], event["resource"]
        if kind == "trial_released":
            held.pop(trial, None)
        if event.get("checkpoint") is not None:
            saved[trial] = event["resource"]


def _all_trials_are_done(plan: Any, reading: Reading, session: Any) -> None:
    size = session.settings.configurations
    if session._controller.gave_up if hasattr(session._controller, "gave_up") else False:
        return
    done = {trial for trial, _, _ in reading.arrivals}
    assert set(reading.configurations) == done | reading.withdrawn | set(reading.confirmed), (
        "a trial was begun and has come to nothing"
    )
    wanted = plan.trials if size is None else min(plan.trials, size - len(reading.withdrawn))
    assert len(done) == wanted, f"{len(done)} trials of {wanted} are done"


def highest_rung(reading: Reading) -> int:
    """Return the highest rung that has a finite result; -1 if there is none."""
    return max(
        (
            rung
            for (trial, rung), loss in reading.results.items()
            if is_result(reading, trial, loss)
        ),
        default=-1,
    )


def is_result(reading: Reading, trial: int, loss: float | None) -> bool:
    return loss is not None and trial not in reading.withdrawn


def _the_best_are_confirmed_once(plan: Any, reading: Reading) -> None:
    """Each of the best is trained again as often as it should be; others only where a limit ended a
    search before, or it was given more trials.
    """
    assert set(reading.confirms) == set(reading.confirmed), (
        "a training that confirms has come to nothing"
    )
    times = Counter(
        (reading.confirmed[trial][0], confirmed) for trial, confirmed in reading.confirms.items()
    )
    if plan.confirm is None:
        assert not times
        return
    top = highest_rung(reading)
    at_the_top = sorted(
        (loss, trial) for (trial, rung), loss in reading.results.items()
        if rung == top and is_result(reading, trial, loss)
    )  # fmt: skip
    best = [(top, trial) for _, trial in at_the_top[: plan.confirm.best]]
    assert all(times[key] == plan.confirm.seeds for key in best), (
        f"{best} are to be confirmed, and {times} are"
    )
    assert (
        max(times.values(), default=0) <= plan.confirm.seeds
    )  # a study that grows may break one off for a better trial
    if not plan.grows and "time limit" not in plan.faults:
        assert set(times) == set(best), (
            f"{set(times) - set(best)} were confirmed and are not among the best"
        )


def named_winner(reading: Reading) -> int | None:
    """Return the trial that has the best mean of all its values, none of which is a failure."""
    top = highest_rung(reading)
    values: dict[int, list[float]] = defaultdict(list)
    for trial, confirmed in reading.confirms.items():
        rung, value = reading.confirmed[trial]
        if rung == top:
            values[confirmed].append(math.inf if value is None else value)
    means = {
        trial: (reading.results[trial, top] + sum(more)) / (1 + len(more))
        for trial, more in values.items()
    }
    best = min(means, key=lambda trial: (means[trial], trial), default=None)
    return best if best is not None and means[best] < math.inf else None


def _promotions_follow_the_rule(plan: Any, record: Record, reading: Reading) -> None:
    """A trial continues if it is, or for ASH at some moment was, among the best floor(n / factor) of
    its rung.

    Source: Li et al., MLSys 2020, Algorithm 2; for successive halving Algorithm 1.
    """
    top = len(record.settings.rungs) - 1
    arrived: dict[int, list[tuple[float, int, int]]] = defaultdict(list)
    were_best: dict[int, set[int]] = defaultdict(set)

    def best_of(rung: int) -> set[int]:
        ranked = sorted(arrived[rung])
        return {
            trial
            for loss, _, trial in ranked[: len(ranked) // plan.reduction_factor]
            if loss < math.inf
        }

    for order, (trial, rung, loss) in enumerate(reading.arrivals):
        if rung and plan.scheduler == "ash":
            assert trial in were_best[rung - 1], (
                f"trial {trial} was promoted to rung {rung} without being among the best"
            )
        arrived[rung].append((loss, order, trial))
        were_best[rung] |= best_of(rung)
    for rung in range(top):
        went_on = {trial for _, _, trial in arrived[rung + 1]}
        due = {trial for trial in best_of(rung) if (trial, rung) not in reading.stopped}
        if record.settings.kept[rung] != (1, plan.reduction_factor):
            continue
        assert due <= went_on, (
            f"trials {due - went_on} are among the best of rung {rung} and never continued"
        )
        if plan.scheduler == "sh":
            assert due == went_on, (
                f"trials {went_on - due} continued from rung {rung} without being among the best"
            )


def _replay_gives_the_same(world: Any, record: Record, reading: Reading, session: Any) -> None:
    settings = record.settings
    ladder = Ladder.from_record((settings.rungs, settings.kept))
    controller, tally = build_controller(settings), Tally(ladder, settings.goal)
    replay(Path(JOURNAL), controller, [tally], world.disk)
    assert len(list(read_events(Path(JOURNAL), world.disk))) == len(reading.events)
    assert controller.is_complete == session._controller.is_complete
    assert controller.checkpoints.resources() == session._controller.checkpoints.resources()
    ranked = [
        (-rung, loss)
        for (trial, rung), loss in reading.results.items()
        if trial not in reading.withdrawn
    ]
    winner = named_winner(reading)
    for best in (tally.best, session._tally.best):
        if winner is not None:
            assert best is not None
            named = (winner, reading.results[winner, highest_rung(reading)])
            assert (best.trial, best.metrics["loss"]) == named, (best, named)
            continue
        if not ranked:
            assert best is None
        else:
            assert best is not None
            assert (-best.rung, best.metrics["loss"]) == min(ranked), (best, min(ranked))


def _checkpoints_are_those_of_the_file(plan: Any, world: Any, session: Any) -> None:
    expected = {
        f"{trial}.{resource}"
        for trial, resource in session._controller.checkpoints.resources().items()
    }
    paths = [path for path in world.disk.tree() if path.startswith(CHECKPOINTS)]
    there = {path.removeprefix(CHECKPOINTS).split("/")[0] for path in paths}
    left_by_lost_workers = {name for name in there if "by-" in name} | (there - expected)
    if not OF_THE_DISK & set(plan.faults):
        assert expected <= there, f"{expected - there} are in the journal and not there"
    # it stands still beyond the time of its trial
    late = set() if plan.trial_timeout is None else {"worker stopped"}
    if not (LOSE_WORKERS | late) & set(plan.faults):
        assert not left_by_lost_workers, f"{left_by_lost_workers} are there and not in the journal"


def _the_best_has_its_checkpoint(plan: Any, reading: Reading, session: Any) -> None:
    """That of a study without a limit for them, where no better trial was withdrawn."""
    best = session._tally.best
    if (
        best is None
        or plan.checkpoint_limit is not None
        or any(trial in reading.withdrawn for trial, _ in reading.results)
    ):
        return
    saved = [
        e["resource"]
        for e in reading.events
        if e.get("trial") == best.trial and e.get("checkpoint") is not None
    ]
    if max(saved, default=0) >= best.resource:
        kept = session._controller.checkpoints.resources().get(best.trial, 0)
        assert kept >= best.resource, f"the checkpoint of the best trial, {best.trial}, is gone"


def beside_the_driver(search: Search, space: Space, seed: int, max_resource: int) -> Proposer:
    """Return the proposer of a search without a process for it."""
    proposer = search.proposer(space, seed, max_resource)
    assert proposer is not None
    return proposer


class _Proposed(Observer):
    """Asks a proposer that is told the file from its beginning for each of its trials."""

    def __init__(self, settings: Any) -> None:
        self.configurations = built_study(settings).configurations
        self.proposals = self.configurations.proposals
        self.search = Observers([] if self.proposals is None else [self.proposals])
        if self.proposals is not None:
            self.proposals.start(
                self.configurations,
                workers=1,
                trials=None,
                max_resource=settings.rungs[-1],
                complain=self._complain,
                open_apart=beside_the_driver,
            )

    def _complain(self, line: str) -> None:
        raise AssertionError(line)

    def batch(self, told: Any) -> None:
        for event, followed in told:
            self.event(event)
            self.search.tell([(event, followed)])

    def event(self, event: Any) -> None:
        if isinstance(event, TrialStarted) and event.confirms is not None:
            self.configurations.put(event.trial, event.configuration, event.confirms)
        elif isinstance(event, TrialStarted):
            proposal = self.configurations.draw(event.trial)
            given = (event.configuration, event.origin)
            assert (proposal.configuration, proposal.origin) == given, (
                f"trial {event.trial} was given {given}"
            )


def _proposals_follow_from_the_file(world: Any, record: Record) -> None:
    """Whatever sessions a study had, each trial is the one that its search proposes after all that
    stands before it.
    """
    proposed = _Proposed(record.settings)
    try:
        replay(Path(JOURNAL), build_controller(record.settings), [proposed], world.disk)
    finally:
        if proposed.proposals is not None:
            proposed.proposals.close()
