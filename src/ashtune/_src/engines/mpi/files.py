"""Files of a study on their way between two directories, in chunks, where the ranks share none.

Rule 1: only the files that a study has are taken, and nothing is put outside of it.
Rule 2: a checkpoint for which there is no room is given up, as any that cannot be written; its trial begins again.
"""

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from ashtune._src.core.errors import StudyError
from ashtune._src.core.events import JobFinished, JobPaused, TrialReleased, WorkerJoined
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.orders import Discard
from ashtune._src.engines.mpi.messages import DRIVER, Chunk
from ashtune._src.engines.mpi.transport import Transport
from ashtune._src.engines.workload import WorkerMessage
from ashtune._src.study.checkpoints import FOLDER, Checkpoints
from ashtune._src.study.disk import DISK, Disk, OpenFile, write_all
from ashtune._src.study.folders import delete, sync_tree, walk
from ashtune._src.training.profiling import path_of

PIECE_BYTES = 1 << 20
ARRIVING = ".arriving"
CHECKPOINT = rf"{FOLDER}/\d+\.\d+"
FROM_A_RANK = re.compile(rf"{CHECKPOINT}|logs/worker-\d+\.log|profile/worker-\d+\.json", re.ASCII)
FROM_THE_DRIVER = re.compile(rf"{CHECKPOINT}|objective\.pickle", re.ASCII)
NEEDED = "objective.pickle"
"""Without it nothing can be trained; all else can be done without."""


class ChunkError(StudyError):
    """A piece of a file arrived that makes no sense."""


class FileSender:
    """Makes chunks of the files in a directory: the study's, or what stands for it on this machine."""

    def __init__(self, directory: Path, disk: Disk = DISK) -> None:
        self._directory = str(directory)
        self._disk = disk

    def chunks(self, path: str) -> Iterator[Chunk]:
        """Yield the chunks of a file or folder, read as they are asked for; none if it is not there."""
        held: Chunk | None = None
        for inside, data, is_link in self._pieces(path):
            if held is not None:
                yield held
            held = Chunk(path, data, inside, is_first=held is None, is_link=is_link)
        if held is not None:
            yield Chunk(path, held.data, held.inside, held.is_first, is_last=True, is_link=held.is_link)

    def growth(self, path: str, seen: int) -> bytes:
        """Return what a file has gained since it was ``seen`` bytes long; nothing if there is none."""
        with suppress(OSError), OpenFile(self._disk, f"{self._directory}/{path}", os.O_RDONLY) as file:
            return self._disk.read_at(file.descriptor, PIECE_BYTES, seen)
        return b""

    def _pieces(self, path: str) -> Iterator[tuple[str, bytes, bool]]:
        """Yield (file inside, piece, whether it is what a link says) of a folder, or ("", piece, False) of a file."""
        top, disk = f"{self._directory}/{path}", self._disk
        with suppress(OSError):  # what is cut by that is not used: its size is not the journal's
            if not disk.status(top).is_folder:
                yield from (("", piece, False) for piece in self._read(top))
                return
            for place, status in walk(disk, top):
                inside = place[len(top) + 1 :]
                if status.is_link:
                    yield inside, disk.read_link(place).encode("utf-8", "surrogateescape"), True
                elif status.is_file:
                    yield from ((inside, piece, False) for piece in self._read(place))

    def _read(self, place: str) -> Iterator[bytes]:
        with OpenFile(self._disk, place, os.O_RDONLY) as file:
            yield self._disk.read(file.descriptor, PIECE_BYTES)
            while data := self._disk.read(file.descriptor, PIECE_BYTES):
                yield data


class FileReceiver:
    """Puts chunks of files where they belong in the study's directory, or what stands for it."""

    def __init__(self, directory: Path, takes: re.Pattern[str] = FROM_A_RANK, disk: Disk = DISK) -> None:
        self._directory = str(directory)
        self._takes = takes
        self._disk = disk
        self._coming: set[str] = set()
        self._given_up: dict[str, str] = {}

    def take(self, chunk: Chunk) -> None:
        """Put a piece where it belongs. What the disk refuses is given up: see :meth:`why_given_up`.

        Raises:
            ChunkError: If it makes no sense.
            StudyError: If the disk refuses what nothing can be trained without.
        """
        path = chunk.path
        self._refuse_nonsense(chunk)
        if chunk.is_first:
            self._coming.add(path)
            self._given_up.pop(path, None)
        if path in self._given_up:
            return
        whole = f"{self._directory}/{path}" if chunk.appended else f"{self._directory}/{path}{ARRIVING}"
        try:
            if chunk.is_first:
                delete(self._disk, whole)
            self._put(chunk, whole)
            if chunk.is_last:
                self._coming.discard(path)
                self._have(whole, f"{self._directory}/{path}")
        except OSError as error:
            if path == NEEDED:
                raise StudyError(f"{whole}: {error.strerror}; make room; what was found so far is kept") from None
            if not chunk.appended:
                delete(self._disk, whole)
                self._given_up[path] = str(error.strerror)

    def why_given_up(self, path: str) -> str:
        """Return why the file that came last under a name is not here; nothing if it is."""
        return self._given_up.get(path, "")

    def _refuse_nonsense(self, chunk: Chunk) -> None:
        path, inside = chunk.path, chunk.inside
        parts = inside.split("/") if inside else []
        makes_sense = (
            self._takes.fullmatch(path) is not None
            and "\0" not in inside
            and not any(part in ("", ".", "..") for part in parts)
            and len(chunk.data) <= PIECE_BYTES
            and (chunk.appended or chunk.is_first or path in self._coming)
            and (bool(inside) or not chunk.is_link)
        )
        if not makes_sense:
            raise ChunkError(f"a piece of {path[:200]!r}, {inside[:200]!r} arrived, which is none of those sent")

    def _put(self, chunk: Chunk, whole: str) -> None:
        """Write a piece into the file that it belongs to, through no link that arrived before it."""
        disk = self._disk
        self._have_folder(whole.rpartition("/")[0])
        place = whole
        for part in chunk.inside.split("/") if chunk.inside else ():
            self._have_folder(place)
            place = f"{place}/{part}"
        if chunk.is_link:
            disk.make_link(chunk.data.decode("utf-8", "surrogateescape"), place)
            return
        with OpenFile(disk, place, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as file:
            write_all(disk, file.descriptor, chunk.data)

    def _have_folder(self, place: str) -> None:
        try:
            self._disk.make_folder(place)
        except FileExistsError:
            if place not in (self._directory, f"{self._directory}/{FOLDER}") and not self._disk.status(place).is_folder:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), place) from None

    def _have(self, whole: str, final: str) -> None:
        """Give what has come its name. A folder's files cannot be checked later, so they are synced."""
        if self._disk.status(whole).is_folder:
            sync_tree(self._disk, whole)
        delete(self._disk, final)
        self._disk.rename(whole, final)


class CheckpointLocations:
    """The store of checkpoints that travel in messages: see :class:`~ashtune.stores.CheckpointStore`.

    The driver has all of them in the study's directory. It knows which ranks have a copy of which, sends each rank
    those it needs, once, and has all copies deleted.
    """

    def __init__(self, transport: Transport, study: Path, receiver: FileReceiver) -> None:
        self._transport = transport
        self._sender = FileSender(study)
        self._receiver = receiver
        self._checkpoints = Checkpoints(study)
        self._ranks: dict[tuple[TrialId, int], set[int]] = {}

    def put(self, peer: int, trial: TrialId, resource: int) -> str:
        """A rank has saved a checkpoint, whose chunks came before it said so."""
        if why := self._receiver.why_given_up(f"{FOLDER}/{trial}.{resource}"):
            return why
        self._ranks[trial, resource] = {peer}
        return ""

    def get(self, peer: int, trial: TrialId, resource: int) -> None:
        """A rank is to go on from a checkpoint: it is sent unless the rank has it."""
        ranks = self._ranks.setdefault((trial, resource), set())
        if peer not in ranks:
            ranks.add(peer)
            self._transport.put(peer, self._sender.chunks(f"{FOLDER}/{trial}.{resource}"))

    def discard(self, trial: TrialId, resource: int, peers: Iterable[int]) -> None:
        """Delete a checkpoint here, and have the ranks delete it that have it and are there."""
        self._checkpoints.discard(trial, resource)
        if ranks := self._ranks.pop((trial, resource), None):
            for rank in sorted(ranks & set(peers)):
                self._transport.put(rank, Discard(trial, resource))


class RankFiles:
    """Sends the driver files of a rank's folder: checkpoints before the event that names them, logs, profiles."""

    def __init__(self, transport: Transport, directory: Path) -> None:
        self._transport = transport
        self._sender = FileSender(directory)
        self._log = ""
        self._sent = 0
        self._profile = ""

    def before(self, message: WorkerMessage) -> None:
        """Send what has to be there before a message."""
        match message:
            case WorkerJoined(worker=worker):
                self.log()
                self._send_profile()
                self._log, self._sent = f"logs/worker-{worker}.log", 0
                self._profile = path_of(worker)
            case JobFinished(checkpoint=int()) | TrialReleased(checkpoint=int()) | JobPaused(checkpoint=int()):
                path = f"{FOLDER}/{message.trial}.{message.resource}"
                self._transport.put(DRIVER, self._sender.chunks(path))
            case _:
                pass

    def send_the_rest(self) -> None:
        """Send the end of the log and the profile, no more: the study is over, no checkpoint is waited for any more."""
        self._transport.forget(DRIVER)
        self.log()
        self._send_profile()

    def log(self) -> None:
        """Send what the worker has printed since the last time."""
        while self._log and (data := self._sender.growth(self._log, self._sent)):
            self._sent += len(data)
            self._transport.put(DRIVER, iter([Chunk(self._log, data, appended=True)]))

    def _send_profile(self) -> None:
        """Send the profile of the worker that is gone, if it has left one."""
        if self._profile:
            self._transport.put(DRIVER, self._sender.chunks(self._profile))
