"""Workers' profiles merged: the flat profile, the flame graph, and names that are safe to print."""

import re
from pathlib import Path
from typing import Any

import pytest

from ashtune._src.core.events import JobFailed, TrialReleased
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.reports.profile import (
    Profile,
    flame_graph,
    flat_profile,
    profile_figure,
    profile_of,
    profile_table,
    profile_view,
    profile_words,
)
from ashtune._src.reports.terminal.text import as_text
from ashtune._src.study.journal import NAME as JOURNAL
from ashtune._src.study.journal_writer import Journal, create
from ashtune._src.training.profiling import Stack, WorkerProfile, write_profile
from tests.helpers.made_up import settings_of


def frame(name: str, file: str = "/home/me/train.py", line: int = 1, of_class: str = "") -> str:
    return f"{name}\x00{file}\x00{line}" + (f"\x01c{of_class}" if of_class else "")


TRAIN, SLOW, SQRT = (
    frame("train", line=9),
    frame("slow", line=3),
    frame("math.sqrt", "<built-in>", 0),
)


def sampled(*stacks: Stack, frames: list[str], worker: int = 0) -> WorkerProfile:
    return WorkerProfile(
        worker=WorkerId(worker), frames=frames, stacks=list(stacks), samples=3, cpu_seconds=1.0
    )


def worker(number: int = 0) -> WorkerProfile:
    """A worker that was half a second in train itself, three in slow, and another half in sqrt,
    which slow called.
    """
    stacks = Stack([0], 0.5), Stack([0, 1], 3.0), Stack([0, 1, 2], 0.5)
    return sampled(*stacks, frames=[TRAIN, SLOW, SQRT], worker=number)


def profiled(of_worker: WorkerProfile) -> Profile:
    records = flat_profile([of_worker])
    return Profile(records=records, workers=2, seconds=9.8, worked_seconds=10.0)


def test_the_flat_profile_sums_the_profiles_of_all_workers() -> None:
    slow, train, sqrt = flat_profile([worker(0), sampled(Stack([0], 3.0), frames=[SLOW], worker=1)])
    assert [(each.self_seconds, each.seconds) for each in (slow, train, sqrt)] == [
        (6.0, 6.5),
        (0.5, 4.0),
        (0.5, 0.5),
    ]
    assert [record.cumulative_seconds for record in (slow, train, sqrt)] == [6.0, 6.5, 7.0]
    assert [round(record.share, 4) for record in (slow, train, sqrt)] == [0.8571, 0.0714, 0.0714]


def test_file_names_in_a_profile_are_relative_to_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    files = [
        (f"{tmp_path}/train.py", "train.py:1 f"),
        ("/usr/lib/python3.11/json/decoder.py", "json/decoder.py:1 f"),
        ("/v/lib/python3.11/site-packages/torch/nn/functional.py", "torch/nn/functional.py:1 f"),
        ("/elsewhere/train.py", "/elsewhere/train.py:1 f"),
    ]
    stacks = [Stack([place], 1.0) for place in range(len(files) + 1)]
    records = flat_profile(
        [sampled(*stacks, frames=[*(frame("f", file) for file, _ in files), SQRT])]
    )
    assert {record.name for record in records} == {
        *(name for _, name in files),
        "{built-in math.sqrt}",
    }


def test_the_own_time_of_a_stack_is_counted_for_the_innermost_function() -> None:
    frames = [
        frame("train", line=9),
        frame("down", line=3),
        frame("forward", of_class="Net"),
        frame("sin", "<built-in>"),
    ]
    profile = sampled(
        Stack([0, 1, 1, 1], 2.0), Stack([0, 1, 2], 0.5), Stack([0, 3], 0.25), frames=frames
    )
    records = {record.name: record for record in flat_profile([profile])}
    own = {name.split(" ", 1)[-1]: record.self_seconds for name, record in records.items()}
    assert own == {"down": 2.0, "Net.forward": 0.5, "sin}": 0.25, "train": 0.0}
    assert sum(record.share for record in records.values()) == 1.0


def test_the_profile_table_begins_with_the_slowest_function() -> None:
    lines = as_text(profile_table(profiled(worker()))).splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["%", "cumulative", "self", "total"], ["time", "seconds", "seconds", "seconds", "name"]
    ]  # fmt: skip
    assert lines[2].split() == ["75.0", "3.000", "3.000", "3.500", "/home/me/train.py:3", "slow"]


def test_a_long_profile_table_counts_the_functions_that_are_not_shown() -> None:
    profile = profiled(worker())
    assert profile_words(profile, top=1)[1:] == ["not shown: 2 other functions, 25 % of that time"]
    assert profile_words(profile, top=None)[1:] == []
    assert "train.py:9 train" not in as_text(profile_view(profile, top=1))
    assert "train.py:9 train" in as_text(profile_view(profile, top=None))


def test_the_profile_of_a_study_sums_the_times_of_its_workers(tmp_path: Path) -> None:
    create(tmp_path / JOURNAL, settings_of(Ladder(1, 1)))
    with Journal(tmp_path / JOURNAL) as journal:
        for number in range(3):
            common: dict[str, Any] = {"worker": WorkerId(number), "trial": TrialId(number)}
            journal.add(JobFailed(1.0, **common, rung=0, seconds=10.0, reason="odd"))
            journal.add(TrialReleased(2.0, **common, resource=1, seconds=0.5))
    for number in range(2):
        write_profile(tmp_path, worker(number))
    profile = profile_of(tmp_path)
    assert profile is not None
    assert (profile.workers, profile.seconds, len(profile.records)) == (2, 8.0, 3)
    assert profile.worked_seconds == 21.0, "the third worker has no profile"


def test_the_profile_figure_shows_only_the_slowest_functions() -> None:
    figure = profile_figure(profiled(worker()), top=2)
    (bars,) = figure.series
    assert list(bars.end) == [3.0, 0.5]
    assert figure.y.choices[0].endswith("slow")
    assert figure.y.low > figure.y.high


def test_the_flame_graph_contains_no_link_and_no_injected_script() -> None:
    evil = sampled(
        Stack([0, 1], 1.0),
        frames=[frame("train"), frame("f", "</script><script>alert(1)</script><!--")],
    )
    page = flame_graph([evil])
    assert "alert(1)" in page
    assert "</script><script>alert" not in page
    assert "alert(1)</script>" not in page
    assert not re.findall(r"https?://(?!www\.w3\.org/)[^\"'\s]*", page)
