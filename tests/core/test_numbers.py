"""Numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashtune._src.core.numbers import (
    bytes_text,
    configuration_text,
    digits_of,
    number_text,
    plural,
    seconds_text,
    share_text,
    shortened,
    time_text,
    value_text,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00 s"),
        (0.994, "0.99 s"),
        (0.996, "1.0 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (242, "4 min 02 s"),
        (11_100, "3 h 05 min"),
        (172_740, "47 h 59 min"),
        (172_800, "2 d 00 h"),
        (200_000, "2 d 07 h"),
    ],
)
def test_a_time_text_has_at_most_two_units(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_sizes_shares_and_numbers_are_shown_as_short_texts() -> None:
    assert [bytes_text(n) for n in (0, 812, 1200, 999_999, 5e10, 2e19)] == [
        "0 bytes",
        "812 bytes",
        "1.2 kB",
        "1.0 MB",
        "50.0 GB",
        "20000 PB",
    ]
    assert [share_text(s) for s in (0.0, 0.001, 0.98, 0.999, 1.0)] == [
        "0 %",
        "<1 %",
        "98 %",
        "99 %",
        "100 %",
    ]
    assert [number_text(n) for n in (0.98658, 1.2e-5, None)] == ["0.9866", "1.2e-5", "none"]
    assert [plural(n, "trial") for n in (1, 2, 1000)] == ["1 trial", "2 trials", "1,000 trials"]


@given(
    configuration=st.dictionaries(
        st.text("abc_", min_size=1, max_size=9), st.floats() | st.text(), max_size=8
    ),
    width=st.integers(1, 80),
)
def test_a_configuration_text_is_shortened_only_if_wider_than_the_line(
    configuration: dict[str, object], width: int
) -> None:
    text = configuration_text(configuration, width)
    assert len(text) <= width
    assert "\n" not in text
    if all(f"{name}=" in text for name in configuration):
        return
    assert len(configuration_text(configuration, 10_000)) > width


@given(text=st.text(), width=st.integers(0, 30))
def test_a_shortened_text_fits_the_width(text: str, width: int) -> None:
    assert len(shortened(text, width)) <= width


def test_a_rounding_error_of_simulated_times_prints_as_zero_seconds() -> None:
    assert time_text(1.8e-15) == time_text(0.0) == "0 s"
    assert [time_text(seconds) for seconds in (1e-9, 1e-6, 1e-3, 0.1)] == [
        "1 ns",
        "1 us",
        "1 ms",
        seconds_text(0.1),
    ]


def test_the_text_of_any_value_fits_on_one_line() -> None:
    assert value_text("a\n\tb ") == "a b"
    assert value_text(["a", None, 3]) == "['a', None, 3]"
    assert value_text(0.98658) == "0.9866"


@pytest.mark.parametrize(
    ("values", "digits"),
    [
        ([], 4),
        ([-999.98], 4),
        ([0.5, 0.5, 0.5], 4),
        ([0.91, 0.93, 0.97, 0.88], 4),
        ([-999.98, -999.5, -1000.25], 6),
        ([-999.98, -999.5, -1000.25, -999.7, 1e9], 6),
        ([1000.001, 1000.002, 1000.004], 8),
    ],
)
def test_different_values_are_shown_with_enough_digits_to_differ(
    values: list[float], digits: int
) -> None:
    assert digits_of(values) == digits
