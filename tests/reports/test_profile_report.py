"""Workers' profiles merged: gprof's columns, the sum over workers, and names that are safe to print."""

import re
from pathlib import Path

import pytest

from ashtune.analysis.functions import WorkingSeconds
from ashtune.core.errors import StudyError
from ashtune.core.events import JobFailed, JobFinished, SessionStarted, TrialReleased, WorkerJoined
from ashtune.core.jobs import Goal, TrialId, WorkerId
from ashtune.reports.page.flame import NAME, flame_graph, write_flame_graph
from ashtune.reports.profile import (
    Profile,
    flat_profile,
    profile_figure,
    profile_of,
    profile_table,
    profile_view,
    profile_words,
)
from ashtune.reports.terminal.text import as_text
from ashtune.study.journal import NAME as JOURNAL
from ashtune.study.journal import create
from ashtune.study.settings import Settings
from ashtune.training.profiling.files import Function, Stack, WorkerProfile, write_profile

SETTINGS = Settings(
    ashtune="", created=0.0, name="train", goal=Goal("loss", "min"), scheduler={"kind": "ash"}, rungs=(1,), kept=(),
    space={}, search={"kind": "random"}, seed=0,
)  # fmt: skip
SLOW = Function("/home/me/train.py", 3, "slow", 10, 10, 3.0, 4.0)
TRAIN = Function("/home/me/train.py", 9, "train", 2, 2, 0.5, 5.0)
SQRT = Function("", 0, "<built-in method math.sqrt>", 1000, 1000, 0.5, 0.5)


def counted(worker: int, *functions: Function) -> WorkerProfile:
    return WorkerProfile(worker=WorkerId(worker), functions=list(functions))


def profiled(*functions: Function, problems: tuple[str, ...] = ()) -> Profile:
    records = flat_profile([counted(0, *functions)])
    return Profile(records=records, workers=2, seconds=9.8, worked_seconds=10.0, problems=list(problems))


def frame(name: str, file: str = "/home/me/train.py", line: int = 1, of_class: str = "") -> str:
    return f"{name}\x00{file}\x00{line}" + (f"\x01c{of_class}" if of_class else "")


def sampled(*stacks: Stack, frames: list[str]) -> WorkerProfile:
    return WorkerProfile(worker=WorkerId(0), frames=frames, stacks=list(stacks), samples=3, cpu_seconds=1.0)


def test_workers_add_up_to_gprofs_columns() -> None:
    slow, train, sqrt = flat_profile([counted(0, TRAIN, SLOW, SQRT), counted(1, SLOW)])
    assert (slow.self_seconds, slow.calls, slow.self_ms, slow.total_ms) == (6.0, 20, 300.0, 400.0)
    assert (train.self_seconds, train.calls, train.self_ms, train.total_ms) == (0.5, 2, 250.0, 2500.0)
    assert [record.cumulative_seconds for record in (slow, train, sqrt)] == [6.0, 6.5, 7.0]
    assert [round(record.share, 4) for record in (slow, train, sqrt)] == [0.8571, 0.0714, 0.0714]


def test_the_cost_of_a_call_of_a_function_that_calls_itself_is_by_its_calls_from_outside() -> None:
    (record,) = flat_profile([counted(0, Function("a.py", 1, "down", 100, 2, 1.0, 1.0))])
    assert (record.self_ms, record.total_ms) == (10.0, 500.0)


def test_a_name_says_file_line_and_function_from_where_one_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    files = [
        (f"{tmp_path}/train.py", "train.py:1 f"),
        ("/usr/lib/python3.11/json/decoder.py", "json/decoder.py:1 f"),
        ("/v/lib/python3.11/site-packages/torch/nn/functional.py", "torch/nn/functional.py:1 f"),
        ("/elsewhere/train.py", "/elsewhere/train.py:1 f"),
    ]
    names = {
        record.name for record in flat_profile([counted(0, *(Function(f, 1, "f", 1, 1, 1.0, 1.0) for f, _ in files))])
    }
    assert names == {name for _, name in files}
    assert flat_profile([counted(0, SQRT)])[0].name == "{built-in method math.sqrt}"


def test_a_name_from_someone_elses_study_cannot_steer_the_terminal() -> None:
    evil = counted(0, Function("a\x1b[2J\n.py", 1, "[red]f[/]\x07", 1, 1, 1.0, 1.0))
    text = as_text(profile_table(profiled(*evil.functions)))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "a?[2J?.py:1 [red]f[/]?" in text


def test_sampled_seconds_belong_to_the_last_of_a_stack_and_in_total_to_all_of_it_once() -> None:
    frames = [
        frame("train", line=9),
        frame("down", line=3),
        frame("forward", of_class="Net"),
        frame("sin", "<built-in>"),
    ]
    profile = sampled(Stack([0, 1, 1, 1], 2.0), Stack([0, 1, 2], 0.5), Stack([0, 3], 0.25), frames=frames)
    records = {record.name: record for record in flat_profile([profile])}
    own = {name.split(" ", 1)[-1]: record.self_seconds for name, record in records.items()}
    assert own == {"down": 2.0, "Net.forward": 0.5, "sin}": 0.25, "train": 0.0}
    assert sum(record.share for record in records.values()) == 1.0
    assert {record.calls for record in records.values()} == {None}


def test_the_table_has_gprofs_columns_in_gprofs_order() -> None:
    lines = as_text(profile_table(profiled(SLOW, TRAIN, SQRT))).splitlines()
    assert re.sub(r" +", " ", lines[1]).strip() == "time seconds seconds calls ms/call ms/call name"
    assert lines[2].split() == ["75.0", "3.000", "3.000", "10", "300.0000", "400.0000", "/home/me/train.py:3", "slow"]


def test_a_long_profile_says_what_is_left_out_and_what_is_missing() -> None:
    profile = profiled(SLOW, TRAIN, SQRT, problems=("worker 0: blind",))
    assert profile_words(profile, top=1)[1:] == ["worker 0: blind", "not shown: 2 other functions, 25 % of that time"]
    assert profile_words(profile, top=None)[1:] == ["worker 0: blind"]
    assert "train.py:9 train" not in as_text(profile_view(profile, top=1))
    assert "train.py:9 train" in as_text(profile_view(profile, top=None))


def test_the_share_accounted_for_is_of_training_and_saving() -> None:
    (line,) = profile_words(profiled(SLOW))
    assert line == "2 workers; functions account for 9.8 s of the 10 s spent training and saving (98 %)"


def test_calls_counted_in_one_session_are_not_mixed_with_stacks_sampled_in_another(tmp_path: Path) -> None:
    create(tmp_path / JOURNAL, SETTINGS)
    write_profile(tmp_path, sampled(Stack([0], 9.0), frames=[frame("train")]))
    write_profile(tmp_path, counted(1, SLOW))
    profile = profile_of(tmp_path)
    assert profile is not None
    assert [record.calls for record in profile.records] == [10]
    assert (profile.workers, profile.seconds) == (1, 3.0)


def test_seconds_are_those_of_the_sessions_that_were_profiled() -> None:
    fold = WorkingSeconds()
    for session, workers in enumerate(((0, 1), (2, 3))):
        fold.event(SessionStarted(time=session, unix_time=0, version="", host="", pid=1))
        for worker in workers:
            fold.event(WorkerJoined(0, WorkerId(worker), 1, "here"))
            fold.event(
                JobFinished(
                    time=1, worker=WorkerId(worker), trial=TrialId(worker), rung=0, resource=1, start=0,
                    metrics={"loss": 1.0}, seconds=10.0 + worker,
                )
            )  # fmt: skip
        fold.event(TrialReleased(time=2, worker=WorkerId(workers[0]), trial=TrialId(0), resource=1, seconds=0.5))
        fold.event(JobFailed(time=2, worker=WorkerId(workers[1]), trial=TrialId(9), rung=0, seconds=0.25, reason=""))
    assert fold.seconds_beside([WorkerId(2)]) == 12.0 + 13.0 + 0.75, "its colleague, that left no profile, counts"
    assert fold.seconds_beside([WorkerId(0), WorkerId(3)]) == 10 + 11 + 12 + 13 + 1.5
    assert fold.seconds_beside([]) == 0.0


def test_the_figure_has_the_largest_on_top_and_no_more_than_the_top() -> None:
    figure = profile_figure(profiled(TRAIN, SLOW, SQRT), top=2)
    (bars,) = figure.data
    assert list(bars.x) == [3.0, 0.5]
    assert figure.layout.yaxis.ticktext[0].endswith("slow")
    assert figure.layout.yaxis.autorange == "reversed"


def test_the_flame_graph_asks_no_network_and_cannot_be_broken_out_of() -> None:
    evil = sampled(Stack([0, 1], 1.0), frames=[frame("train"), frame("f", "</script><script>alert(1)</script><!--")])
    page = flame_graph([evil])
    assert "alert(1)" in page
    assert "</script><script>alert" not in page
    assert "alert(1)</script>" not in page
    assert not re.findall(r"https?://(?!www\.w3\.org/)[^\"'\s]*", page)


def test_the_flame_graph_opens_as_one_and_merges_equal_stacks() -> None:
    frames = [frame("train"), frame("slow"), frame("fast")]
    one = sampled(Stack([0, 1], 1.0), Stack([0, 2], 0.5), frames=frames)
    page = flame_graph([one, one])
    assert '{viewMode:"timeline"}' in page
    assert page.count('"identifier": "slow') == 1
    assert '"time": 2.000000' in page


def test_of_counted_calls_there_is_no_flame_graph(tmp_path: Path) -> None:
    write_profile(tmp_path, counted(0, SLOW))
    assert write_flame_graph(tmp_path) is None
    assert not (tmp_path / NAME).exists()


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    write_profile(tmp_path, sampled(Stack([0], 1.0), frames=[frame("train")]))
    (tmp_path / NAME).mkdir()
    with pytest.raises(StudyError, match="what was found so far is kept"):
        write_flame_graph(tmp_path)
