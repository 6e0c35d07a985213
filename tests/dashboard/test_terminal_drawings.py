"""What the terminal page draws of a part fits where it is drawn, says what the part says, and is only text."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text
from terminal_parts import (
    HOSTILE,
    best,
    curves,
    failures,
    faults_of,
    head,
    ladder,
    notes,
    poisoned,
    rung,
    table,
    trial,
    workers,
)

from ashtune.dashboard.terminal.best import best_lines
from ashtune.dashboard.terminal.cells import fitted, sparkline
from ashtune.dashboard.terminal.chart import Axis, Layer, chart
from ashtune.dashboard.terminal.colours import DARK, LIGHT
from ashtune.dashboard.terminal.curves import curves_lines
from ashtune.dashboard.terminal.failures import failures_lines
from ashtune.dashboard.terminal.head import head_lines, share_done
from ashtune.dashboard.terminal.ladder import ladder_lines
from ashtune.dashboard.terminal.notes import notes_lines
from ashtune.dashboard.terminal.trials import Query, table_lines, trial_lines
from ashtune.dashboard.terminal.workers import workers_lines
from ashtune.reports.figures.axes import View

Draw = Callable[[Any, int, int], list[Text]]
"""Draws everything of a study, given what makes a part of what it was, a width and a height."""


def draw_head(change: Any, width: int, _: int) -> list[Text]:
    return head_lines(change(head()), width, DARK)


def draw_ladder(change: Any, width: int, height: int) -> list[Text]:
    return ladder_lines(change(ladder()), change("epoch"), width, height, DARK)


def draw_best(change: Any, width: int, height: int) -> list[Text]:
    objectives = [{"metric": "accuracy", "mode": "max"}]
    return best_lines(best(), change(head()) | {"objectives": objectives}, width, height, LIGHT, rungs=4)


def draw_curves(change: Any, width: int, height: int) -> list[Text]:
    return curves_lines(change(curves()), change(head()), width, height, DARK)


def draw_workers(change: Any, width: int, height: int) -> list[Text]:
    return workers_lines(change(workers()), ladder(), width, height, DARK, unit=change("epoch"))


def draw_failures(change: Any, width: int, height: int) -> list[Text]:
    return failures_lines(change(failures()), width, height, DARK, chosen=0)


def draw_notes(change: Any, width: int, height: int) -> list[Text]:
    return notes_lines(change(notes()), width, height, DARK)


def draw_table(change: Any, width: int, height: int) -> list[Text]:
    return table_lines(change(table()), change(head()), width, height, DARK, query=Query())


def draw_trial(change: Any, width: int, _: int) -> list[Text]:
    return trial_lines(change(trial()), head(), width, DARK)


DRAWINGS = [
    draw_head, draw_ladder, draw_best, draw_curves, draw_workers, draw_failures, draw_notes, draw_table, draw_trial,
]  # fmt: skip
UNBOUNDED = (draw_head, draw_trial)
"""They have as many lines as they need: the first three, the other is scrolled."""


@pytest.mark.parametrize("draw", DRAWINGS)
@given(width=st.integers(12, 220), height=st.integers(1, 60), is_hostile=st.booleans())
def test_every_line_fits_and_is_text_whatever_the_names_are(
    draw: Draw, width: int, height: int, is_hostile: bool
) -> None:
    lines = draw(poisoned if is_hostile else lambda part: part, width, height)
    assert not list(faults_of(lines, width, 1000 if draw in UNBOUNDED else height))


def test_a_hostile_name_is_shown_as_it_is_written() -> None:
    shown = head_lines(poisoned(head()), 160, DARK)[0].plain
    assert "[b]pwned[/b][@click=app.quit]x[/]" in shown


def test_a_text_is_cut_by_cells_and_not_by_characters() -> None:
    assert fitted("漢字漢字", 8) == "漢字漢字"
    assert fitted("漢字漢字", 7) == "漢字漢…"
    assert fitted(HOSTILE, 0) == ""


def test_the_head_says_the_state_how_far_how_long_still_the_best_and_how_busy() -> None:
    text = "\n".join(line.plain for line in head_lines(head(), 120, DARK))
    for words in (
        "running", "digits", "143 of 256 trials", "4 min 12 s left", "best accuracy 0.9866", "8 of 8 workers at work",
        "97 % busy", "3 failed", "74 %",
    ):  # fmt: skip
        assert words in text


def test_the_head_of_a_study_that_died_says_why_in_place_of_the_bar() -> None:
    lines = head_lines(head(state="died", state_text="its driver, process 4711, is gone"), 100, DARK)
    assert lines[0].plain.startswith("✗ died")
    assert "its driver, process 4711, is gone" in lines[1].plain
    assert "▇" not in lines[1].plain


def test_the_head_of_a_paused_study_says_so_and_what_it_waits_for() -> None:
    lines = head_lines(head(paused=True, state_text="paused: no job begins until it is continued"), 100, DARK)
    assert lines[0].plain.startswith("‖ paused")
    assert lines[1].plain.strip() == "no job begins until it is continued"


def test_a_study_that_is_not_complete_is_never_done_to_100_percent() -> None:
    assert share_done(head(remaining={"text": "", "seconds": 0.0})) == 0.99
    assert share_done(head(state="complete")) == 1.0
    assert share_done(head(remaining={"text": "", "seconds": None}, trials_wanted=None)) is None


def test_the_ladder_has_the_top_rung_first_and_says_what_became_of_the_trials() -> None:
    lines = [line.plain.split() for line in ladder_lines(ladder(), "epoch", 120, 10, DARK)]
    assert lines[0][:4] == ["epoch", "trained", "of", "running"]
    assert [line[0] for line in lines[1:5]] == ["27", "9", "3", "1"]
    assert lines[4][2:9] == ["123", "120", "to", "240", "2", "40", "80"], "trained, of, running, promoted, paused"


def test_of_more_rungs_than_rows_the_lowest_are_left_out_and_counted() -> None:
    rungs = [rung(2**n, 100) for n in range(12)]
    lines = ladder_lines(ladder(rungs=rungs), "epoch", 80, 6, DARK)
    assert lines[1].plain.split()[0] == "2,048"
    assert lines[-1].plain == "and 8 lower rungs"


def test_a_rung_without_results_has_no_best_and_no_box() -> None:
    rungs = [rung(1, 0, running=0, best=None, quartiles=None, expected=None, expected_text="")]
    lines = ladder_lines(ladder(rungs=rungs), "epoch", 140, 6, DARK)
    assert "◆" not in lines[1].plain


def test_the_best_so_far_says_how_long_ago_it_got_better() -> None:
    assert "got better 2 min 03 s ago" in best_lines(best(), head(), 100, 12, DARK)[0].plain
    assert "ago" not in best_lines(best(), head(state="complete"), 100, 12, DARK)[0].plain


def test_the_best_over_resource_ends_at_what_all_trials_were_trained() -> None:
    lines = best_lines(best(), head(), 100, 12, DARK, is_over_resource=True)
    assert "over epochs trained" in lines[0].plain
    assert "1,000" in lines[-1].plain


def test_a_study_without_results_says_so_in_each_view() -> None:
    nothing = {"time": [], "values": {}, "trial": [], "rung": []}
    empty = best(over_time=nothing, over_time_at_highest=nothing)
    assert best_lines(empty, head(best=None), 80, 10, DARK)[0].plain == "no result yet"
    assert "no learning curve yet" in curves_lines(curves(curves=[]), head(best=None), 80, 10, DARK)[0].plain
    assert workers_lines(workers(0), ladder(), 80, 10, DARK, unit="epoch")[0].plain == "no worker yet"
    assert failures_lines(failures(groups=[], total=0), 80, 10, DARK)[0].plain == "nothing failed"
    assert table_lines(table(0), head(), 80, 10, DARK, query=Query())[-1].plain == "no trial yet"


def test_a_step_line_rises_where_the_result_came() -> None:
    x, y = Axis(View(0.0, 10.0, 0)), Axis(View(0.0, 1.0, 0))
    lines = chart(
        [Layer([(0.0, 0.0), (5.0, 1.0), (10.0, 1.0)], "red", is_step=True)], x=x, y=y, width=40, height=9, colours=DARK
    )
    top, bottom = lines[0].plain, lines[-2].plain
    assert top.rstrip()[-1] != " "
    assert "⣀" in bottom or "⡀" in bottom
    first_at_the_top = next(place for place, letter in enumerate(top) if 0x2800 < ord(letter) <= 0x28FF)
    last_at_the_bottom = max(place for place, letter in enumerate(bottom) if 0x2800 < ord(letter) <= 0x28FF)
    assert first_at_the_top == last_at_the_bottom


def test_marks_of_an_axis_all_differ() -> None:
    marks = Axis(View(0.986601, 0.986609, 0)).marks(4)
    assert len({text for _, text in marks}) == len(marks) > 1


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-6, 1e6), most=st.integers(2, 12))
def test_marks_of_an_axis_are_within_it_and_no_more_than_asked_for(low: float, span: float, most: int) -> None:
    marks = Axis(View(low, low + span, 0)).marks(most)
    assert len(marks) <= most
    assert all(0 <= place <= 1 for place, _ in marks)


def test_a_lane_shows_the_failure_and_the_time_that_its_worker_waited() -> None:
    lines = [line.plain for line in workers_lines(workers(), ladder(), 100, 14, DARK, unit="epoch")]
    assert "✗" in lines[3], "worker 1"
    assert not any("✗" in line for line in (lines[2], *lines[4:-1]))
    assert lines[2].rstrip().endswith("82 %"), "9 jobs of 11 of 120 seconds; the tenth is saving"
    assert "the last 2 min 00 s" in lines[-1]


@pytest.mark.parametrize("lanes", [1, 2, 20])
def test_where_all_lanes_have_room_the_shares_and_the_legend_are_shown_too(lanes: int) -> None:
    lines = [line.plain for line in workers_lines(workers(lanes), ladder(), 100, lanes + 3, DARK, unit="epoch")]
    assert len(lines) == lanes + 3
    assert "training" in lines[1]
    assert "the last" in lines[-1]


def test_of_more_lanes_than_rows_the_others_are_counted() -> None:
    lines = [line.plain for line in workers_lines(workers(64, left_out=936), ladder(), 80, 12, DARK, unit="epoch")]
    assert any("and 992 other workers" in line for line in lines)


def test_utilisation_is_a_row_of_blocks_no_wider_than_asked_for() -> None:
    assert sparkline([0.0, 0.5, 1.0], 3) == "▁▅█"
    assert len(sparkline([0.5] * 100, 7)) == 7


def test_the_chosen_failure_shows_what_its_trials_share_and_the_end_of_its_traceback() -> None:
    lines = [line.plain for line in failures_lines(failures(), 80, 20, DARK, chosen=0)]
    assert lines[0].startswith("▸     3 x ValueError: no such layer")
    assert lines[1].strip() == "3 of 3 with solver = lbfgs, 0 of 40 others"
    assert lines[4].strip() == "ValueError: no such layer"


def test_the_latest_decision_comes_first_among_the_notes() -> None:
    lines = [line.plain for line in notes_lines(notes(), 80, 20, DARK)]
    assert "trial 29 went on" in next(line for line in lines if "went on to" in line)
    assert any("40 % went on" in line for line in lines)


def test_the_table_scrolls_with_the_chosen_trial() -> None:
    query = Query()
    query.move(25, matching=100, room=10)
    assert (query.offset, query.chosen) == (16, 25)
    query.move(-9, matching=100, room=10)
    assert (query.offset, query.chosen) == (16, 16)
    query.move(-1 << 40, matching=100, room=10)
    assert (query.offset, query.chosen) == (0, 0)
    query.move(1 << 40, matching=3, room=10)
    assert (query.offset, query.chosen) == (0, 2)


def test_the_best_comes_first_whichever_way_is_better() -> None:
    query = Query()
    assert query.is_sorted_upwards("min")
    assert not query.is_sorted_upwards("max")
    query.reverse(is_ascending_now=True)
    assert not query.is_sorted_upwards("min")


def test_sorting_goes_through_the_columns_and_begins_again() -> None:
    query, seen = Query(), []
    for _ in range(8):
        query.sort_by_the_next(["rate", "activation"])
        seen.append(query.sort)
    assert seen == ["number", "rung", "resource", "seconds", "status", "rate", "activation", "value"]


def test_a_search_without_a_match_says_what_was_searched_for() -> None:
    query = Query()
    query.search = "nothing like it"
    last = table_lines(table(0, total=40), head(), 80, 10, DARK, query=query)[-1].plain
    assert last == "none of 40 trials matches “nothing like it”"


def test_a_trial_shows_its_reason_its_configuration_beside_the_best_its_log_and_its_checkpoints() -> None:
    text = "\n".join(line.plain for line in trial_lines(trial(), head(), 100, DARK))
    for words in ("trial 12", "failed", "ValueError: no such layer", "rate  0.1  0.02", "epoch 1\\r", "4.1 kB"):
        assert words in text
