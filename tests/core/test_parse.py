"""Values as a command line gives them."""

import pytest

from ashtune._src.core import parse
from ashtune._src.core.checks import check_size
from ashtune._src.core.confirm import SEEDS, Confirm


@pytest.mark.parametrize(
    ("text", "size"),
    [("812", 812), ("1.5KB", 1500), (" 500 mb ", 500_000_000), ("2TB", 2 * 10**12)],
)
def test_a_size_is_parsed_from_a_number_and_a_unit(text: str, size: int) -> None:
    assert parse.size(text) == check_size("checkpoint_limit", text) == size


@pytest.mark.parametrize("text", ["", "GB", "2 PB", "-1", "xx1xx"])
def test_an_invalid_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse.size(text)


def test_a_list_of_numbers_is_read() -> None:
    assert parse.whole_numbers("8, 1,16") == [8, 1, 16]
    for text in ("", "8,x"):
        with pytest.raises(ValueError, match="invalid literal for int"):
            parse.whole_numbers(text)


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("40 hours", (144_000.0, False)),
        ("40 worker-hours", (144_000.0, False)),
        ("40 GPU-hours", (144_000.0, True)),
        ("90gpu min", (5_400.0, True)),
    ],
)
def test_a_budget_is_parsed_as_worker_time_or_gpu_time(
    text: str, budget: tuple[float, bool]
) -> None:
    assert parse.budget(text) == budget


@pytest.mark.parametrize("text", ["gpu-hours", "40 gpu", "40 gpu-gpu-hours", "40 euros"])
def test_an_invalid_budget_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a budget"):
        parse.budget(text)


def test_command_line_texts_of_reduction_factor_and_min_resource_are_parsed() -> None:
    assert parse.factors("2,3,1.5") == [2, 3, 1.5]
    assert [type(factor) for factor in parse.factors("2,1.5")] == [int, float]
    assert parse.min_resource("auto") == "auto"
    assert parse.min_resource("3") == 3


def test_the_option_confirm_is_parsed_as_configurations_and_seeds() -> None:
    assert parse.confirm("5x2") == Confirm(5, 2)
    assert parse.confirm("5") == parse.confirm("5x") == Confirm(5, SEEDS)


def test_texts_with_names_targets_and_bounds_are_parsed() -> None:
    assert parse.names(" csv, ,mlflow,") == ["csv", "mlflow"]
    assert parse.target("0.9") == 0.9
    assert parse.target("accuracy=0.9, latency = 5") == {"accuracy": 0.9, "latency": 5.0}
    assert parse.bounds("latency<=5,accuracy>=0.9") == {"latency": "<=5", "accuracy": ">=0.9"}
    with pytest.raises(ValueError, match="does not give each name a value"):
        parse.bounds("latency=5")
