"""A real ``kill -9`` of the driver of ``ashtune run`` with two workers, at 20 random times."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest

import ashtune
from ashtune.core.events import JobFinished, TrialStarted, WorkerJoined
from ashtune.core.jobs import Job
from ashtune.core.ladder import Ladder
from ashtune.study.journal import NAME, read_events
from ashtune.testing.oracles import RecordedResult, unexplained_results

KILLS = 20
SEED = 20
# The trials from the number in "limit" on do not end, so that a study is there to be killed however late that comes.
TRAIN = """
    import time
    from pathlib import Path

    HERE = Path(__file__).parent

    space = {"x": (0.0, 1.0)}

    def train(trial):
        while trial.number >= int((HERE / "limit").read_text()):
            (HERE / "reached").touch()
            time.sleep(0.01)
        trained = trial.restore() or []
        for epoch in trial.epochs():
            time.sleep(0.002)
            trained.append(epoch)
            assert trained == list(range(1, epoch + 1)), "resumed from the wrong checkpoint"
            trial.report(score=trial["x"] + (trial.number * epoch) % 7 / epoch)
        trial.save(trained)
"""


def results(journal: Path) -> list[JobFinished]:
    return [event for event in read_events(journal) if isinstance(event, JobFinished)]


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nothing_finished_is_lost_or_trained_twice_and_no_worker_is_left_behind(tmp_path: Path) -> None:
    moments = random.Random(SEED)
    file = tmp_path / "train.py"
    limit, reached = tmp_path / "limit", tmp_path / "reached"
    limit.write_text("390")
    file.write_text(textwrap.dedent(TRAIN))
    study = tmp_path / "study"
    journal = study / NAME
    run = [sys.executable, "-m", "ashtune", "run", f"{file}:train", "--metric", "score", "--mode", "max"]
    run += ["--trials", "400", "--max-resource", "16", "--workers", "2", "--directory", str(study), "--quiet"]
    run += ["--search", "random"]
    before: list[JobFinished] = []
    kills = 0
    while kills < KILLS:
        reached.unlink(missing_ok=True)
        driver = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        seen = len(before)
        while driver.poll() is None and not (journal.exists() and (len(results(journal)) > seen or reached.exists())):
            time.sleep(0.005)
        time.sleep(moments.uniform(0.0, 0.08))
        assert driver.poll() is None, f"the study ended after {kills} kills: {driver.communicate()[1]}"
        driver.send_signal(signal.SIGKILL)
        driver.communicate()
        kills += 1
        now = results(journal)
        assert now[: len(before)] == before, "a finished result is gone"
        before = now
        workers = [event.pid for event in read_events(journal) if isinstance(event, WorkerJoined)]
        give_up = time.monotonic() + 60
        while any(alive(pid) for pid in workers):
            assert time.monotonic() < give_up, f"workers left behind: {[pid for pid in workers if alive(pid)]}"
            os.sched_yield()
    limit.write_text("400")
    ended = subprocess.run([sys.executable, "-m", "ashtune", "resume", str(study), "--quiet"], check=True)
    assert ended.returncode == 0
    counted = Counter((event.trial, event.rung) for event in results(journal))
    assert set(counted.values()) == {1}, "a finished result was trained again"
    assert {trial for trial, rung in counted if rung == 0} == set(range(400)), "a configuration is lost"
    table = ashtune.Study.load(study).dataframe()
    assert (table.status != "failed").all()
    recorded = [RecordedResult(Job(e.trial, e.rung), -(e.metrics["score"] or 0.0)) for e in results(journal)]
    assert unexplained_results(Ladder(1, 16, 2), recorded) == []


@pytest.mark.timeout(300)
def test_a_driver_killed_while_the_best_are_confirmed_confirms_each_as_often_as_it_should(tmp_path: Path) -> None:
    file, study, limit = tmp_path / "train.py", tmp_path / "study", tmp_path / "limit"
    file.write_text(textwrap.dedent(TRAIN))
    run = [sys.executable, "-m", "ashtune", "run", f"{file}:train", "--metric", "score", "--mode", "max"]
    run += ["--trials", "20", "--max-resource", "16", "--workers", "2", "--directory", str(study), "--quiet"]
    run += ["--search", "random", "--confirm", "2x20"]
    for kill in range(3):
        wanted = 20 + 8 * (kill + 1)
        limit.write_text(str(wanted))
        driver = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while driver.poll() is None and not ((study / NAME).exists() and len(started(study)) >= wanted):
            time.sleep(0.005)
        assert driver.poll() is None, "it ended before it could be killed"
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    limit.write_text("60")
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    confirms = {event.trial: event.confirms for event in started(study) if event.confirms is not None}
    assert len(started(study)) == 20 + len(confirms) == 60
    assert sorted(Counter(confirms.values()).values()) == [20, 20]
    ended = Counter(event.trial for event in results(study / NAME) if event.trial in confirms)
    assert ended == dict.fromkeys(confirms, 1)
    assert len(ashtune.Study.load(study).confirmed.values) == 20


def started(study: Path) -> list[TrialStarted]:
    return [event for event in read_events(study / NAME) if isinstance(event, TrialStarted)]
