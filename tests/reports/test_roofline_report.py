"""The roofline as text and figure: what it says follows from the figures."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from ashtune._src.core.errors import SettingsError
from ashtune._src.performance.roofline import Cache, Placement, Roof, Roofs, Sizing, Step, place
from ashtune._src.reports.roofline_section import (
    Placed,
    diagnosis,
    keep,
    placement_rows,
    roofline_figure,
    roofline_figures,
    roofline_words,
    stored_roofline,
)

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


def placed(
    flops: float = 7500, bytes_moved: float = 250_000, roof: Roof = XEON, **more: Any
) -> Placement:
    return place(Step(name="a step", flops=flops, bytes_moved=bytes_moved, **more), roof)


def test_the_roofline_text_of_the_example_matches_the_design_document() -> None:
    rows = placement_rows(placed())
    assert rows["ridge point"] == "7 flop/byte"
    assert rows["operational intensity"] == "0.03 flop/byte"
    assert rows["attainable"].startswith("2.304 Gflop/s, 0.43 % of peak")
    assert rows["bound"].startswith(
        "memory-bound: its intensity is left of the ridge, 233 times too small"
    )
    assert "achieved" not in rows


def test_a_step_above_the_ridge_point_is_compute_bound() -> None:
    rows = placement_rows(placed(flops=14 * 250_000))
    assert rows["bound"] == "compute-bound: its intensity is 2 times the ridge's"
    assert rows["attainable"].startswith("537.6 Gflop/s, 100 % of peak")


def test_a_timed_step_is_compared_with_the_attainable_speed() -> None:
    assert (
        placement_rows(placed(seconds=7500 / 0.576e9))["achieved"]
        == "0.576 Gflop/s, 25 % of attainable, 13 us a step"
    )


def test_the_roofline_text_names_the_smallest_cache_that_holds_the_step() -> None:
    sentences = diagnosis(placed(bytes_moved=250_000, seconds=1e-3), LAPTOP.caches)
    assert sentences[-1].startswith("Its 250 kB fit into the L2 cache (1 MiB)")
    assert "cache" not in diagnosis(placed(bytes_moved=2e6, seconds=1e-3), LAPTOP.caches)[-1]


def test_a_step_faster_than_its_roof_is_explained_by_the_cache() -> None:
    sentences = diagnosis(placed(seconds=placed().least_seconds / 2))
    assert len(sentences) == 1
    assert "200 %" in sentences[0]
    assert "cache" in sentences[0]


def test_the_roofline_figure_draws_each_roof_and_the_measured_step() -> None:
    step = placed(flops=1e6, bytes_moved=1e6, roof=LAPTOP.roofs[0], seconds=1e-3)
    figure = roofline_figure(Placed(machine=LAPTOP, placements=[step]))
    assert figure.x.is_log and figure.y.is_log
    one, two, drop, point = figure.series
    assert (one.name, one.x[1], one.y[1]) == ("1 core, float32", 4.0, 80.0)
    assert one.y[2] == one.y[1]
    assert one.y[0] == pytest.approx(20 * one.x[0], rel=1e-5)
    assert (two.name, two.y[1]) == ("2 cores, float32", 160.0)
    assert (point.name, point.x[0], point.y[0]) == (
        "a step: 1 Gflop/s, 5 % of attainable",
        1.0,
        1.0,
    )
    assert list(drop.y) == [1.0, 20.0]


def test_each_roof_has_its_own_colour_in_the_legend() -> None:
    roofs = [
        Roof(peak=1e9, bandwidth=1e9, cores=cores, dtype=f"float{bits}")
        for cores in (1, 2)
        for bits in (32, 64)
    ]
    figure = roofline_figure(Placed(machine=Roofs(roofs=roofs, caches=[], blas="", array_bytes=1)))
    assert len({each.color for each in figure.series}) == 4


def test_a_stored_roofline_is_read_back_unchanged(tmp_path: Path) -> None:
    stored = Placed(machine=LAPTOP, placements=[placed(roof=LAPTOP.roofs[1], seconds=0.1)])
    assert stored_roofline(tmp_path) is None
    keep(stored, tmp_path)
    assert stored_roofline(tmp_path) == stored


def test_the_roofline_text_the_figure_and_the_file_show_several_lane_counts(tmp_path: Path) -> None:
    alone, lanes = (placed(flops, each="an epoch", seconds=1e-3) for flops in (5e6, 4e7))
    stored = Placed(machine=LAPTOP, placements=[alone, lanes], sizing=DRY_RUN)
    assert placement_rows(lanes)["achieved"].endswith("1 ms an epoch")
    assert any(
        sentence.startswith("8 lanes: an epoch of one lane takes 3 ms")
        for sentence in roofline_words(stored)
    )
    assert list(roofline_figures(stored)) == ["roofline", "lanes"]
    assert list(roofline_figures(Placed(machine=LAPTOP, placements=[alone]))) == ["roofline"]
    keep(stored, tmp_path)
    assert stored_roofline(tmp_path) == stored


def test_a_stored_roofline_is_refused_if_its_lane_count_was_not_measured(
    tmp_path: Path,
) -> None:
    keep(Placed(machine=LAPTOP, sizing=msgspec.structs.replace(DRY_RUN, lanes=16)), tmp_path)
    with pytest.raises(SettingsError):
        stored_roofline(tmp_path)
