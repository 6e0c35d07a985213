"""The roofline as text and figure: what it says follows from the figures."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from ashtune.core.errors import SettingsError
from ashtune.core.numbers import time_text
from ashtune.performance.roofline import Cache, Placement, Roof, Roofs, Step, place
from ashtune.reports.roofline import (
    STORED_FILE,
    Placed,
    diagnosis,
    keep,
    machine_lines,
    percent_text,
    placement_rows,
    rate_text,
    roofline_figure,
    roofline_figures,
    roofline_words,
    roofs_table,
    stored_roofline,
)
from ashtune.reports.terminal.text import as_text
from ashtune.training.fused.dry_run import Sizing

XEON = Roof(peak=537.6e9, bandwidth=76.8e9)
LAPTOP = Roofs(
    roofs=[
        Roof(peak=80e9, bandwidth=20e9, cores=1, dtype="float32"),
        Roof(peak=160e9, bandwidth=30e9, cores=2, dtype="float32"),
    ],
    caches=[Cache(level=1, size=32 * 1024, count=2), Cache(level=2, size=2**20, count=1)],
    blas="a library",
    array_bytes=2**25,
)


DRY_RUN = Sizing(lanes=8, seconds={1: 0.006, 4: 0.004, 8: 0.003})


def placed(flops: float = 7500, bytes_moved: float = 250_000, roof: Roof = XEON, **more: Any) -> Placement:
    return place(Step(name="a step", flops=flops, bytes_moved=bytes_moved, **more), roof)


def test_the_designs_numbers_are_printed_as_the_design_has_them() -> None:
    rows = placement_rows(placed())
    assert rows["ridge point"] == "7 flop/byte"
    assert rows["operational intensity"] == "0.03 flop/byte"
    assert rows["attainable"].startswith("2.304 Gflop/s, 0.43 % of peak")
    assert rows["bound"].startswith("memory-bound: its intensity is left of the ridge, 233 times too small")
    assert "achieved" not in rows


def test_a_step_right_of_the_ridge_is_said_to_be_bound_by_arithmetic() -> None:
    rows = placement_rows(placed(flops=14 * 250_000))
    assert rows["bound"] == "compute-bound: its intensity is 2 times the ridge's"
    assert rows["attainable"].startswith("537.6 Gflop/s, 100 % of peak")


def test_a_timed_step_is_held_against_what_is_attainable() -> None:
    assert (
        placement_rows(placed(seconds=7500 / 0.576e9))["achieved"] == "0.576 Gflop/s, 25 % of attainable, 13 us a step"
    )


def test_without_a_time_the_words_say_what_the_roof_allows() -> None:
    memory, arithmetic = diagnosis(placed()), diagnosis(placed(flops=1e8))
    assert "0.43 % of the peak" in memory[0]
    assert "233 times as many" in memory[0]
    assert "Arithmetic is the limit" in arithmetic[0]


@pytest.mark.parametrize(("flops", "what"), [(7500, "memory traffic is"), (1e8, "arithmetic is")])
def test_near_its_roof_a_step_is_held_up_by_that_roof(flops: float, what: str) -> None:
    least = placed(flops=flops).least_seconds
    sentences = diagnosis(placed(flops=flops, seconds=least / 0.8))
    assert len(sentences) == 1
    assert "80 %" in sentences[0]
    assert what in sentences[0]


def test_far_under_its_roof_a_step_is_held_up_by_neither() -> None:
    sentences = diagnosis(placed(seconds=100 * placed().least_seconds))
    assert sentences == [
        "At 1 % of what the roof allows, neither arithmetic nor memory fills its time: at the roof's speed it would "
        "take 3.26 us and not 326 us."
    ]


def test_calls_whose_cost_was_measured_get_their_share_of_the_time() -> None:
    sentences = " ".join(diagnosis(placed(seconds=326e-6, calls=20, overhead_seconds=163e-6)))
    assert "Its 20 calls take 163 us on next to no data, 8.15 us each: 50 % of its time" in sentences
    assert "The other 163 us" in sentences


def test_overhead_that_explains_all_leaves_no_other_reason() -> None:
    sentences = " ".join(diagnosis(placed(seconds=326e-6, calls=20, overhead_seconds=325e-6)))
    assert "The other" not in sentences


def test_calls_whose_cost_was_not_measured_are_only_counted() -> None:
    assert "It is 20 calls of 16.3 us each on average." in diagnosis(placed(seconds=326e-6, calls=20))


def test_a_step_whose_bytes_fit_a_cache_is_told_the_nearest_that_holds_them() -> None:
    sentences = diagnosis(placed(bytes_moved=250_000, seconds=1e-3), LAPTOP.caches)
    assert sentences[-1].startswith("Its 250 kB fit the L2 cache (1 MiB)")
    assert "cache" not in diagnosis(placed(bytes_moved=2e6, seconds=1e-3), LAPTOP.caches)[-1]


def test_a_step_faster_than_its_roof_is_said_to_have_its_bytes_in_a_cache() -> None:
    sentences = diagnosis(placed(seconds=placed().least_seconds / 2))
    assert len(sentences) == 1
    assert "200 %" in sentences[0]
    assert "cache" in sentences[0]


def test_the_machine_says_how_it_was_measured_and_what_may_be_wrong() -> None:
    quiet = machine_lines(LAPTOP)
    assert quiet[0] == "Caches: L1 2 x 32 KiB, L2 1 x 1 MiB."
    assert "by a library" in quiet[1]
    assert len(quiet) == 2
    from msgspec.structs import replace

    loud = machine_lines(replace(LAPTOP, load=3.2, settings={"OPENBLAS_CORETYPE": "Prescott"}))
    assert loud[2].startswith("3.2 processes")
    assert "OPENBLAS_CORETYPE=Prescott" in loud[3]
    assert machine_lines(replace(LAPTOP, caches=()))[0] == "Caches: unknown on this system."
    assert machine_lines(Roofs(roofs=[XEON])) == []


def test_every_roof_is_a_row_of_the_table() -> None:
    lines = as_text(roofs_table(LAPTOP)).splitlines()
    assert lines[1].split() == ["1", "core,", "float32", "80", "20", "4"]
    assert lines[2].split() == ["2", "cores,", "float32", "160", "30", "5.333"]


def test_the_figure_draws_each_roof_with_its_corner_and_the_step_below() -> None:
    step = placed(flops=1e6, bytes_moved=1e6, roof=LAPTOP.roofs[0], seconds=1e-3)
    figure = roofline_figure(Placed(machine=LAPTOP, placements=[step]))
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    one, two, drop, point = figure.data
    assert (one.name, one.x[1], one.y[1]) == ("1 core, float32", 4.0, 80.0)
    assert one.y[2] == one.y[1]
    assert one.y[0] == pytest.approx(20 * one.x[0], rel=1e-5)
    assert (two.name, two.y[1]) == ("2 cores, float32", 160.0)
    assert one.line.color != two.line.color
    assert one.line.width != two.line.width, "colour alone would say it"
    assert (point.name, point.x[0], point.y[0]) == ("a step", 1.0, 1.0)
    assert list(drop.y) == [1.0, 20.0]
    assert "5 % of attainable" in point.text[0]
    assert point.marker.symbol == "circle"


def test_a_step_that_was_not_timed_stands_on_its_roof_as_an_open_circle() -> None:
    point = roofline_figure(Placed(machine=Roofs(roofs=[XEON]), placements=[placed()])).data[-1]
    assert point.y[0] == 2.304
    assert point.marker.symbol == "circle-open"


def test_all_that_is_drawn_lies_on_the_figures_axis() -> None:
    figure = roofline_figure(Placed(machine=Roofs(roofs=[XEON]), placements=[placed(), placed(flops=1e9)]))
    low, high = (10**end for end in figure.layout.xaxis.range)
    for trace in figure.data:
        assert all(low * 0.999 <= x <= high * 1.001 for x in trace.x), trace.name


def test_a_step_named_like_markup_is_shown_as_its_name() -> None:
    step = place(Step(name="<b>x</b>", flops=1, bytes_moved=1), XEON)
    figure = roofline_figure(Placed(machine=Roofs(roofs=[XEON]), placements=[step]))
    assert figure.data[-1].name == "&lt;b&gt;x&lt;/b&gt;"


def test_the_words_hold_the_place_the_reason_and_the_measurement() -> None:
    sentences = roofline_words(Placed(machine=LAPTOP, placements=[placed(roof=LAPTOP.roofs[0])]))
    assert sentences[0].startswith("a step: 0.03 flop/byte, memory-bound")
    assert any("Memory keeps arithmetic waiting" in sentence for sentence in sentences)
    assert sentences[-2:] == machine_lines(LAPTOP)


def test_what_is_kept_in_a_studys_directory_comes_back_as_it_was(tmp_path: Path) -> None:
    stored = Placed(machine=LAPTOP, placements=[placed(roof=LAPTOP.roofs[1], seconds=0.1)])
    assert stored_roofline(tmp_path) is None
    keep(stored, tmp_path)
    assert stored_roofline(tmp_path) == stored


@pytest.mark.parametrize("text", ["", "{}", '{"machine": {"roofs": [{"peak": 0, "bandwidth": 1}]}}'])
def test_a_kept_file_that_is_no_roofline_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / STORED_FILE).write_text(text)
    with pytest.raises(SettingsError) as refused:
        stored_roofline(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_roofline_cannot_be_kept_where_there_is_no_directory(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        keep(Placed(machine=LAPTOP), tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (percent_text(0.00428), "0.43 %"), (percent_text(0.0994), "9.9 %"), (percent_text(0.0996), "10 %"),
        (percent_text(0.999), "100 %"), (percent_text(12.0), "1,200 %"),
        (time_text(6.354e-6), "6.35 us"), (time_text(2e-9), "2 ns"), (time_text(0.0123), "12.3 ms"),
        (time_text(2.5), "2.5 s"), (time_text(12_345.0), "3 h 25 min"), (time_text(0.0), "0 s"),
        (rate_text(2.304), "2.304"), (rate_text(12_345.6), "12,346"),
    ],
)  # fmt: skip
def test_numbers_are_short_and_have_no_exponent(written: str, text: str) -> None:
    assert written == text


def test_lanes_are_said_drawn_and_kept_with_their_reason(tmp_path: Path) -> None:
    alone, lanes = (placed(flops, each="an epoch", seconds=1e-3) for flops in (5e6, 4e7))
    stored = Placed(machine=LAPTOP, placements=[alone, lanes], sizing=DRY_RUN)
    assert placement_rows(lanes)["achieved"].endswith("1 ms an epoch")
    assert any(sentence.startswith("8 lanes: a lane's epoch takes 3 ms") for sentence in roofline_words(stored))
    assert list(roofline_figures(stored)) == ["roofline", "lanes"]
    assert list(roofline_figures(Placed(machine=LAPTOP, placements=[alone]))) == ["roofline"]
    keep(stored, tmp_path)
    assert stored_roofline(tmp_path) == stored


def test_lanes_that_were_not_tried_are_no_roofline(tmp_path: Path) -> None:
    keep(Placed(machine=LAPTOP, sizing=msgspec.structs.replace(DRY_RUN, lanes=16)), tmp_path)
    with pytest.raises(SettingsError):
        stored_roofline(tmp_path)
