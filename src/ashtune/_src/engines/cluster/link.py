"""The driver's end of the connections to the hosts of a cluster, over ZeroMQ.

Rule 1: a host proves by CURVE that it has the keys of the rendezvous file, before any of its messages is read.
Rule 2: a connection that is lost is never resumed, because messages may be missing. The host comes again as a new host.
Rule 3: a host whose message does not fit is given up with all its workers. A worker's message counts only if it comes
from the worker's own host.
"""

import math
import resource
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import count
from typing import TypeAlias

import msgspec
import zmq
from zmq.utils import z85

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.events import WorkerLost
from ashtune._src.core.jobs import WorkerId
from ashtune._src.core.orders import Pause, Release
from ashtune._src.core.plaintext import one_line, shown
from ashtune._src.core.version import __version__
from ashtune._src.engines.cluster.messages import (
    SOCKET_OPTIONS,
    Farewell,
    FromHost,
    Hello,
    Rendezvous,
    Replacement,
    ToHost,
    Welcome,
)
from ashtune._src.engines.distributed import Closed, Content, Leaving, Malformed, Opened, Unable
from ashtune._src.engines.mpi.messages import Opening
from ashtune._src.processes.frames import MOST_BYTES
from ashtune._src.training.messages import Assignment

ALL = "*"
LOOPBACK = "127.0.0.1"
MOST_AT_ONCE = 512
PING_SECONDS = 0.5
HOSTS_A_PING_SECOND = 500
PROGRESS_A_SECOND = 200
HANDSHAKE_MILLISECONDS = 5_000
Socket: TypeAlias = "zmq.Socket[bytes]"


def python_version() -> str:
    """Return the version of Python, on which the pickle of a training function depends."""
    return f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}"


def listen(router: Socket, interface: str) -> list[str]:
    """Bind a socket to a network interface, to all interfaces, or to loopback, and return the addresses.

    Raises:
        SettingsError: If this machine has no such interface, or the interface has no address.
    """
    there = [name for _, name in socket.if_nameindex()]
    addresses, why = [], "no such interface"
    for name in there if interface == ALL else [interface or LOOPBACK]:
        try:
            router.bind(f"tcp://{name}:*")
        except zmq.ZMQError as error:
            why = str(error)
        else:
            addresses.append(router.getsockopt_string(zmq.LAST_ENDPOINT))
    if not addresses:
        raise SettingsError(f"interface={shown(interface)}: {why}; give one of {', '.join(there)}, or '{ALL}' for all")
    return addresses


class ClusterHost:
    """The driver's record of a host: its name, its workers, and whether it leaves."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.peers: set[int] = set()
        self.is_leaving = False


class ClusterLink:
    """Connects the driver to hosts, which come and leave. ``opening`` has the number of the first worker."""

    transport = "ZeroMQ"

    def __init__(self, opening: Opening, interface: str) -> None:
        self._opening = opening
        self._numbers = count(opening.setup.worker)
        self._hosts: dict[bytes, ClusterHost] = {}
        self._key_of: dict[int, bytes] = {}
        self._outboxes: dict[bytes, list[ToHost]] = {}
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(list[FromHost]).decode
        self._next_ping = 0.0
        self._is_closing = False
        self.failed: set[int] = set()
        """The workers whose connection is lost."""
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each connection is a file
        self._context: zmq.Context[Socket] = zmq.Context()
        self._doorkeeper = self._context.socket(zmq.REP)
        self._router = self._context.socket(zmq.ROUTER)
        try:
            self.rendezvous = self._open(interface)
        except BaseException:
            self._context.destroy(linger=0)
            raise
        self._poller = zmq.Poller()
        self._poller.register(self._router, zmq.POLLIN)
        self._poller.register(self._doorkeeper, zmq.POLLIN)

    def _open(self, interface: str) -> Rendezvous:
        driver_key, driver_secret = zmq.curve_keypair()
        host_key, host_secret = zmq.curve_keypair()
        self._host_key = z85.decode(host_key)
        self._doorkeeper.bind("inproc://zeromq.zap.01")  # ZeroMQ asks here about each connection: RFC 27
        for option, value in (
            (zmq.CURVE_SERVER, 1),
            (zmq.ROUTER_MANDATORY, 1),  # sending to a host without connection is an error
            (zmq.MAXMSGSIZE, 4 * MOST_BYTES),  # the messages of several workers may come together
            (zmq.HANDSHAKE_IVL, HANDSHAKE_MILLISECONDS),
            *SOCKET_OPTIONS,
        ):
            self._router.setsockopt(option, value)
        self._router.curve_secretkey, self._router.curve_publickey = driver_secret, driver_key
        return Rendezvous(
            addresses=listen(self._router, interface),
            driver_key=driver_key.decode(),
            host_key=host_key.decode(),
            host_secret=host_secret.decode(),
        )

    def end(self) -> None:
        """Close all connections, after the last messages are sent."""
        self.flush()
        self._doorkeeper.close(linger=0)
        self._router.close()
        self._context.term()

    def name(self, peer: int) -> str:
        """Return the name of a worker for messages to the user."""
        key = self._key_of.get(peer)
        where = "" if key is None else f" of {self._hosts[key].name}"
        return f"worker {peer}{where}"

    def may_join(self, peer: int, worker: WorkerId) -> bool:
        """Return whether a worker belongs to a peer. A peer has the number of its only worker."""
        return worker == peer

    def receive(self) -> Sequence[tuple[int, Content]]:
        """Return the new messages of all hosts."""
        arrived: list[tuple[int, Content]] = []
        with suppress(zmq.Again):
            while len(arrived) < MOST_AT_ONCE:
                key, *frames = self._router.recv_multipart(zmq.NOBLOCK)
                arrived += self._read(key, b"".join(frames))
        if (now := time.monotonic()) >= self._next_ping:
            self._next_ping = now + max(PING_SECONDS, len(self._hosts) / HOSTS_A_PING_SECOND)
            self._admit()
            for key in self._hosts:
                self._send(key, b"")
        return arrived

    def _admit(self) -> None:
        """Answer ZeroMQ's questions whether a client with a public key may connect."""
        with suppress(zmq.Again):
            while True:
                version, request, _, _, _, _, *credentials = self._doorkeeper.recv_multipart(zmq.NOBLOCK)
                status = b"200" if credentials == [self._host_key] else b"400"
                self._doorkeeper.send_multipart([version, request, status, b"", b"", b""])

    def _read(self, key: bytes, body: bytes) -> Iterable[tuple[int, Content]]:
        host = self._hosts.get(key)
        if host is None:
            return self._welcome(key, body)
        try:
            return [item for message in self._decode(body) for item in self._sort(key, host, message)]
        except msgspec.MsgspecError as error:
            return [(peer, Malformed(str(error))) for peer in host.peers]

    def _sort(self, key: bytes, host: ClusterHost, message: FromHost) -> Iterable[tuple[int, Content]]:
        """Return what each worker of a host says by a message."""
        match message:
            case Hello():
                return [(peer, Malformed("it says hello a second time")) for peer in host.peers]
            case Leaving():
                host.is_leaving = True
                return [(peer, message) for peer in host.peers]
            case Closed() | Unable():
                peers = [peer for peer in sorted(host.peers) if self._forget(peer)]
                self._hosts.pop(key, None)
                why = [(peer, message) for peer in peers[:1]]  # so that the user reads the reason once
                return [*why, *((peer, Closed()) for peer in peers)]
        peer = message.worker
        if peer not in host.peers:
            return ()  # the worker was given up before, or belongs to another host
        if not isinstance(message, WorkerLost):
            return ((peer, message),)
        self._forget(peer)
        lost: list[tuple[int, Content]] = [(peer, message), (peer, Closed())]
        if not host.is_leaving:
            (new,) = self._new_workers(key, host, 1)
            self._put(key, Replacement(new))
            lost.append((new, Opened()))
        return lost

    def _welcome(self, key: bytes, body: bytes) -> Iterable[tuple[int, Content]]:
        """Answer the first message of a host."""
        try:
            (hello,) = msgspec.msgpack.decode(body, type=tuple[Hello])
        except msgspec.MsgspecError:
            hello = Hello(version="another version", python="", created=0.0)
        if self._is_closing or (refusal := self._refusal(hello)):
            self._put(key, Farewell("" if self._is_closing else refusal))
            return ()
        host = self._hosts[key] = ClusterHost(one_line(hello.name, 100))
        workers = self._new_workers(key, host, hello.slots)
        setup = self._opening.setup
        seconds = max(setup.progress_seconds, len(self._key_of) / PROGRESS_A_SECOND)
        setup = msgspec.structs.replace(setup, progress_seconds=seconds)
        self._put(key, Welcome(msgspec.structs.replace(self._opening, setup=setup), workers))
        return [(worker, Opened()) for worker in workers]

    def _refusal(self, hello: Hello) -> str:
        if hello.version != __version__:
            return (
                f"the driver runs ashtune {__version__}, and this worker {one_line(hello.version, 40)}; use one version"
            )
        if hello.python != python_version():
            return f"the driver runs {python_version()}, and this worker {one_line(hello.python, 40)}; use one version"
        if hello.created != self._opening.created:
            return "the driver runs another study, of which this directory is a copy; give the directory of the study"
        return ""

    def _new_workers(self, key: bytes, host: ClusterHost, number: int) -> list[WorkerId]:
        workers = [WorkerId(next(self._numbers)) for _ in range(number)]
        host.peers.update(workers)
        self._key_of.update(dict.fromkeys(workers, key))
        return workers

    def _forget(self, peer: int) -> ClusterHost | None:
        key = self._key_of.pop(peer, b"")
        if (host := self._hosts.get(key)) is not None:
            host.peers.discard(peer)
        return host

    def send(self, peer: int, message: Assignment | Release | Pause) -> None:
        """Queue a message to a worker until the next call of :meth:`flush`."""
        if (key := self._key_of.get(peer)) is not None:
            self._put(key, message)

    def _put(self, key: bytes, message: ToHost) -> None:
        self._outboxes.setdefault(key, []).append(message)

    def flush(self) -> None:
        """Send the queued messages."""
        for key, messages in self._outboxes.items():
            self._send(key, self._encode(messages))
        self._outboxes.clear()

    def _send(self, key: bytes, body: bytes) -> None:
        try:
            self._router.send_multipart([key, body], zmq.NOBLOCK)
        except zmq.ZMQError:  # the connection is lost
            if (host := self._hosts.get(key)) is not None:
                self.failed |= host.peers

    def rest(self, seconds: float, *, after_events: bool = False) -> None:
        """Wait until a message from a host may have arrived, but at most ``seconds``."""
        if not after_events:
            ready = self._poller.poll(math.ceil(1000 * max(0.0, min(seconds, PING_SECONDS))))
            if any(who is self._doorkeeper for who, _ in ready):
                self._admit()

    def close(self, peer: int) -> None:
        """Tell the host of a worker that the study is over."""
        self._is_closing = True
        if (key := self._key_of.get(peer)) is not None:
            self._outboxes[key] = [Farewell()]  # the other messages are useless now

    def give_up(self, peer: int) -> None:
        """Ignore a worker from now on. Unless the worker's host leaves in order, give up all workers of the host."""
        key = self._key_of.get(peer, b"")
        self.failed.discard(peer)
        if (host := self._forget(peer)) is None:
            return
        if not host.is_leaving:
            host.is_leaving = True
            self.failed |= host.peers
            self._outboxes[key] = [Farewell("the driver has given up this worker; see the driver's output")]
        elif not host.peers:
            self._put(key, Farewell())
        if not host.peers:
            del self._hosts[key]
