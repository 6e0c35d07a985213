"""Send the files of a study in chunks between the driver and its peers, if they share no directory.

Rule 1: a receiver accepts only the file names of a study, and writes nothing outside of its
directory.
Rule 2: if a checkpoint cannot be written, for example to a full disk, its trial starts again from
the beginning.
"""

# Theory of operation
# -------------------
# The driver has a FileReceiver for what its peers send, and CheckpointLocations for what they need.
# A rank or a host has PeerFiles for each worker, and a FileReceiver for what the driver sends.
#
# Everything depends on one order: the pieces of a file wait in the same queue as the messages
# (``mpi/transport.py``, ``cluster/wire.py``). So if a sender queues a file and then a message, the
# receiver writes the file and then reads the message. PeerFiles.before() uses this for results,
# CheckpointLocations.get() for jobs, and nobody has to confirm that a file has come.
#
# A file is written beside its place, under a name that ends in ``.arriving``, and is renamed when
# its last piece is there. A reader therefore sees a whole file or none. Only logs are appended in
# place: they have no last piece, and a part of a log is useful.
#
# A sender reads each piece when the connection has room for it. If senders read whole files, the
# driver would hold one checkpoint in memory for each worker that waits for one.
#
# What happens when
#
#   the sender dies          the half of a file stays under its ``.arriving`` name. Nobody reads it,
#                            and the next first piece of this name deletes it.
#   a file shrinks or goes   the sender sends what there is. A checkpoint of another size than in
#                            the journal counts as none when it is loaded.
#   the disk is full         the file is given up, and its later pieces are dropped until a new
#                            first piece comes. put() returns the reason; the result counts without
#                            its checkpoint. Only the training function is needed: without it, the
#                            peer cannot train, and says so.
#   a peer sends nonsense    a worker runs the user's code, so a piece is not trusted: its name must
#                            match a pattern as a whole, and no link that came before is followed.
#                            The study's directory and its folder of checkpoints may be links, as
#                            they are the user's. The peer is given up.
#
# Decisions 7 (pieces, order), 15 (sizes, links) and 79 (remote stores) in docs/decisions.

import errno
import os
import re
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ashtune._src.core.errors import StudyError
from ashtune._src.core.events import JobFinished, JobPaused, TrialReleased, WorkerJoined
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.orders import Discard
from ashtune._src.engines.workload import WorkerMessage
from ashtune._src.study.checkpoints import FOLDER, Checkpoints
from ashtune._src.study.disk import DISK, PIECE_BYTES, Disk, OpenFile, write_all
from ashtune._src.study.folders import delete, sync_tree, walk
from ashtune._src.study.remote import URL_FILE
from ashtune._src.training.profiling import path_of

ARRIVING = ".arriving"
LOG_SECONDS = 1.0
CHECKPOINT = rf"{FOLDER}/\d+\.\d+"
FROM_A_RANK = re.compile(rf"{CHECKPOINT}|logs/worker-\d+\.log|profile/worker-\d+\.json", re.ASCII)
FROM_THE_DRIVER = re.compile(rf"{CHECKPOINT}|objective\.pickle|{re.escape(URL_FILE)}", re.ASCII)
NEEDED = "objective.pickle"
"""The file without which no peer can train; all other files are optional."""


class ChunkError(StudyError):
    """An invalid chunk arrived."""


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """A piece of a file or folder at ``path`` in the study's directory. ``inside`` is the path
    inside a folder.

    The first piece creates the file or folder, and the last piece completes it. If ``appended``,
    the piece is added to the end of a growing file such as a log. If ``is_link``, ``data`` is the
    target of a symbolic link.
    """

    path: str
    data: bytes
    inside: str = ""
    is_first: bool = False
    is_last: bool = False
    appended: bool = False
    is_link: bool = False


class FileSender:
    """Reads the files of a study as chunks, from the study's directory or from a peer's scratch
    directory.
    """

    def __init__(self, directory: Path, disk: Disk = DISK) -> None:
        self._directory = str(directory)
        self._disk = disk

    def chunks(self, path: str) -> Iterator[Chunk]:
        """Yield the chunks of a file or folder, each read on demand. If the path does not exist,
        yield no chunk.
        """
        # Each piece is yielded only after the next piece is read, because the last piece must be
        # marked as the last.
        held: Chunk | None = None
        for inside, data, is_link in self._pieces(path):
            if held is not None:
                yield held
            held = Chunk(path, data, inside, is_first=held is None, is_link=is_link)
        if held is not None:
            yield msgspec.structs.replace(held, is_last=True)

    def needed(self) -> Iterator[Chunk]:
        """Yield the chunks of the files that a peer needs before its first job."""
        yield from self.chunks(NEEDED)
        yield from self.chunks(URL_FILE)

    def growth(self, path: str, seen: int) -> bytes:
        """Return the next bytes after the first ``seen`` bytes of a file.

        Return nothing at the end of the file, or if there is no file.
        """
        with (
            suppress(OSError),
            OpenFile(self._disk, f"{self._directory}/{path}", os.O_RDONLY) as file,
        ):
            return self._disk.read_at(file.descriptor, PIECE_BYTES, seen)
        return b""

    def _pieces(self, path: str) -> Iterator[tuple[str, bytes, bool]]:
        """Yield (path inside the folder, bytes, whether the bytes are a link's target). The path of
        a file is "".
        """
        top = f"{self._directory}/{path}"
        disk = self._disk
        with suppress(OSError):  # a truncated file is not used: its size differs from the journal's
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
            yield from iter(lambda: self._disk.read(file.descriptor, PIECE_BYTES), b"")


class FileReceiver:
    """Writes chunks to the files of a study, in the study's directory or in a peer's scratch
    directory.
    """

    def __init__(
        self, directory: Path, takes: re.Pattern[str] = FROM_A_RANK, disk: Disk = DISK
    ) -> None:
        self._directory = str(directory)
        self._takes = takes
        self._disk = disk
        self._decode = msgspec.msgpack.Decoder(Chunk).decode
        self._coming: set[str] = set()
        self._given_up: dict[str, str] = {}

    def take_encoded(self, body: bytes | bytearray) -> None:
        """Write a chunk that arrived in msgpack; see :meth:`take`. Raise MsgspecError if it is no
        chunk.
        """
        self.take(self._decode(body))

    def take(self, chunk: Chunk) -> None:
        """Write a chunk to its file. If the disk refuses a chunk, the file is given up; see
        :meth:`why_given_up`.

        Raises:
            ChunkError: If the chunk is invalid.
            StudyError: If the disk refuses a file that training needs.
        """
        path = chunk.path
        self._check_chunk(chunk)
        if chunk.is_first:
            self._coming.add(path)
            self._given_up.pop(path, None)
        if path in self._given_up:
            return
        final = whole = f"{self._directory}/{path}"
        if not chunk.appended:
            whole += ARRIVING
        try:
            if chunk.is_first:
                delete(self._disk, whole)
            self._put(chunk, whole)
            if chunk.is_last:
                self._coming.discard(path)
                self._move_into_place(whole, final)
        except OSError as error:
            if path == NEEDED:
                raise StudyError(
                    f"{whole}: {error.strerror}; make room on the disk; all results are kept"
                ) from None
            if not chunk.appended:
                delete(self._disk, whole)
                self._given_up[path] = str(error.strerror)

    def why_given_up(self, path: str) -> str:
        """Return the disk's error if the last file of this name could not be written, or else an
        empty string.
        """
        return self._given_up.get(path, "")

    def _check_chunk(self, chunk: Chunk) -> None:
        path = chunk.path
        inside = chunk.inside
        parts = inside.split("/") if inside else []
        makes_sense = (
            self._takes.fullmatch(path) is not None
            and "\0" not in inside
            and {"", ".", ".."}.isdisjoint(parts)
            and len(chunk.data) <= PIECE_BYTES
            and (chunk.appended or chunk.is_first or path in self._coming)
            and (not chunk.is_link or (bool(inside) and b"\0" not in chunk.data))
        )
        if not makes_sense:
            raise ChunkError(f"an unexpected piece of {inside[:200]!r} in {path[:200]!r} arrived")

    def _put(self, chunk: Chunk, whole: str) -> None:
        """Append a chunk to its file. Do not follow a symbolic link that an earlier chunk has
        created.
        """
        disk = self._disk
        self._have_folder(whole.rpartition("/")[0])
        place = whole
        for part in filter(None, chunk.inside.split("/")):
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
            if (
                place not in (self._directory, f"{self._directory}/{FOLDER}")
                and not self._disk.status(place).is_folder
            ):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), place) from None

    def _move_into_place(self, whole: str, final: str) -> None:
        """Rename a complete file or folder to its final name. A folder is synced, as folders are
        not checked later.
        """
        if self._disk.status(whole).is_folder:
            sync_tree(self._disk, whole)
        delete(self._disk, final)
        self._disk.rename(whole, final)


class Carrier(Protocol):
    """Sends messages and the chunks of files in order to places. A place is a rank of MPI or a host
    of a cluster.
    """

    def put(self, place: Any, message: Any, /) -> None:
        """Queue a message. A place that has left gets no message."""

    def put_chunks(self, place: Any, chunks: Iterator[Chunk], /) -> None:
        """Queue the chunks of files. Each chunk is read when it is sent."""


class CheckpointLocations:
    """The store of checkpoints that are sent in messages; see
    :class:`~ashtune.stores.CheckpointStore`.

    The driver keeps all checkpoints in the study's directory. The driver knows which places have a
    copy of a checkpoint. A checkpoint is sent to a place at most once. The copies of a deleted
    checkpoint are deleted too. If the study has a remote store, no checkpoint is sent, because
    workers read and write the store.

    Args:
        place_of: A function that returns a peer's place, or None if the peer sees the study's
            directory. By default, each peer has its own place.
    """

    def __init__(
        self,
        carrier: Carrier,
        study: Path,
        receiver: FileReceiver,
        place_of: Callable[[int], Hashable | None] = lambda peer: peer,
    ) -> None:
        self._carrier = carrier
        self._sender = FileSender(study)
        self._receiver = receiver
        self._place_of = place_of
        self._checkpoints = Checkpoints(study)
        self._places: dict[tuple[TrialId, int], set[Hashable]] = {}

    def put(self, peer: int, trial: TrialId, resource: int) -> str:
        """Record that a peer has saved a checkpoint.

        All chunks of the checkpoint have already arrived.
        """
        why = self._receiver.why_given_up(f"{FOLDER}/{trial}.{resource}")
        if not why and self._checkpoints.remote is None:
            # older copies are not used again
            self._places[trial, resource] = {self._place_of(peer)}
        return why

    def get(self, peer: int, trial: TrialId, resource: int) -> None:
        """Send a checkpoint to the place of a peer, unless this place already has a copy."""
        place = self._place_of(peer)
        if place is None or self._checkpoints.remote is not None:
            return
        places = self._places.setdefault((trial, resource), set())
        if place not in places:
            places.add(place)
            self._carrier.put_chunks(place, self._sender.chunks(f"{FOLDER}/{trial}.{resource}"))

    def discard(self, trial: TrialId, resource: int) -> None:
        """Delete a checkpoint from the study's directory, and all its copies."""
        self._checkpoints.discard(trial, resource)
        for place in self._places.pop((trial, resource), set()) - {None}:
            self._carrier.put(place, Discard(trial, resource))


class PeerFiles:
    """Sends a worker's logs, profiles and checkpoints to the driver. Each checkpoint is sent before
    the event that names the checkpoint.

    ``send`` queues the chunks of files to the driver.
    """

    def __init__(self, send: Callable[[Iterator[Chunk]], None], directory: Path) -> None:
        self._send = send
        self._sender = FileSender(directory)
        self._log = ""
        self._sent = 0
        self._profile = ""
        self._next_log = 0.0

    def before(self, message: WorkerMessage) -> None:
        """Send the files that must arrive at the driver before ``message``."""
        match message:
            case WorkerJoined(worker=worker):
                self._log = f"logs/worker-{worker}.log"
                self._profile = path_of(worker)
            case (
                JobFinished(checkpoint=int())
                | TrialReleased(checkpoint=int())
                | JobPaused(checkpoint=int())
            ):
                self._send(self._sender.chunks(f"{FOLDER}/{message.trial}.{message.resource}"))
            case _:
                pass

    def send_the_rest(self) -> None:
        """After a worker has ended, send the end of its log and its profile."""
        self.log()
        if self._profile:
            self._send(self._sender.chunks(self._profile))

    def log_if_due(self) -> None:
        """Call :meth:`log` if the last call was ``LOG_SECONDS`` ago."""
        if time.monotonic() > self._next_log:
            self._next_log = time.monotonic() + LOG_SECONDS
            self.log()

    def log(self) -> None:
        """Send the part of the worker's log that has not been sent yet."""
        if not self._log:
            return  # no worker has joined
        for data in iter(lambda: self._sender.growth(self._log, self._sent), b""):
            self._sent += len(data)
            self._send(iter([Chunk(self._log, data, appended=True)]))
