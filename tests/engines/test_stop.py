"""Which signals stop a study, and which say that nobody wants to wait."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGTERM, SIGUSR1

import pytest

from ashtune._src.engines.stop import SIGNALS, StopSwitch


def after(*received: int) -> StopSwitch:
    """Return the switch after these signals were sent to this very process."""
    with StopSwitch(grace=30) as stop:
        for number in received:
            signal.raise_signal(number)
    return stop


@pytest.mark.parametrize(
    ("number", "name"), [(SIGINT, "Ctrl-C"), (SIGTERM, "SIGTERM"), (SIGUSR1, "SIGUSR1")]
)
def test_after_the_first_signal_each_trial_may_reach_its_next_epoch(number: int, name: str) -> None:
    stop = after(number)
    assert stop.reason(0) == f"{name} received"
    assert not stop.is_impatient(0)


@pytest.mark.parametrize(
    "received", [(SIGINT, SIGINT), (SIGINT, SIGUSR1, SIGINT), (SIGTERM, SIGINT, SIGINT)]
)
def test_a_second_ctrl_c_requests_a_stop_without_waiting_for_running_trials(
    received: tuple[int, ...],
) -> None:
    assert after(*received).is_impatient(0)


@pytest.mark.parametrize(
    "received",
    [
        (SIGUSR1, SIGUSR1, SIGUSR1),
        (SIGUSR1, SIGCONT, SIGTERM),
        (SIGTERM, SIGTERM),
        (SIGCONT, SIGTERM, SIGCONT, SIGTERM),
        (SIGTERM, SIGINT),
        (SIGINT, SIGTERM),
    ],
)
def test_repeated_signals_of_a_batch_system_do_not_hurry_a_stop(
    received: tuple[int, ...],
) -> None:
    assert not after(*received).is_impatient(0)


def test_the_list_of_received_signals_begins_with_the_oldest() -> None:
    assert after(SIGUSR1, SIGUSR1, SIGTERM).signals == [SIGUSR1, SIGUSR1, SIGTERM]


def test_later_signals_do_not_prolong_the_grace_period() -> None:
    stop = after(SIGUSR1)
    assert not any(stop.is_impatient(100 + turn / 2) for turn in range(30))
    stop.signals.append(SIGTERM)
    assert not any(stop.is_impatient(115 + turn / 2) for turn in range(31))
    assert stop.is_impatient(130.5)


def test_suspended_time_does_not_count_against_the_grace_period() -> None:
    stop = after(SIGUSR1)
    assert not stop.is_impatient(100)
    assert not stop.is_impatient(5_000), "it was suspended"
    assert not any(stop.is_impatient(5_000 + turn / 2) for turn in range(58))
    assert any(stop.is_impatient(5_029 + turn / 2) for turn in range(4))


def test_the_time_limit_requests_a_stop_without_any_signal() -> None:
    stop = StopSwitch(60)
    assert not stop.reason(59)
    assert stop.reason(60) == "time limit reached"


def test_earlier_signal_handlers_are_restored_afterwards() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with StopSwitch() as stop:
        assert all(signal.getsignal(number) == stop._note for number in SIGNALS)
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_signal_that_the_process_ignores_stays_ignored_during_a_study() -> None:
    before = signal.signal(SIGINT, signal.SIG_IGN)
    try:
        assert after(SIGINT, SIGINT).signals == []
        assert signal.getsignal(SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(SIGINT, before)


def test_a_warning_signal_ignored_after_one_study_still_stops_the_next_study() -> None:
    before = signal.signal(SIGUSR1, signal.SIG_DFL)
    try:
        after(SIGUSR1)
        assert signal.getsignal(SIGUSR1) == signal.SIG_IGN  # as in all that this process starts
        assert after(SIGUSR1).signals == [SIGUSR1]
        assert signal.getsignal(SIGUSR1) == signal.SIG_IGN
    finally:
        signal.signal(SIGUSR1, before)


IN_THE_BACKGROUND = """
    "$0" tune.py study &
    child=$!
    while [ ! -e begun ]; do sleep 0.02; done
    kill -INT $child
    touch interrupted
    wait $child
    echo "exit status $?"
"""
TUNE = """
    import os, sys, time
    import ashtune

    def train(trial):
        open("begun", "w").close()
        while not os.path.exists("interrupted"):
            time.sleep(0.01)
        for epoch in trial.epochs():
            trial.report(score=trial["x"])

    study = ashtune.tune(train, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=4, max_resource=2, workers=1,
                         directory=sys.argv[1], quiet=True)
    print("complete" if study.is_complete else "stopped")
"""


def test_ctrl_c_for_a_foreground_process_does_not_stop_a_background_study(tmp_path: Path) -> None:
    (tmp_path / "tune.py").write_text(textwrap.dedent(TUNE))
    run = ["/bin/sh", "-c", textwrap.dedent(IN_THE_BACKGROUND), sys.executable]
    done = subprocess.run(
        run, capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path
    )
    assert done.stdout.splitlines() == ["complete", "exit status 0"], done.stderr
