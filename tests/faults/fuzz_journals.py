"""A fuzzer of study directories: whatever was done to one, reading it gives the right answer or one
clear line.

Real journals, written by the real controller of made-up studies, are damaged with and without their
check values put right again. Each is then read by every call in its own process limits: 10
seconds and 500 MB.

    python -m tests.faults.fuzz_journals --inputs 20000 --seed 1
    python -m tests.faults.fuzz_journals --seed 1 --only 4711       shows one input again

The seed and the number of an input decide it.
"""

import argparse
import contextlib
import copy
import io
import json
import math
import multiprocessing
import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ashtune._src.core.errors import AshtuneError, JournalError, StudyError
from ashtune._src.core.events import TrialStarted
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS
from ashtune._src.search.grid import Grid
from ashtune._src.search.random import Random
from ashtune._src.search.search_protocol import Search
from ashtune._src.simulation.recording import traces_of
from ashtune._src.space.space import Space
from ashtune._src.study.factory import build_controller, built_study, new_study
from ashtune._src.study.journal import NAME, end_of_turns, read_settings
from ashtune._src.study.journal_writer import Journal, create
from ashtune._src.study.replay import replay
from tests.helpers.made_up import ACCURACY, MadeUpStudy
from tests.helpers.saved_page import texts

SECONDS = 10.0
"""Of processor time: this machine may be busy with other things."""
HANGS_AFTER = 120.0
MEGABYTES = 500
MOST_CHARACTERS = 2_000
Line = dict[str, Any]


def spaces() -> dict[str, Any]:
    """Return the spaces of the studies."""
    from ConfigSpace import (
        Categorical,
        ConfigurationSpace,
        EqualsCondition,
        Float,
        ForbiddenEqualsClause,
        Integer,
        Normal,
        OrdinalHyperparameter,
    )

    conditional = ConfigurationSpace()
    kind, depth, rate = (
        Categorical("kind", ["a", "b"]),
        Integer("depth", (1, 9)),
        Float("rate", (1e-4, 1.0), log=True),
    )
    conditional.add(
        [kind, depth, rate, EqualsCondition(depth, kind, "a"), ForbiddenEqualsClause(depth, 3)]
    )
    odd = ConfigurationSpace()
    odd.add(
        [
            OrdinalHyperparameter("size", [1, 2, 4]),
            Integer("n", (1, 50), distribution=Normal(9, 3)),
            rate,
        ]
    )
    return {
        "ranges": {"rate": (0.0, 1.0), "depth": (1, 1000), "kind": ["a", "b", "c"], "fixed": 3},
        "finite": {"width": [8, 16, 32], "kind": ["a", "b"], "depth": (1, 4)},
        "conditional": conditional,
        "odd": odd,
    }


class Base(NamedTuple):
    """A study that was really run: its name and its journal's lines, as they were written."""

    name: str
    lines: list[bytes]


@cache
def bases() -> list[Base]:
    """Return the studies that are damaged."""
    plans: list[tuple[str, str, Search, dict[str, Any]]] = [
        ("ash", "ranges", Random(), {"stop_after": 9}),
        ("ash", "finite", Random(), {"trouble": 0.4}),
        ("stopping", "odd", Random(), {"trouble": 0.2}),
        ("sh", "finite", Grid(points=3), {}),
        ("full", "conditional", Random(), {"trouble": 0.1, "saves": False}),
        (
            "ash",
            "conditional",
            Random(),
            {"stop_after": 20, "grouped_by": ("kind",), "grouped_for": 16},
        ),
        ("ash", "ranges", Random(), {"enqueued": True}),
        ("sh", "ranges", Random(), {"simulated": True}),
    ]
    studies = []
    for number, (scheduler, space, search, how) in enumerate(plans):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, NAME)
            _run(path, scheduler, Space.parse(spaces()[space]), search, how, seed=number)
            studies.append(
                Base(f"{scheduler}/{space}", path.read_bytes().splitlines(keepends=True))
            )
    return studies


def _run(
    path: Path, scheduler: str, space: Space, search: Search, how: dict[str, Any], *, seed: int
) -> None:
    how = dict(how)
    enqueued = (
        [{"rate": 0.5, "depth": 7, "kind": "b", "fixed": 3}] if how.pop("enqueued", False) else []
    )
    settings = new_study(
        name="made up", goal=ACCURACY, scheduler=SCHEDULERS.part(scheduler), ladder=Ladder(1, 8, 2),
        space=space,
        search=search, seed=seed, enqueued=enqueued, simulated=how.pop("simulated", False),
        grouped_by=how.pop("grouped_by", ()), grouped_for=how.pop("grouped_for", None),
    ).settings  # fmt: skip
    settings = msgspec.structs.replace(settings, created=1e9)
    create(path, settings)
    configurations = built_study(settings).configurations
    study = MadeUpStudy(Ladder(1, 8, 2), 16, 3, seed=seed, **how)
    study.controller = build_controller(settings)
    with Journal(path) as journal:
        for kind, what in study:
            if isinstance(what, TrialStarted):
                drawn = configurations.draw(what.trial).configuration
                what = msgspec.structs.replace(what, configuration=drawn)  # noqa: PLW2901
            if kind == "event":
                journal.add(what)  # type: ignore[arg-type]  # an event, as its kind says


# What is done to a journal.

DEEP = "a list in a list in a list"
WEIRD: list[Any] = [
    None, True, False, -1, 0, 1, 2, 3, 7, 255, 2**15, 2**31 - 1, 2**31, 2**53, 2**53 + 1, 2**63 - 1,
    2**63,
    2**64, 10**9, 10**30, 10**400, -(2**63), 0.5, -0.0, 1e-300, 5e-324, 1e18, 1e19, 1e308, -1e308,
    math.nan, math.inf,
    -math.inf, "", "x", "1", "\x1b[31mred\x07", "\u202egnp", "\ud800", "\x00", "a\nb", "y" * 5_000,
    "name", [], {},
    [[]], [1, 2], ["a"], {"a": 1}, [[1, 2], [3, 4]], [None], {"": None}, DEEP, "ash", "sh", "grid",
    "random", "max",
]  # fmt: skip

BOUND = {"trial", "worker", "rung", "resource", "start", "format", "rungs", "kept", "space"}
"""Where numbers follow from each other, so that others are mostly refused."""
WHOLE: list[Any] = [0, 0, 1, 1, 2, 3, 4, 8, 100, 10**6, 10**9, 2**31 - 1, 2**53, 2**62]
REAL: list[Any] = [
    None,
    0.0,
    -0.0,
    0.5,
    1.0,
    -1.0,
    5e-324,
    1e-300,
    1e-9,
    1e9,
    1e18,
    1e308,
    -1e308,
    1.7976931348623157e308,
]


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to everything inside a value."""
    parts = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, part in parts:
        yield (*above, key)
        yield from places(part, (*above, key))


def fractions(value: float) -> list[float]:
    try:
        return [value / 2, value + 0.5]
    except OverflowError:  # a whole number that no float comes near
        return [value // 2]


def alter(line: Line, chance: random.Random) -> None:
    """Change one thing somewhere in a line."""
    path = chance.choice(list(places(line)))
    holder = _at(line, path[:-1])
    key, value = path[-1], holder[path[-1]]
    match chance.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[str(chance.choice(WEIRD))[:20]] = holder.pop(key)
        case 2 if isinstance(value, int | float) and not isinstance(value, bool):
            holder[key] = chance.choice(
                [value + 1, value - 1, -value, value * 1000, *fractions(value)]
            )
        case 3:
            holder[key] = copy.deepcopy(_at(line, chance.choice(list(places(line)))))
        case 4 if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(value))
        case _:
            holder[key] = copy.deepcopy(chance.choice(WEIRD))


def text_of(line: Line, chance: random.Random) -> bytes:
    """Return a line as JSON, or as near to it as JSON comes."""
    depth = chance.choice([50, 900, 3_000, 100_000])
    text = json.dumps(line, ensure_ascii=chance.random() < 0.3, separators=(",", ":"))
    text = text.replace(json.dumps(DEEP), "[" * depth + "]" * depth)
    return text.encode("utf-8", "surrogatepass")


def chained(bodies: Sequence[bytes]) -> list[bytes]:
    """Return lines with the check values that they ought to have."""
    check, lines = 0, []
    for body in bodies:
        part = body[:-1]
        check = zlib.crc32(part, check)
        lines.append(part + b',"crc":"%08x"}\n' % check)
    return lines


def without_check(line: bytes) -> Line:
    """Return a line's content."""
    record: Line = json.loads(line)
    record.pop("crc", None)
    return record


def parsed(
    lines: list[bytes], chance: random.Random, change: Callable[[list[Line]], None]
) -> list[bytes]:
    """Change lines as objects and chain them again."""
    objects = [without_check(line) for line in lines]
    change(objects)
    return chained([text_of(line, chance) for line in objects])


def alter_first(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Alter the first line; put the checks right."""

    def change(objects: list[Line]) -> None:
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            alter(objects[0], chance)

    return parsed(lines, chance, change)


def alter_events(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Alter some events; put the checks right."""

    def change(objects: list[Line]) -> None:
        for _ in range(chance.choice([1, 1, 1, 2, 5])):
            alter(objects[chance.randrange(1, len(objects))], chance)

    return parsed(lines, chance, change)


def alter_numbers(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Put other numbers in the place of some, most of them possible; put the checks right."""

    def change(objects: list[Line]) -> None:
        for _ in range(chance.choice([1, 2, 4, 16])):
            line = objects[0 if chance.random() < 0.2 else chance.randrange(len(objects))]
            numbers = [path for path in places(line) if type(_at(line, path)) in (int, float)]
            if chance.random() < 0.9:
                numbers = [path for path in numbers if not BOUND.intersection(path)]
            if numbers:
                path = chance.choice(numbers)
                holder = _at(line, path[:-1])
                kind = WHOLE if type(holder[path[-1]]) is int and chance.random() < 0.9 else REAL
                holder[path[-1]] = chance.choice(kind)

    return parsed(lines, chance, change)


def _at(line: Line, path: tuple[Any, ...]) -> Any:
    part: Any = line
    for key in path:
        part = part[key]
    return part


def alter_silently(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Alter a line and leave its check as it is."""
    number = chance.randrange(len(lines))
    content, check = without_check(lines[number]), lines[number][-20:]
    alter(content, chance)
    return [*lines[:number], text_of(content, chance)[:-1] + check[1:], *lines[number + 1 :]]


def in_other_order(bodies: list[Any], chance: random.Random) -> None:
    """Lose, double, move or exchange lines, or take some from another study."""
    first, second = sorted(chance.randrange(len(bodies)) for _ in range(2))
    match chance.randrange(6):
        case 0:
            del bodies[first]
        case 1:
            del bodies[first : second + 1]
        case 2:
            bodies.insert(second, bodies[first])
        case 3:
            bodies[first], bodies[second] = bodies[second], bodies[first]
        case 4:
            bodies.insert(first, bodies.pop(second))
        case _:
            bodies[first:first] = bodies[first : second + 1]


def reorder(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Put lines in another order; put the checks right."""
    return parsed(lines, chance, lambda objects: in_other_order(objects, chance))


def reorder_silently(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Put lines in another order, each with the check it had."""
    lines = list(lines)
    in_other_order(lines, chance)
    return lines


def splice(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Put lines of another study in; put the checks right."""
    other = chance.choice(bases()).lines
    begin = chance.randrange(1, len(other))

    def change(objects: list[Line]) -> None:
        at = chance.randrange(1, len(objects))
        objects[at:at] = [
            without_check(line) for line in other[begin : begin + chance.choice([1, 1, 5, 50])]
        ]

    return parsed(lines, chance, change)


def cut(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Cut the file anywhere, as a kill or a power loss does."""
    whole = b"".join(lines)
    return [whole[: chance.randrange(len(whole) + 1)]]


def flip_bytes(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Put other bytes anywhere, some of them no UTF-8."""
    data = bytearray(b"".join(lines))
    for _ in range(chance.choice([1, 1, 3, 50])):
        data[chance.randrange(len(data))] = chance.choice(
            [0, 10, 27, 34, 44, 48, 125, 128, 255, chance.randrange(256)]
        )
    return [bytes(data)]


def bad_bytes(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Put other bytes into a line; put the checks right."""
    bodies = [line[:-20] + b"}" for line in lines]
    number = chance.randrange(len(bodies))
    body = bytearray(bodies[number])
    for _ in range(chance.choice([1, 3])):
        body[chance.randrange(len(body) - 1)] = chance.choice(
            [0, 27, 34, 44, 48, 57, 91, 123, 128, 192, 255]
        )
    bodies[number] = bytes(body)
    return chained(bodies)


def append(lines: list[bytes], chance: random.Random) -> list[bytes]:
    """Put something behind the last line."""
    tail = chance.choice(
        [
            b"\n",
            b"{}\n",
            b"\0" * 5_000,
            b"{" * 30_000 + b"\n",
            b"\xff\n",
            b"null\n",
            lines[-1],
            lines[0],
        ]
    )
    return [*lines, tail * chance.choice([1, 1, 100])]


def nothing(lines: list[bytes], _: random.Random) -> list[bytes]:
    """Leave the journal as it is."""
    return lines


# What is done to the directory.


def _huge_line(path: Path, chance: random.Random) -> None:
    with path.open("ab") as file:
        file.write(b'{"event":"stop_requested","reason":"')
        file.truncate(file.tell() + chance.choice([10**7, 10**8, 10**12]))
        if chance.random() < 0.5:
            file.seek(0, os.SEEK_END)
            file.write(b'"}\n')


def _fifo(path: Path, _: random.Random) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _folder(path: Path, _: random.Random) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def _link(path: Path, chance: random.Random) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(
        chance.choice(
            [str(path), "/dev/zero", "/dev/stdin", "nowhere", ".", "/etc/passwd", "/proc/self/mem"]
        )
    )


def _garbage(path: Path, chance: random.Random) -> None:
    path.unlink(missing_ok=True)
    text = json.dumps(
        {
            name: chance.choice(WEIRD[:40])
            for name in ("machine", "placements", "worker", "kind", "stacks")
        }
    )
    path.write_bytes(
        chance.choice(
            [b"", b"\xff\xfe", b"[" * 100_000, b"null", b"{}", text.encode("utf-8", "replace")]
        )
    )


SPOILERS: dict[str, Callable[[Path, random.Random], None]] = {
    "a pipe": _fifo,
    "a folder": _folder,
    "a link": _link,
    "garbage": _garbage,
}
ENTRIES = (
    NAME,
    NAME,
    "roofline.json",
    "profile/worker-0.json",
    "profile",
    "logs",
    "checkpoints",
    "driver.lock",
)
MUTATIONS: dict[str, Callable[[list[bytes], random.Random], list[bytes]]] = {
    "first line altered, checks right": alter_first,
    "events altered, checks right": alter_events,
    "numbers altered, checks right": alter_numbers,
    "line altered": alter_silently,
    "other order, checks right": reorder,
    "other order": reorder_silently,
    "lines of another study, checks right": splice,
    "cut anywhere": cut,
    "bytes altered": flip_bytes,
    "bytes altered, checks right": bad_bytes,
    "something behind": append,
    "huge last line": nothing,
    "directory entry spoiled": nothing,
}
WEIGHTS = (5, 8, 8, 2, 3, 1, 2, 2, 2, 3, 1, 0.3, 1.5)


class Input(NamedTuple):
    """One directory: what was done to which study, what its journal was,
    and which calls are tried.
    """

    number: int
    mutation: str
    what: str
    before: list[bytes]
    calls: tuple[str, ...]


def make(folder: Path, seed: int, number: int) -> Input:
    """Make an input."""
    chance = random.Random(f"{seed}/{number}")
    base = bases()[chance.randrange(len(bases()))]
    [mutation] = chance.choices(list(MUTATIONS), WEIGHTS)
    lines = MUTATIONS[mutation](list(base.lines), chance)
    (folder / NAME).write_bytes(b"".join(lines))
    what = base.name
    if mutation == "huge last line":
        _huge_line(folder / NAME, chance)
    elif mutation == "directory entry spoiled":
        entry, kind = chance.choice(ENTRIES), chance.choice(list(SPOILERS))
        path = folder / entry
        path.parent.mkdir(exist_ok=True)
        SPOILERS[kind](path, chance)
        what = f"{kind} as {entry}"
    calls = ["best", "best_at_any_rung", "top", "dataframes", "report", "data", "resume"]
    if chance.random() < 0.3:
        calls += ["traces", "report command"]
    if chance.random() < 0.05:
        calls.append("whatif command")
    if (
        chance.random() < (0.15 if mutation.startswith("numbers") else 0.03)
        or mutation == "directory entry spoiled"
    ):
        calls.append("page")
    return Input(number, mutation, what, base.lines, tuple(calls))


# What is read of it.


def best_by_hand(lines: Sequence[bytes]) -> tuple[int, float, dict[str, Any]] | None:
    """Return (trial, value, configuration) of the best trial at the highest rung, from the lines
    themselves.
    """
    settings, *events = [json.loads(line) for line in lines]
    metric, sign = settings["goal"]["metric"], 1 if settings["goal"]["mode"] == "min" else -1
    gone = {event["trial"] for event in events if event["event"] == "trial_withdrawn"}
    started = {
        event["trial"]: event["configuration"]
        for event in events
        if event["event"] == "trial_started"
    }
    results = [
        (-event["rung"], sign * event["metrics"][metric], event["trial"])
        for event in events
        if event["event"] == "job_finished"
        and event["trial"] not in gone
        and event["metrics"].get(metric) is not None
    ]
    if not results:
        return None
    _, loss, trial = min(results)
    return trial, sign * loss, started[trial]


def _command(*arguments: str) -> None:
    from ashtune._src.cli.main import main

    printed, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complained):
        status = main(arguments)
    if status == 2:
        text = complained.getvalue()
        kind, _, message = text.removeprefix("ashtune: ").rstrip("\n").partition(": ")
        raise JournalError(message) if kind == "JournalError" else StudyError(message)
    assert status in (0, 1), f"exit status {status}"


def _resume(folder: Path) -> None:
    """Do what resuming does before anything of the directory is executed."""
    settings = read_settings(folder / NAME)
    built_study(settings)
    replay(folder / NAME, build_controller(settings), [])
    Journal(folder / NAME, syncs_itself=False).close()


def _data(study: Any) -> None:
    data = json.loads(msgspec.json.encode(study.report_data()))
    _check_sections("".join(f"left out: {problem}" for problem in data["left_out"].values()))


def _text(study: Any) -> None:
    study.report(stream := io.StringIO())
    _check_sections(stream.getvalue())


def _page(study: Any, file: Path) -> None:
    study.report_html(file)
    _check_sections(texts(file))


def _check_sections(text: str) -> None:
    """Raise an error if a section was left out for anything but a refusal, which stands without its
    type.
    """
    if problem := re.search(r"(eft|worked) out: \w+(Error|Exception|Exit|Warning)\b.*", text):
        raise AssertionError(problem[0][:200])


CALLS: dict[str, Callable[[Any, Path], Any]] = {
    "best": lambda study, _: study.best,
    "best_at_any_rung": lambda study, _: study.best_at_any_rung,
    "top": lambda study, _: study.top(5),
    "dataframes": lambda study, _: (study.dataframe(), study.curves_dataframe()),
    "report": lambda study, _: _text(study),
    "data": lambda study, _: _data(study),
    "traces": lambda study, _: traces_of(study._reader),
    "page": lambda study, folder: _page(study, folder / "page.html"),
    "report command": lambda _, folder: _command("report", str(folder)),
    "whatif command": lambda _, folder: _command(
        "whatif", str(folder), "--workers", "1,4", "--draws", "0"
    ),
    "resume": lambda _, folder: _resume(folder),
}


def judge(folder: Path, given: Input) -> tuple[str, str]:  # noqa: PLR0911 - the first thing that is wrong ends it
    """Read a directory by its calls; return how it ended, and what was wrong if anything was."""
    from ashtune._src.api.study import Study

    journal = folder / NAME
    data = b""
    if journal.is_file() and not journal.is_symlink() and journal.stat().st_size < 2 * 10**7:
        data = journal.read_bytes()
    # what is behind is an incomplete turn
    whole = data[: end_of_turns(data)].splitlines(keepends=True)
    is_prefix = bool(whole) and whole == given.before[: len(whole)]
    refused, answered = "", False
    for call in given.calls:
        try:
            returned = CALLS[call](Study.load(folder), folder)
        except AshtuneError as error:
            text = str(error)
            if not text.isprintable() or not text or len(text) > MOST_CHARACTERS:
                return "defect", f"{call}: no clear line: {text[:300]!r}"
            is_of_the_journal = isinstance(error, JournalError)
            if is_prefix and is_of_the_journal:
                return "defect", f"{call}: a journal that is whole is refused: {text}"
            refused = refused or (text if is_of_the_journal else "")
            continue
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return "defect", f"{call}: {type(error).__name__}\n{traceback.format_exc()}"
        answered = True
        if call == "best":
            if not returned.config:
                return "defect", "best: a trial without a configuration"
            expected = best_by_hand(whole)
            got = (
                returned.trial,
                returned.metrics[json.loads(whole[0])["goal"]["metric"]],
                returned.config,
            )
            if got != expected:
                return "defect", f"best: {got} where the lines say {expected}"
    is_known = given.mutation in (
        "line altered",
        "other order",
        "bytes altered",
        "something behind",
    )
    if answered and is_known and not is_prefix:
        return "defect", "what was altered is read as if it were right"
    if refused:
        return "refused", refused
    return "answered", ""


# The processes that do it.


def serve(pipe: Any, seed: int) -> None:
    """Judge inputs by number, until there are no more."""
    warnings.simplefilter("ignore")
    os.environ["COLUMNS"] = "120"
    _warm_up()
    pages = (
        int(Path("/proc/self/statm").read_text().split()[0])
        if Path("/proc/self/statm").exists()
        else 0
    )
    if pages:
        most = pages * os.sysconf("SC_PAGE_SIZE") + MEGABYTES * 1_000_000
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    while (number := pipe.recv()) is not None:
        folder = Path(tempfile.mkdtemp(prefix="ashtune-fuzz-"))
        try:
            given = make(folder, seed, number)
            pipe.send((given.mutation, given.what, ""))
            began = time.process_time()
            outcome, why = judge(folder, given)
            if (took := time.process_time() - began) > SECONDS:
                outcome, why = "defect", f"took {took:.1f} s of processor time; {outcome}: {why}"
            pipe.send((outcome, why))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _warm_up() -> None:
    folder = Path(tempfile.mkdtemp(prefix="ashtune-fuzz-"))
    (folder / NAME).write_bytes(b"".join(bases()[0].lines))
    whole = Input(0, "nothing", "", bases()[0].lines, tuple(CALLS))
    outcome, why = judge(folder, whole)
    shutil.rmtree(folder)
    assert outcome == "answered", why


class Judge:
    """A process that judges inputs; it is replaced when one of them ends it or takes too long."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._process: Any = None

    def ask(self, number: int) -> None:
        """Hand it an input."""
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, theirs = context.Pipe()
            self._process = context.Process(target=serve, args=(theirs, self._seed), daemon=True)
            self._process.start()
            theirs.close()
        self.pipe.send(number)

    def answer(self) -> tuple[str, str, str, str]:
        """Return (mutation, what, outcome, why) of the input that it has."""
        mutation, what = "?", "?"
        try:
            mutation, what, _ = self.pipe.recv()
            if self.pipe.poll(HANGS_AFTER):
                return (mutation, what, *self.pipe.recv())
            why = f"no end within {HANGS_AFTER:g} s"
        except (EOFError, OSError):
            why = "the process died: out of memory, or a crash"
        self.close()
        return mutation, what, "defect", why

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def fuzz(
    numbers: Sequence[int], seed: int, judges: int = 2, say: Callable[[str], None] = lambda _: None
) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Judge inputs; return how many of each mutation ended how, and the defects, which are said as
    they are found.
    """
    counts: Counter[tuple[str, str]] = Counter()
    defects: list[str] = []
    all_judges = [Judge(seed) for _ in range(min(judges, len(numbers)))]
    given: dict[int, int] = {}
    waiting = iter(numbers)
    for place, judge_ in enumerate(all_judges):
        given[place] = next(waiting)
        judge_.ask(given[place])
    while given:
        for place in list(given):
            number = given.pop(place)
            mutation, what, outcome, why = all_judges[place].answer()
            counts[mutation, outcome] += 1
            if outcome == "defect":
                again = f"python -m tests.faults.fuzz_journals --seed {seed} --only {number}"
                defects.append(f"{again}\n    {mutation}: {what}: {why}")
                say(defects[-1])
            if counts.total() % 1_000 == 0:
                say(f"{counts.total():,} inputs, {len(defects)} defects")
            if (following := next(waiting, None)) is not None:
                given[place] = following
                all_judges[place].ask(following)
    for judge_ in all_judges:
        judge_.close()
    return counts, defects


def table(counts: Counter[tuple[str, str]]) -> str:
    """Return how often each mutation ended how."""
    outcomes = ("answered", "refused", "defect")
    rows = [
        f"{'what was done':40}{'inputs':>9}" + "".join(f"{outcome:>10}" for outcome in outcomes)
    ]
    for mutation in MUTATIONS:
        by = [counts[mutation, outcome] for outcome in outcomes]
        rows.append(f"{mutation:40}{sum(by):>9,}" + "".join(f"{count:>10,}" for count in by))
    total = [sum(counts[mutation, outcome] for mutation in MUTATIONS) for outcome in outcomes]
    rows.append(
        f"{'in all':40}{sum(counts.values()):>9,}" + "".join(f"{count:>10,}" for count in total)
    )
    return "\n".join(rows)


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="show one input again")
    parser.add_argument(
        "--keep", metavar="DIR", help="with --only: make the directory and leave it there"
    )
    given = parser.parse_args()
    if given.keep:
        Path(given.keep).mkdir(parents=True)
        made = make(Path(given.keep), given.seed, given.only)
        print(made.mutation, made.what, made.calls)
        return 0
    numbers = range(given.inputs) if given.only is None else [given.only]
    began = time.monotonic()
    judges = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    counts, defects = fuzz(numbers, given.seed, judges, lambda text: print(text, flush=True))
    minutes = (time.monotonic() - began) / 60
    print(table(counts))
    print(
        f"{len(numbers):,} inputs in {minutes:.1f} minutes, {len(numbers) / minutes:,.0f} a "
        f"minute; seed {given.seed}"
    )
    return 1 if defects else 0


if __name__ == "__main__":
    sys.exit(main())
