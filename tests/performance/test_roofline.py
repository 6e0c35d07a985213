"""The roofline's arithmetic: the design's own figures, both sides of the ridge, figures that make
no roofline.
"""

import math

import pytest

from ashtune._src.core.errors import SettingsError
from ashtune._src.performance.roofline import Roof, Roofs, Step, place

XEON = Roof(peak=537.6e9, bandwidth=76.8e9)


def step(flops: float = 7500, bytes_moved: float = 250_000, **more: object) -> Step:
    return Step(name="a step", flops=flops, bytes_moved=bytes_moved, **more)  # type: ignore[arg-type]


def test_the_roofline_reproduces_the_worked_example_in_the_design_document() -> None:
    placement = place(step(), XEON)
    assert placement.ridge == 7.0
    assert placement.intensity == 0.03
    assert placement.attainable == 2.304e9
    assert placement.share_of_peak == pytest.approx(0.0043, abs=5e-5)
    assert placement.bound == "memory"
    assert placement.least_seconds == pytest.approx(250_000 / 76.8e9)


def test_a_step_above_the_ridge_point_can_attain_the_peak_speed() -> None:
    placement = place(step(flops=8 * 250_000), XEON)
    assert placement.attainable == XEON.peak
    assert placement.share_of_peak == 1.0
    assert placement.bound == "compute"


def test_a_step_at_the_ridge_point_is_compute_bound() -> None:
    assert place(step(flops=7 * 250_000), XEON).bound == "compute"


def test_the_achieved_share_is_a_fraction_of_the_attainable_speed() -> None:
    placement = place(step(seconds=2 * 7500 / 2.304e9), XEON)
    assert placement.achieved == pytest.approx(1.152e9)
    assert placement.share_of_attainable == pytest.approx(0.5)


def test_a_step_without_a_time_has_no_achieved_speed() -> None:
    assert place(step(), XEON).achieved is None
    assert place(step(), XEON).share_of_attainable is None


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("name", ["peak", "bandwidth"])
def test_a_roof_accepts_only_finite_numbers_above_zero(name: str, value: float) -> None:
    with pytest.raises(SettingsError) as refused:
        Roof(**{"peak": 1.0, "bandwidth": 1.0, name: value})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
@pytest.mark.parametrize("name", ["flops", "bytes_moved", "seconds"])
def test_a_step_accepts_only_finite_numbers_above_zero(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"of a step is {value:g}"):
        step(**{name: value})


def machine() -> Roofs:
    kinds = [(1, "float32", 2e9), (1, "float64", 1e9), (8, "float32", 1.6e10), (8, "float64", 8e9)]
    return Roofs(
        roofs=[
            Roof(peak=peak, bandwidth=1e10, cores=cores, dtype=dtype)
            for cores, dtype, peak in kinds
        ]
    )


@pytest.mark.parametrize(
    ("cores", "dtype", "name"),
    [
        (1, "float32", "1 core, float32"),
        (1, "float64", "1 core, float64"),
        (None, "float64", "8 cores, float64"),
        (8, "float32", "8 cores, float32"),
        (64, "float32", "8 cores, float32"),
    ],
)
def test_a_step_uses_the_roof_for_its_core_count_and_float_type(
    cores: int | None, dtype: str, name: str
) -> None:
    assert machine().for_step(step(cores=cores, dtype=dtype)).name == name


def test_a_step_uses_another_measured_roof_if_no_measured_roof_matches() -> None:
    assert machine().for_step(step(dtype="bfloat16", cores=1)).name == "1 core, float32"
    assert machine().for_step(step(dtype="float64", cores=3)).name == "8 cores, float64"


def test_a_roof_given_by_the_user_is_used_for_each_step() -> None:
    assert Roofs(roofs=[XEON]).for_step(step(cores=1, dtype="float64")) is XEON
