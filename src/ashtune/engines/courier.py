"""Files of a study on their way between two directories, in pieces."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from ashtune.engines.letters import Parcel
from ashtune.errors import StudyError

PIECE_BYTES = 1 << 20
ARRIVING = ".arriving"


class Courier:
    """One end: takes parcels in, and makes them of what lies here.

    Args:
        directory: The study's directory, or what stands for it on this machine.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def parcels(self, path: str) -> Iterator[Parcel]:
        """Yield the parcels of a file or folder, read as they are asked for; none if it is not there.

        Whoever trains on without it begins the trial anew, as with any checkpoint that is gone.
        """
        held: Parcel | None = None
        for inside, data in self._pieces(path):
            if held is not None:
                yield held
            held = Parcel(path, data, inside, is_first=held is None)
        if held is not None:
            yield Parcel(path, held.data, held.inside, held.is_first, is_last=True)

    def growth(self, path: str, seen: int) -> bytes:
        """Return what a file has gained since it was ``seen`` bytes long; nothing if there is none."""
        try:
            with (self._directory / path).open("rb") as file:
                file.seek(seen)
                return file.read(PIECE_BYTES)
        except FileNotFoundError:
            return b""

    @staticmethod
    def grown(path: str, data: bytes) -> Iterator[Parcel]:
        """Yield the parcel of what a file has gained."""
        yield Parcel(path, data, appended=True)

    def take(self, parcel: Parcel) -> None:
        """Put a piece where it belongs.

        Raises:
            StudyError: If it names a place outside, or the disk refuses.
        """
        for name in (parcel.path, parcel.inside):
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise StudyError(f"a file named {name!r} arrived, which is not inside the study; refused")
        final = self._directory / parcel.path
        whole = final if parcel.appended else final.with_name(final.name + ARRIVING)
        place = whole / parcel.inside if parcel.inside else whole
        try:
            if parcel.is_first:
                _delete(whole)
            try:
                self._append(place, parcel.data)
            except FileNotFoundError:
                place.parent.mkdir(parents=True, exist_ok=True)
                self._append(place, parcel.data)
            if parcel.is_last:
                _delete(final)
                whole.rename(final)
        except OSError as error:
            raise StudyError(f"{place}: {error.strerror}; make room; what was found so far is kept") from None

    def _pieces(self, path: str) -> Iterator[tuple[str, bytes]]:
        """Yield (file inside, piece) of a folder, or ("", piece) of a file."""
        found = self._directory / path
        files = sorted(entry for entry in found.rglob("*") if entry.is_file()) if found.is_dir() else [found]
        with suppress(FileNotFoundError):
            for place in files:
                inside = "" if place == found else place.relative_to(found).as_posix()
                with place.open("rb") as file:
                    yield inside, file.read(PIECE_BYTES)
                    while data := file.read(PIECE_BYTES):
                        yield inside, data

    @staticmethod
    def _append(place: Path, data: bytes) -> None:
        with place.open("ab") as file:
            file.write(data)


def _delete(place: Path) -> None:
    try:
        place.unlink(missing_ok=True)
    except (IsADirectoryError, PermissionError):  # a folder, in the words of Linux and of macOS
        shutil.rmtree(place)
