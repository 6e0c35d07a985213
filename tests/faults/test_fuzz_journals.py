"""Damaged study directories give the right answer or one clear line: a few hundred of those of the fuzzer."""

import sys

import pytest
from fuzz_journals import fuzz, table

INPUTS = 300


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.timeout(600)
def test_every_damaged_directory_is_answered_rightly_or_refused_in_one_line() -> None:
    counts, defects = fuzz(range(INPUTS), seed=0)
    print(table(counts))
    assert not defects, "\n".join(defects)
    assert counts.total() == INPUTS
