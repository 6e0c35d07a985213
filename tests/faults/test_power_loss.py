"""A power loss takes nothing that was durable, and the study continues: on a real file system, and
with copied files.
"""

import sys
from pathlib import Path

import pytest

from tests.faults.power_loss import NoDevice, lose_power

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("device", [True, False], ids=["loop device", "copied files"])
def test_a_study_finishes_after_two_power_losses(tmp_path: Path, *, device: bool) -> None:
    try:
        seen = lose_power(2, 7, tmp_path, "sh", device=device)
    except NoDevice as why:
        pytest.skip(f"no file system on a loop device can be mounted here: {why}")
    assert seen["power losses"] == 2
    assert seen["continued from a checkpoint"]
