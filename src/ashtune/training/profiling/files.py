"""What a worker's profile is, and its file in the study's directory.

Rule: a study may come from someone else, so a profile is JSON, and reading it executes nothing.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from ashtune.core.errors import StudyError
from ashtune.core.jobs import WorkerId
from ashtune.study.disk import DISK, folder_of_a_study, read_whole, write_new

FOLDER = "profile"
MOST_PROFILE_BYTES = 1 << 26


class Stack(msgspec.Struct, frozen=True, array_like=True):
    """Seconds seen in one chain of calls, the outermost first: places in :attr:`WorkerProfile.frames`."""

    frames: list[int]
    seconds: float


class WorkerProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where one worker's training time went: the stacks that pyinstrument sampled.

    ``frames`` are in pyinstrument's words; ``unix_time`` is when the worker began. ``problem`` says what is missing
    and why.
    """

    worker: WorkerId
    unix_time: float = 0.0
    frames: list[str] = []
    stacks: list[Stack] = []
    samples: int = 0
    cpu_seconds: float = 0.0
    problem: str = ""


def path_of(worker: WorkerId) -> str:
    """Return where a worker's profile is, relative to the study's directory."""
    return f"{FOLDER}/worker-{worker}.json"


def write_profile(study: Path, profile: WorkerProfile) -> None:
    """Put a profile in its place, whole or not at all.

    Raises:
        OSError: If the disk refuses.
    """
    path = study / path_of(profile.worker)
    folder_of_a_study(path.parent)
    write_new(DISK, str(path), msgspec.json.encode(profile), is_synced=False)


def read_profiles(study: Path) -> Iterator[WorkerProfile]:
    """Yield the profiles of a study's workers; none if it was not profiled.

    Raises:
        StudyError: If one cannot be read.
    """
    decoder = msgspec.json.Decoder(WorkerProfile)
    for path in sorted((study / FOLDER).glob("worker-*.json")):
        try:
            profile = decoder.decode(read_whole(str(path), MOST_PROFILE_BYTES))
        except (OSError, ValueError, RecursionError) as error:
            raise StudyError(f"{path} is no profile of a worker ({error}); delete it") from None
        places = range(len(profile.frames))
        if any(not stack.frames or any(place not in places for place in stack.frames) for stack in profile.stacks):
            raise StudyError(f"{path} is no profile of a worker (a stack names a frame that is not there); delete it")
        yield profile
