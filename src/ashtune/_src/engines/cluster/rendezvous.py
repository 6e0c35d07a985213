"""The file by which a host finds the driver of a study."""

import errno
import os
from pathlib import Path
from typing import Annotated

import msgspec

from ashtune._src.core.errors import StudyError
from ashtune._src.study.disk import DISK, OpenFile, reason_of, write_new

NAME = "rendezvous.json"
MOST_BYTES = 1 << 16
NOT_YET = (errno.ENOENT, errno.ESTALE, errno.EIO)
"""The errors of a file that does not exist, or that a new driver replaces at this moment (over
NFS).
"""
_FOR_OTHERS = 0o077
Address = Annotated[str, msgspec.Meta(pattern=r"^tcp://[^:]+:[0-9]{1,5}\Z")]
Key = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-zA-Z.:+=^!/*?&<>()\[\]{}@%$#-]{40})?\Z")]
"""A key of CURVE in Z85."""


class Rendezvous(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses of a driver and the keys for its connections.

    If it has no addresses, the driver has ended.

    A driver has new keys in each session. All hosts of a session use the same keys, which are texts
    in Z85.
    """

    addresses: list[Address] = []
    driver_key: Key = ""
    host_key: Key = ""
    host_secret: Key = ""

    def write(self, study: Path) -> None:
        """Write a file that only the study's owner can read, and replace the file of an earlier
        driver.
        """
        write_new(DISK, str(study / NAME), msgspec.json.encode(self), is_synced=False)

    @classmethod
    def read(cls, study: Path) -> "Rendezvous | None":
        """Return the rendezvous of a study. Return None if there is no file, because no driver has
        begun yet.

        Raises:
            StudyError: If the file cannot be read, or if other users can read it.
        """
        path = study / NAME
        try:
            with OpenFile(DISK, str(path), os.O_RDONLY) as file:
                status = os.fstat(file.descriptor)
                data = DISK.read(file.descriptor, MOST_BYTES)
            if status.st_uid != os.geteuid() or status.st_mode & _FOR_OTHERS:
                raise ValueError("another user owns this file, or can read or write it")
            return msgspec.json.decode(data, type=cls)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in NOT_YET:
                return None
            raise StudyError(
                f"{path}: {reason_of(error)}; remove it, and start the driver again"
            ) from None
