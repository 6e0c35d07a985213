"""Whether a study's directory is right, by code of its own: it reads JSON and knows nothing of the
library.

What it knows is the paper's rules and what the guide promises. Only the training function of
``chaos.py`` is as it says: its metric follows from the configuration, the trial and the epoch.
"""

import json
import math
import pickle
import zlib
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

Entry = tuple[float, int]  # loss, trial
DEATHS_ALLOWED = 1


def score(x: float, trial: int, epoch: int) -> float:
    """What the training function reports."""
    return x + (trial * epoch) % 7 / epoch


def whole_lines(journal: Path) -> bytes:
    """What is in a journal up to its last whole line; nothing if there is none."""
    text = journal.read_bytes() if journal.exists() else b""
    return text[: text.rfind(b"\n") + 1]


class Oracle:
    """Reads a finished study.

    Args:
        study: Its directory.
        trials: How many configurations it was to try.
        best: What the script was told: trial, rung and score; None if no trial had a result.
        excuses: What a failure's reason may begin with.
        may_begin_again: The disk was full at times, so a trial may begin again though it had a
            checkpoint.
    """

    def __init__(
        self,
        study: Path,
        trials: int,
        best: tuple[int, int, float] | None,
        excuses: tuple[str, ...],
        *,
        may_begin_again: bool = False,
    ) -> None:
        self.study, self.trials, self.best, self.excuses = study, trials, best, excuses
        self.may_begin_again = may_begin_again
        lines = whole_lines(study / "journal.jsonl").splitlines()
        self.check_values = list(_check_values(lines))
        self.settings, *self.events = map(json.loads, lines)
        self.kept = [Fraction(*ratio) for ratio in self.settings["kept"]]
        # of each rung, as they came
        self.arrived: list[list[Entry]] = [[] for _ in self.settings["rungs"]]
        # of a trial in a rung: how many had arrived in the rung below
        self.moment: dict[tuple[int, int], int] = {}

    def complaints(self) -> Iterator[str]:
        """Yield what is wrong."""
        yield from self.check_values
        yield from self._events()
        yield from {
            "ash": self._ash,
            "stopping": self._stopping,
            "sh": self._sh,
            "full": self._full,
        }[self.settings["scheduler"]["kind"]]()
        yield from self._best()
        yield from self._checkpoints()

    def _events(self) -> Iterator[str]:
        """Every result once and true, by a worker that is there, from the
        checkpoint that is there.
        """
        self.joined: set[int] = set()
        self.there: set[int] = set()
        self.xs: dict[int, float] = {}
        self.saved: dict[int, int] = {}  # trial -> resource of its checkpoint
        # worker -> trial and resource that it has in memory
        self.held: dict[int, tuple[int, int]] = {}
        self.unswept: set[tuple[int, int]] = set()  # what may have been saved and not told
        self.deaths: Counter[int] = Counter()
        for number, event in enumerate(self.events, start=2):
            kind, worker = event["event"], event.get("worker")
            is_at_work = worker is not None and kind not in ("worker_joined", "worker_lost")
            if is_at_work and worker not in self.there:
                yield f"line {number}: {kind} of worker {worker}, which is not there"
            for complaint in getattr(self, f"_{kind}", lambda _: ())(event):
                yield f"line {number}: {complaint}"

    def _session_started(self, _: dict[str, Any]) -> Iterator[str]:
        self.there.clear()
        self.held.clear()
        self.unswept.clear()
        yield from ()

    def _worker_joined(self, event: dict[str, Any]) -> Iterator[str]:
        if event["worker"] in self.joined:
            yield f"worker {event['worker']} joins twice"
        self.joined.add(event["worker"])
        self.there.add(event["worker"])

    def _trial_started(self, event: dict[str, Any]) -> Iterator[str]:
        x = event["configuration"]["x"]
        if self.xs.setdefault(event["trial"], x) != x:
            yield f"trial {event['trial']} has another configuration than before"

    def _job_finished(self, event: dict[str, Any]) -> Iterator[str]:
        yield from self._job_paused(event)
        trial, rung, resource, reported = (
            event["trial"],
            event["rung"],
            event["resource"],
            event["metrics"]["score"],
        )
        if event.get("held"):
            self.held[event["worker"]] = (trial, resource)
        if resource != self.settings["rungs"][rung]:
            yield f"rung {rung} is at {resource}"
        if not math.isclose(reported, score(self.xs.get(trial, math.nan), trial, resource)):
            yield f"the score of trial {trial} at {resource} is not {reported}"
        yield from self._arrive(rung, trial, -reported)

    def _job_paused(self, event: dict[str, Any]) -> Iterator[str]:
        trial, start, saved = (
            event["trial"],
            event.get("start", 0),
            self.saved.get(event["trial"], 0),
        )
        is_from_start = self.may_begin_again and start == 0
        if (
            (trial, start) != self.held.pop(event["worker"], None)
            and start != saved
            and not is_from_start
        ):
            yield f"trial {trial} starts at {start}, its checkpoint is of {saved}"
        self._save(event)

    def _trial_released(self, event: dict[str, Any]) -> Iterator[str]:
        if self.held.pop(event["worker"], None) != (event["trial"], event["resource"]):
            yield (
                f"worker {event['worker']} releases trial {event['trial']}, which it does not hold"
            )
        if event.get("problem"):
            self.unswept.add((event["trial"], event["resource"]))
        self._save(event)

    def _save(self, event: dict[str, Any]) -> None:
        if event.get("checkpoint") is not None:
            self.saved[event["trial"]] = event["resource"]

    def _job_failed(self, event: dict[str, Any]) -> Iterator[str]:
        if not event["reason"].startswith(self.excuses):
            yield f"trial {event['trial']} failed: {event['reason']}"
        yield from self._arrive(event["rung"], event["trial"], math.inf)

    def _worker_lost(self, event: dict[str, Any]) -> Iterator[str]:
        self.there.discard(event["worker"])
        if (had := self.held.pop(event["worker"], None)) is not None:
            self.unswept.add(had)
        if event.get("is_fatal") and not event["reason"].startswith(self.excuses):
            yield f"trial {event.get('trial')} failed: {event['reason']}"
        if (trial := event.get("trial")) is not None:
            self.deaths[trial] += 1
            if event.get("is_fatal") or self.deaths[trial] > DEATHS_ALLOWED:
                yield from self._arrive(event.get("rung", 0), trial, math.inf)

    def _arrive(self, rung: int, trial: int, loss: float) -> Iterator[str]:
        if trial in self._trials_of(rung):
            yield f"trial {trial} has a second result at rung {rung}"
        self.moment[trial, rung] = len(self.arrived[rung - 1]) if rung else 0
        self.arrived[rung].append((loss, trial))

    def _best_of(self, rung: int, count: int) -> set[int]:
        """The best ``floor(n * kept)`` of the first ``count`` that arrived in a rung."""
        ranked = sorted(self.arrived[rung][:count])
        return {
            trial
            for loss, trial in ranked[: math.floor(count * self.kept[rung])]
            if loss < math.inf
        }

    def _trials_of(self, rung: int) -> set[int]:
        return {trial for _, trial in self.arrived[rung]}

    def _all_began(self, rung: int = 0) -> Iterator[str]:
        if self._trials_of(rung) != set(range(self.trials)):
            yield (
                f"rung {rung} has trials {sorted(self._trials_of(rung))} and not all of "
                f"{self.trials}"
            )

    def _ash(self) -> Iterator[str]:
        yield from self._all_began()
        for rung in range(len(self.kept)):
            order = {trial: at for at, (_, trial) in enumerate(self.arrived[rung], start=1)}
            for trial in self._trials_of(rung + 1):
                moments = range(order.get(trial, 1 << 30), self.moment[trial, rung + 1] + 1)
                if not any(trial in self._best_of(rung, count) for count in moments):
                    yield f"trial {trial} was promoted from rung {rung} and never among its best"
            for trial in self._best_of(rung, len(order)) - self._trials_of(rung + 1):
                yield f"trial {trial} is among the best of rung {rung} and was not promoted"

    def _stopping(self) -> Iterator[str]:
        yield from self._all_began()
        for rung in range(len(self.kept)):
            on = set()
            for count, (loss, trial) in enumerate(self.arrived[rung], start=1):
                is_spared = math.floor(count * self.kept[rung]) == 0 and loss < math.inf
                if is_spared or trial in self._best_of(rung, count):
                    on.add(trial)
            if on != self._trials_of(rung + 1):
                yield (
                    f"from rung {rung} continued {sorted(self._trials_of(rung + 1))}, by the rule "
                    f"{sorted(on)}"
                )

    def _sh(self) -> Iterator[str]:
        yield from self._all_began()
        for rung in range(len(self.kept)):
            on = self._best_of(rung, len(self.arrived[rung]))
            if on != self._trials_of(rung + 1):
                yield (
                    f"from rung {rung} continued {sorted(self._trials_of(rung + 1))}, by the rule "
                    f"{sorted(on)}"
                )

    def _full(self) -> Iterator[str]:
        yield from self._all_began(len(self.kept))
        if any(self.arrived[:-1]):
            yield "full training has results below the top"

    def _best(self) -> Iterator[str]:
        finite = [
            sorted((-loss, -trial) for loss, trial in rung if loss < math.inf)
            for rung in self.arrived
        ]
        rungs = [rung for rung, results in enumerate(finite) if results]
        best = (-finite[rungs[-1]][-1][1], rungs[-1], finite[rungs[-1]][-1][0]) if rungs else None
        if best != self.best:
            yield f"the best is {best}, the study says {self.best}"

    def _checkpoints(self) -> Iterator[str]:
        folder = self.study / "checkpoints"
        for path in sorted(folder.iterdir()) if folder.exists() else []:
            trial, _, resource = path.name.partition(".")
            if not (trial.isdecimal() and resource.isdecimal()):
                # what a killed worker was writing; it is swept when the study is opened again
                continue
            if (int(trial), int(resource)) in self.unswept:
                # saved by a worker that died, or was interrupted, before it said so: swept, too
                continue
            if self.saved.get(int(trial)) != int(resource):
                yield f"checkpoint {path.name} is not the journal's, {self.saved.get(int(trial))}"
            elif path.is_dir():
                if (path / "epochs").read_text() != resource:
                    yield f"checkpoint {path.name} holds {(path / 'epochs').read_text()!r}"
            elif pickle.loads(path.read_bytes())[:2] != [int(trial), int(resource)]:
                yield f"checkpoint {path.name} holds another"


def _check_values(lines: list[bytes]) -> Iterator[str]:
    check, turn = 0, b""
    for number, line in enumerate(lines, start=1):
        body, is_end, value = line.rpartition(b',"crc":"')
        turn += body if is_end else line + b"\n"
        if is_end:
            check, turn = zlib.crc32(turn, check), b""
            if value != b'%08x"}' % check:
                yield f"line {number}: its check value is wrong"
                return
