"""Files of a study on their way between two directories, in pieces.

Rule 1: only the files that a study has are taken, and nothing is put outside of it.
Rule 2: a checkpoint for which there is no room is given up, as any that cannot be written; its trial begins again.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ashtune.engines.letters import Parcel
from ashtune.errors import StudyError
from ashtune.study.checkpoints import FOLDER, delete, sync_tree, walk
from ashtune.study.disk import DISK, Disk, OpenFile

PIECE_BYTES = 1 << 20
ARRIVING = ".arriving"
CHECKPOINT = rf"{FOLDER}/\d+\.\d+"
FROM_A_RANK = re.compile(rf"{CHECKPOINT}|logs/worker-\d+\.log|profile/worker-\d+\.json", re.ASCII)
FROM_THE_DRIVER = re.compile(rf"{CHECKPOINT}|objective\.pickle", re.ASCII)
NEEDED = "objective.pickle"
"""Without it nothing can be trained; all else can be done without."""


class ParcelError(StudyError):
    """A piece of a file arrived that makes no sense."""


class Courier:
    """One end: takes parcels in, and makes them of what lies here.

    Args:
        directory: The study's directory, or what stands for it on this machine.
        takes: The names of the files that it takes.
        disk: Where the directory is.
    """

    def __init__(self, directory: Path, takes: re.Pattern[str] = FROM_A_RANK, disk: Disk = DISK) -> None:
        self._directory = str(directory)
        self._takes = takes
        self._disk = disk
        self._coming: set[str] = set()
        self._given_up: dict[str, str] = {}

    def parcels(self, path: str) -> Iterator[Parcel]:
        """Yield the parcels of a file or folder, read as they are asked for; none if it is not there.

        Whoever trains on without it begins the trial anew, as with any checkpoint that is gone or not whole.
        """
        held: Parcel | None = None
        for inside, data, is_link in self._pieces(path):
            if held is not None:
                yield held
            held = Parcel(path, data, inside, is_first=held is None, is_link=is_link)
        if held is not None:
            yield Parcel(path, held.data, held.inside, held.is_first, is_last=True, is_link=held.is_link)

    def growth(self, path: str, seen: int) -> bytes:
        """Return what a file has gained since it was ``seen`` bytes long; nothing if there is none."""
        with suppress(OSError), OpenFile(self._disk, f"{self._directory}/{path}", os.O_RDONLY) as file:
            return self._disk.read_at(file.descriptor, PIECE_BYTES, seen)
        return b""

    @staticmethod
    def grown(path: str, data: bytes) -> Iterator[Parcel]:
        """Yield the parcel of what a file has gained."""
        yield Parcel(path, data, appended=True)

    def take(self, parcel: Parcel) -> None:
        """Put a piece where it belongs. What the disk refuses is given up: see :meth:`why_given_up`.

        Raises:
            ParcelError: If it makes no sense: the name of a file that is not taken, a piece that is too large, or
                one of a file whose beginning has not come.
            StudyError: If the disk refuses what nothing can be trained without.
        """
        path = parcel.path
        self._refuse_nonsense(parcel)
        if parcel.is_first:
            self._coming.add(path)
            self._given_up.pop(path, None)
        if path in self._given_up:
            return
        whole = f"{self._directory}/{path}" if parcel.appended else f"{self._directory}/{path}{ARRIVING}"
        try:
            if parcel.is_first:
                delete(self._disk, whole)
            self._put(parcel, whole)
            if parcel.is_last:
                self._coming.discard(path)
                self._have(whole, f"{self._directory}/{path}")
        except OSError as error:
            if path == NEEDED:
                raise StudyError(f"{whole}: {error.strerror}; make room; what was found so far is kept") from None
            if not parcel.appended:
                delete(self._disk, whole)
                self._given_up[path] = str(error.strerror)

    def why_given_up(self, path: str) -> str:
        """Return why the file that came last under a name is not here; nothing if it is."""
        return self._given_up.get(path, "")

    def _refuse_nonsense(self, parcel: Parcel) -> None:
        path, inside = parcel.path, parcel.inside
        if not self._takes.fullmatch(path):
            raise ParcelError(f"a file named {path[:200]!r} arrived, which is none of those that are sent; refused")
        parts = inside.split("/") if inside else []
        if "\0" in inside or any(part in ("", ".", "..") for part in parts):
            raise ParcelError(f"a file named {inside[:200]!r} arrived, which is not inside {path}; refused")
        if len(parcel.data) > PIECE_BYTES:
            raise ParcelError(
                f"a piece of {len(parcel.data):,} bytes of {path} arrived; they have at most 1 MB; refused"
            )
        if not (parcel.appended or parcel.is_first or path in self._coming):
            raise ParcelError(f"a piece of {path} arrived whose beginning did not; refused")
        if parcel.is_link and not inside:
            raise ParcelError(f"{path} arrived as a link; refused")

    def _put(self, parcel: Parcel, whole: str) -> None:
        """Write a piece into the file that it belongs to, through no link that arrived before it."""
        disk = self._disk
        self._have_folder(whole.rpartition("/")[0])
        place = whole
        for part in parcel.inside.split("/") if parcel.inside else ():
            self._have_folder(place)
            place = f"{place}/{part}"
        if parcel.is_link:
            disk.make_link(parcel.data.decode("utf-8", "surrogateescape"), place)
            return
        with OpenFile(disk, place, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as file:
            left = memoryview(parcel.data)
            while left:
                left = left[file.write(left) :]

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

    def _pieces(self, path: str) -> Iterator[tuple[str, bytes, bool]]:
        """Yield (file inside, piece, whether it is what a link says) of a folder, or ("", piece, False) of a file."""
        found, disk = f"{self._directory}/{path}", self._disk
        with suppress(OSError):  # what is cut by that is not used: its size is not the journal's
            if not disk.status(found).is_folder:
                yield from (("", piece, False) for piece in self._read(found))
                return
            for place, status in walk(disk, found):
                inside = place[len(found) + 1 :]
                if status.is_link:
                    yield inside, disk.read_link(place).encode("utf-8", "surrogateescape"), True
                elif status.is_file:
                    yield from ((inside, piece, False) for piece in self._read(place))

    def _read(self, place: str) -> Iterator[bytes]:
        with OpenFile(self._disk, place, os.O_RDONLY) as file:
            yield self._disk.read(file.descriptor, PIECE_BYTES)
            while data := self._disk.read(file.descriptor, PIECE_BYTES):
                yield data
