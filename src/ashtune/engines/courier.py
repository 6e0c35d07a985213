"""Files of a study on their way between two directories, in pieces."""

from collections.abc import Iterator
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
        """Yield the parcels of a file, or of all files of a folder; they are read as they are asked for."""
        found = self._directory / path
        if not found.is_dir():
            yield from self._file(found, path)
            return
        for entry in sorted(found.rglob("*")):
            if entry.is_file():
                yield from self._file(entry, f"{path}/{entry.relative_to(found).as_posix()}")

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
        relative = PurePosixPath(parcel.path)
        if relative.is_absolute() or ".." in relative.parts:
            raise StudyError(f"a file named {parcel.path!r} arrived, which is not inside the study; refused")
        final = self._directory / relative
        place = final if parcel.appended else final.with_name(final.name + ARRIVING)
        mode = "wb" if parcel.is_first else "ab"
        try:
            try:
                self._write(place, mode, parcel.data)
            except FileNotFoundError:
                place.parent.mkdir(parents=True, exist_ok=True)
                self._write(place, mode, parcel.data)
            if parcel.is_last:
                place.replace(final)
        except OSError as error:
            raise StudyError(f"{place}: {error.strerror}; make room; what was found so far is kept") from None

    @staticmethod
    def _write(place: Path, mode: str, data: bytes) -> None:
        with place.open(mode) as file:
            file.write(data)

    @staticmethod
    def _file(place: Path, path: str) -> Iterator[Parcel]:
        with place.open("rb") as file:
            data, is_first = file.read(PIECE_BYTES), True
            while True:
                following = file.read(PIECE_BYTES)
                yield Parcel(path, data, is_first, is_last=not following)
                if not following:
                    return
                data, is_first = following, False
