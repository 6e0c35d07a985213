"""Power losses for real: ``python -m tests.faults.power_loss [STUDIES] [LOSSES]``.

A study of two local workers writes to an ext4 file system on a loop device. At random moments the
device is taken as it is, which is what a power loss leaves: the file that the device is made of
lies on its own file system, which is frozen while it is copied. Each copy is mounted, where
ext4 plays its own journal back, and the same script continues.

Nothing of ours is asked whether that went well. While it ran, every ``fsync`` of the driver that
came back was noted outside of the device: so many bytes of that file are durable. They have to be
there. What the results have to be is computed here: the training function is a formula.

Where no loop device can be had, the study's folder is copied file by file while it runs.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

SCRIPT = """
import os, sys, time

DURABLE = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
fsync = os.fsync


def noted(file):
    size, path = os.fstat(file).st_size, os.readlink(f"/proc/self/fd/{file}")
    fsync(file)
    os.write(DURABLE, f"{size} {path}\\n".encode())


os.fsync = noted

import ashtune


def is_far_enough():
    if "LIMIT" not in os.environ:
        return False
    with open(os.environ["LIMIT"]) as limit, open(os.environ["JOURNAL"], "rb") as journal:
        return sum(1 for _ in journal) >= int(limit.read())


def train(trial):
    if trial.number % 4 == 1:
        file = trial.checkpoint_dir / "weights"
        state = eval(file.read_text()) if file.exists() else (0, "")
    else:
        state = trial.restore() or (0, "")
    assert state[0] == trial.start, f"trial {trial.number} starts at {trial.start} with the state of {state[0]}"
    assert state[1] == "w" * 20_000 or not trial.start
    for epoch in trial.epochs():
        while is_far_enough():
            time.sleep(0.02)
        time.sleep(0.3 if trial.number % 5 == 0 else 0.02)
        trial.report(score=trial["x"] * epoch)
    state = (trial.target, "w" * 20_000)
    if trial.number % 4 == 1:
        file.write_text(repr(state))
    else:
        trial.save(state)


ashtune.tune(
    train, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=48, max_resource=8, workers=2,
    search="random", directory=sys.argv[1], scheduler=sys.argv[3], quiet=True,
)
"""
TRIALS, RUNGS = 48, (1, 2, 4, 8)
LINES = 200  # about as many as the journal has in the end
IMAGE_BYTES = 48 << 20
MOST_LINES_AHEAD = 25
"""So far a study may run ahead of the next power loss: it does not end before, however long that
takes to come.
"""


class NoDevice(Exception):  # noqa: N818 - it is not a mistake
    """No file system on a loop device can be mounted here."""


def run(*command: object) -> None:
    """Run a command that has to succeed."""
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


def unmount(folder: Path) -> None:
    """Unmount a folder, as soon as the loop device on it lets go."""
    for attempt in range(100):
        if subprocess.run(["umount", folder], check=False, capture_output=True).returncode == 0:
            return
        time.sleep(0.01 * attempt)
    raise AssertionError(f"{folder} cannot be unmounted")


class Device:
    """A mounted ext4 whose device can be copied at one moment."""

    def __init__(self, place: Path) -> None:
        self._outer, self._folder = place / "outer", place / "device"
        self._mounted: list[Path] = []
        try:
            for image, size, folder in (
                (place / "outer.img", 5 * IMAGE_BYTES, self._outer),
                (self._outer / "inner.img", IMAGE_BYTES, self._folder),
            ):
                folder.mkdir()
                with image.open("wb") as file:
                    file.truncate(size)
                run("mkfs.ext4", "-q", image)
                run("mount", "-o", "loop", image, folder)
                self._mounted.append(folder)
        except (OSError, subprocess.CalledProcessError) as error:
            self.close()
            raise NoDevice(str(error)) from None
        self.study = self._folder / "study"

    def lose_power(self, place: Path) -> Path:
        """Copy the device as it is at one moment; return the study's folder
        on the copy, mounted.
        """
        image = place / "copy.img"
        run("fsfreeze", "--freeze", self._outer)
        try:
            run("cp", "--sparse=always", self._outer / "inner.img", image)
        finally:
            run("fsfreeze", "--unfreeze", self._outer)
        folder = place / "mounted"
        folder.mkdir()
        run("mount", "-o", "loop", image, folder)
        return folder / "study"

    @staticmethod
    def put_away(place: Path) -> None:
        """Unmount a copy and delete it."""
        unmount(place / "mounted")
        shutil.rmtree(place)

    def close(self) -> None:
        """Unmount all."""
        for folder in reversed(self._mounted):
            unmount(folder)


class Folder:
    """What stands for a device where there is none: a folder that is copied file by file while it
    is written.
    """

    def __init__(self, place: Path) -> None:
        self.study = place / "device" / "study"
        self.study.parent.mkdir()

    def lose_power(self, place: Path) -> Path:
        """Copy what is there, in some order."""
        for folder, _, names in os.walk(self.study.parent):
            copy = place / "mounted" / Path(folder).relative_to(self.study.parent)
            copy.mkdir(parents=True, exist_ok=True)
            for name in names:
                with suppress(FileNotFoundError):  # deleted or renamed meanwhile
                    shutil.copyfile(Path(folder, name), copy / name)
        return place / "mounted" / "study"

    @staticmethod
    def put_away(place: Path) -> None:
        """Delete a copy."""
        shutil.rmtree(place)

    def close(self) -> None:
        """Nothing is mounted."""


def driver(
    script: Path, study: Path, durable: Path, scheduler: str, **environment: str
) -> "subprocess.Popen[bytes]":
    """Start the script in its own process group; what it complains of goes to a file beside
    ``durable``.
    """
    with durable.with_name("complaints").open("wb") as complaints:
        command = [sys.executable, script, study, durable, scheduler]
        return subprocess.Popen(
            command, stderr=complaints, start_new_session=True, env=os.environ | environment
        )


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a driver and wait until its workers, which end with it, have let go of the device."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def durable_bytes(noted: Path, journal: Path) -> int:
    """Return how many bytes of the journal an fsync had come back for."""
    if not noted.exists():
        return 0
    lines = [line.partition(" ") for line in noted.read_text().splitlines()]
    return max((int(size) for size, _, path in lines if path == str(journal)), default=0)


def check(study: Path, before: bytes) -> Counter[str]:
    """Hold a finished study against what it has to be; return what was seen.

    Args:
        study: Its directory.
        before: The beginning of its journal that was durable when the power was lost.
    """
    content = (study / "journal.jsonl").read_bytes()
    assert content.startswith(before), "what was durable is gone"
    events = [json.loads(line) for line in content.splitlines()[1:]]
    failures = [event["reason"] for event in events if event["event"] == "job_failed"]
    assert not failures, failures
    x = {
        event["trial"]: event["configuration"]["x"]
        for event in events
        if event["event"] == "trial_started"
    }
    results = [event for event in events if event["event"] == "job_finished"]
    counted = Counter((event["trial"], event["resource"]) for event in results)
    assert set(counted.values()) == {1}, "a result is there twice"
    assert {trial for trial, resource in counted if resource == RUNGS[0]} == set(range(TRIALS)), (
        "a trial is missing"
    )
    for event in results:
        assert event["metrics"]["score"] == x[event["trial"]] * event["resource"], event
        reports = [resource for resource, _ in event.get("curve", [])] + [event["resource"]]
        assert reports == list(range(event.get("start", 0) + 1, event["resource"] + 1)), event
    for lower, higher in pairwise(RUNGS):
        there = [trial for trial, resource in counted if resource == lower]
        promoted = {trial for trial, resource in counted if resource == higher}
        assert len(promoted) >= len(there) // 2, (
            f"{len(there)} trials at {lower}, {len(promoted)} continued"
        )
        assert set(sorted(there, key=lambda trial: -x[trial])[: len(there) // 2]) <= promoted, (
            "not the best continued"
        )
    best = max(event["metrics"]["score"] for event in results if event["resource"] == RUNGS[-1])
    import ashtune

    shown = ashtune.Study.load(study).best
    assert shown is not None
    assert shown.metrics["score"] == best
    read = Counter[str]()
    for event in events:
        if "not read" in (problem := event.get("problem", "")):
            read[problem.partition("; ")[0]] += 1
    released = {
        (event["trial"], event["resource"])
        for event in events
        if event["event"] == "trial_released"
    }
    resumed = sum((event["trial"], event.get("start")) in released for event in results)
    return Counter({"results": len(results), "continued from a checkpoint": resumed}) + read


def _limit(place: Path, lines: int) -> None:
    """Have the study that runs wait as soon as its journal has so many lines."""
    (place / "limit.new").write_text(str(lines))
    (place / "limit.new").rename(place / "limit")


def _lines(study: Path) -> int:
    """Return how far a study is: the lines of its journal."""
    try:
        return (study / "journal.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def lose_power(
    losses: int, seed: int, place: Path, scheduler: str, *, device: bool = True
) -> Counter[str]:
    """Run a study, take its device away some times, continue with each copy, and check it; return what
    was seen.

    Raises:
        NoDevice: If there is no device.
    """
    chance, seen = random.Random(seed), Counter[str]()
    script = place / "study.py"
    script.write_text(SCRIPT)
    disk = Device(place) if device else Folder(place)
    noted = place / "durable"
    moments = sorted(chance.choices(range(2, LINES), k=losses))
    _limit(place, moments[0] + MOST_LINES_AHEAD)
    limit = {"LIMIT": str(place / "limit"), "JOURNAL": str(disk.study / "journal.jsonl")}
    process = driver(script, disk.study, noted, scheduler, **limit)
    taken: list[tuple[Path, Path, bytes]] = []
    try:
        for number, lines in enumerate(moments):
            _limit(place, lines + MOST_LINES_AHEAD)
            while process.poll() is None and _lines(disk.study) < lines:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.2))
            durable = durable_bytes(noted, disk.study / "journal.jsonl")
            written = (disk.study / "journal.jsonl").read_bytes() if durable else b""
            copy = place / f"copy-{number}"
            copy.mkdir()
            study = disk.lose_power(copy)
            taken.append((copy, study, written[:durable]))
            seen["power losses"] += 1
            seen["while it ran"] += process.poll() is None
            seen["checkpoints that were there"] += len(
                list((study / "checkpoints").glob("*.[0-9]"))
            )
            left = (
                (study / "journal.jsonl").stat().st_size
                if (study / "journal.jsonl").exists()
                else 0
            )
            seen["journals that were shorter than what was written"] += left < len(written)
        end(process)
        for copy, study, before in list(taken):
            again = driver(script, study, copy / "durable", scheduler)
            assert again.wait(300) == 0, (copy / "complaints").read_text()
            seen += check(study, before)
            disk.put_away(copy)
            taken.remove((copy, study, before))
    finally:
        if process.poll() is None:
            end(process)
        for copy, _, _ in taken:
            disk.put_away(copy)
        disk.close()
    return seen


def main() -> None:
    """Lose power as often as was asked for, and print what was seen."""
    studies, losses = (int(text) for text in (*sys.argv[1:], "4", "5")[:2])
    seen = Counter[str]()
    for seed in range(studies):
        scheduler = ("ash", "sh")[seed % 2]
        place = Path(tempfile.mkdtemp(prefix="power-"))
        try:
            seen += lose_power(losses, seed, place, scheduler)
        except NoDevice as why:
            sys.stderr.write(f"no device: {why}; the folder is copied file by file\n")
            shutil.rmtree(place)
            place = Path(tempfile.mkdtemp(prefix="power-"))
            seen += lose_power(losses, seed, place, scheduler, device=False)
        shutil.rmtree(place)
        print(
            f"{seed + 1} studies: "
            + ", ".join(f"{number} {what}" for what, number in seen.items()),
            flush=True,
        )


if __name__ == "__main__":
    main()
