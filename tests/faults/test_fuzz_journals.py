"""Damaged study directories give the right answer or one clear line: some
of those of the fuzzer.
"""

import random
import sys
from pathlib import Path

import pytest

from ashtune._src.study.journal import NAME
from tests.faults.fuzz_journals import (
    Base,
    Input,
    bases,
    chained,
    fuzz,
    judge,
    table,
    text_of,
    without_check,
)

INPUTS = 150
BOUNDS = [0, 2**53 + 1, 2**62, 2**63 - 1, 2**64, 10**400, 5e-324, 1e308]


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.timeout(600)
@pytest.mark.thorough
def test_damaged_studies_are_read_correctly_or_refused_in_one_line() -> None:
    counts, defects = fuzz(range(INPUTS), seed=0)
    print(table(counts))
    assert not defects, "\n".join(defects)
    assert counts.total() == INPUTS


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: f"{bound}"[:20])
@pytest.mark.parametrize("base", bases()[:4], ids=lambda base: base.name)
def test_a_journal_with_an_enormous_hyperparameter_range_is_read_or_refused(
    base: Base, bound: float, tmp_path: Path
) -> None:
    for ends in ({"lower": -bound}, {"upper": bound}, {"lower": -bound, "upper": bound}):
        for place in range(3):
            first, *events = [without_check(line) for line in base.lines]
            hyperparameter = first["space"]["space"]["hyperparameters"][place]
            hyperparameter.update(
                {end: value for end, value in ends.items() if end in hyperparameter}
            )
            lines = chained([text_of(line, random.Random(0)) for line in (first, *events)])
            (tmp_path / NAME).write_bytes(b"".join(lines))
            given = Input(
                0,
                "numbers altered, checks right",
                base.name,
                base.lines,
                ("best", "report", "resume"),
            )
            outcome, why = judge(tmp_path, given)
            assert outcome in ("answered", "refused"), f"{hyperparameter}: {why}"
