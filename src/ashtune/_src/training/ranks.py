"""The place of this process among the processes that train a trial, as torchrun describes it in variables."""

import os
import socket
import sys
from contextlib import suppress
from typing import Any

LOOPBACK = "127.0.0.1"


def reserve_port() -> socket.socket:
    """Return a socket that holds a free port of this machine until the socket is closed.

    The socket never listens. Another socket with ``SO_REUSEADDR``, which PyTorch sets, can therefore listen on the
    port, while the system gives the port to nobody who asks for a free one.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("", 0))
    return held


class Ranks:
    """The rank of this process in a trial, the number of ranks, and the address of rank 0.

    Args:
        local_rank: The index of this process among the ranks that see the same GPUs, and their number.
        comm: The communicator of the trial's ranks; None without MPI.
    """

    def __init__(self, rank: int = 0, size: int = 1, *, local_rank: tuple[int, int] = (0, 1), comm: Any = None) -> None:
        self.rank = rank
        self.size = size
        self.comm = comm
        self.local_rank = local_rank
        self.address = LOOPBACK
        self.port = 0
        self._held: socket.socket | None = None
        self._before: dict[str, str | None] = {}

    def reserve(self) -> int:
        """Reserve a port for this trial, unless a port is reserved; return the port."""
        if not self.port:
            self._held = reserve_port()
            self.port = self._held.getsockname()[1]
        return self.port

    def set_variables(self) -> dict[str, str]:
        """Set the variables of torchrun, and return them."""
        local, local_size = self.local_rank
        variables = {
            "MASTER_ADDR": self.address,
            "MASTER_PORT": str(self.reserve()),
            "RANK": str(self.rank),
            "WORLD_SIZE": str(self.size),
            "LOCAL_RANK": str(local),
            "LOCAL_WORLD_SIZE": str(local_size),
        }
        self._before = {name: os.environ.get(name) for name in variables} | self._before
        os.environ.update(variables)
        return variables

    def renew(self) -> None:
        """Replace the communicator after a failed trial. All ranks must call this method together."""
        if self.comm is not None:
            self.comm = self.comm.Dup()

    def leave(self) -> None:
        """End the process group that the trial has left, restore the variables, and free the port."""
        distributed = sys.modules.get("torch.distributed")
        if self._before and distributed is not None and distributed.is_available() and distributed.is_initialized():
            with suppress(Exception):  # another rank is gone
                distributed.destroy_process_group()
        for name, value in self._before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        self._before = {}
        if self._held is not None:
            self._held.close()
        self._held, self.port = None, 0
