"""Values as a command line gives them."""

import pytest

from ashtune._src.core import parse
from ashtune._src.core.checks import check_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("812", 812), ("1.5KB", 1500), (" 500 mb ", 500_000_000), ("2TB", 2 * 10**12)],
)
def test_a_size_is_a_number_and_a_unit(text: str, size: int) -> None:
    assert parse.size(text) == check_size("checkpoint_limit", text) == size


@pytest.mark.parametrize("text", ["", "GB", "2 PB", "-1", "xx1xx"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse.size(text)


def test_a_list_of_numbers_is_read() -> None:
    assert parse.whole_numbers("8, 1,16") == [8, 1, 16]
    for text in ("", "8,x"):
        with pytest.raises(ValueError, match="invalid literal for int"):
            parse.whole_numbers(text)
