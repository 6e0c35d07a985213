"""The driver's end of the connections to the hosts of a cluster, over ZeroMQ.

Rule 1: a host proves by CURVE that it has the keys of the rendezvous file, before any of its
messages is read.
Rule 2: a connection that is lost is never resumed, because messages may be missing. The host
connects again as a new host.
Rule 3: if a host sends an invalid message, the driver gives up the host with all its workers. A
worker's message counts only if it comes from the worker's own host.
"""

# Theory of operation
# -------------------
# The driver's thread calls everything here: DistributedWorkers calls receive(), flush() and rest()
# in turn. A host has one connection for all its workers; each worker is a peer, whose number is the
# worker's.
#
#   state of a host   begins when                       ends when
#   ----------------  --------------------------------  -----------------------------------------
#   unknown           its connection has the keys       Hello: Welcome with numbers, or Farewell
#                                                       with the reason to refuse it
#   at work           Welcome is queued                 Leaving, Closed, Unable, or give_up()
#   leaving           Leaving; from then on, lost       its last worker is forgotten: Farewell
#                     workers get no replacement
#
# What happens when
#
#   a host dies          every PING_SECONDS, _ping() sends each host an empty message. MANDATORY
#                        makes this an error if there is no connection. All workers of the host are
#                        then in ``failed``, and DistributedWorkers gives each of them up.
#   its network is cut   the heartbeats of ZeroMQ (``wire.py``) end a connection without an answer;
#                        then as above.
#   a worker dies        its host sends WorkerLost. The old peer is closed, and the host gets a new
#                        number: the driver counts, so that no two hosts ever use the same one.
#   a host receives      its messages stay in its outbox, and chunks on the disk. Other hosts do not
#   slowly               wait for it.
#   a stranger connects  _admit() answers ZeroMQ's question about its key. Before that, ZeroMQ keeps
#                        at most a frame of MAXMSGSIZE bytes.
#   the driver restarts  it has new keys, so no message of an old connection can reach it. The hosts
#                        read the new rendezvous (``host.py``).
#
# Why is a lost connection never resumed? ZeroMQ could resume it, but messages that were being sent
# would be lost, and a job among them would wait forever.
#
# Decision 73 (docs/decisions/0073-workers-that-come-and-go.md).

import math
import resource
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import zmq
from zmq.utils import z85

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.events import WorkerLost
from ashtune._src.core.jobs import WorkerId
from ashtune._src.core.plaintext import one_line, shown
from ashtune._src.core.version import __version__
from ashtune._src.engines.cluster.cluster_messages import (
    Farewell,
    FromHost,
    Hello,
    Replacement,
    Welcome,
    python_version,
)
from ashtune._src.engines.cluster.rendezvous import Rendezvous
from ashtune._src.engines.cluster.wire import (
    FRAME_BYTES,
    ROOM_MILLISECONDS,
    SOCKET_OPTIONS,
    Outbox,
    Socket,
    is_chunk,
)
from ashtune._src.engines.distributed import Closed, FromPeer, Leaving, Malformed, Opened, Unable
from ashtune._src.engines.files import (
    CheckpointLocations,
    Chunk,
    ChunkError,
    FileReceiver,
    FileSender,
)
from ashtune._src.engines.opening import Opening
from ashtune._src.study.disk import DISK
from ashtune._src.training.worker_messages import TrialOrder

ALL = "*"
LOOPBACK = "127.0.0.1"
MOST_AT_ONCE = 512
PING_SECONDS = 0.5
HOSTS_A_PING_SECOND = 500
HANDSHAKE_MILLISECONDS = 5_000


def listen(router: Socket, interface: str) -> list[str]:
    """Bind a socket to a network interface, to all interfaces, or to loopback, and return the
    addresses.

    Raises:
        SettingsError: If this machine has no such interface, or the interface has no address.
    """
    there = [name for _, name in socket.if_nameindex()]
    addresses = []
    why = "no such interface"
    for name in there if interface == ALL else {interface or LOOPBACK} & {LOOPBACK, *there}:
        try:
            router.bind(f"tcp://{name}:*")
        except zmq.ZMQError as error:
            why = str(error)
        else:
            addresses.append(router.getsockopt_string(zmq.LAST_ENDPOINT))
    if not addresses:
        raise SettingsError(
            f"interface={shown(interface)} cannot be used ({why}); give one of {', '.join(there)} "
            f"or '{ALL}'"
        )
    # other machines do not reach these
    return sorted(addresses, key=lambda address: address.startswith("tcp://127."))


class ClusterHost:
    """The driver's record of a host: its connection, its name, its workers, and what waits to be
    sent.

    If ``has_directory``, the host sees the study's directory.
    """

    def __init__(self, key: bytes, name: str = "", *, has_directory: bool = True) -> None:
        self.key = key
        self.name = name
        self.has_directory = has_directory
        self.peers: set[int] = set()
        self.is_leaving = False
        self.outbox = Outbox()


class ClusterLink:
    """Connects the driver to hosts, which come and leave. ``opening`` has the number of the first
    worker.
    """

    transport = "ZeroMQ"

    def __init__(self, opening: Opening, interface: str) -> None:
        self._opening = opening
        self._study = Path(opening.setup.study)
        self._worker_numbers = count(opening.setup.worker)
        self._hosts: dict[bytes, ClusterHost] = {}
        self._host_of: dict[int, ClusterHost] = {}
        self._to_flush: dict[bytes, ClusterHost] = {}
        self._sender = FileSender(self._study)
        self._receiver = FileReceiver(self._study)
        self.store = CheckpointLocations(self, self._study, self._receiver, self._place_of)
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
        # ZeroMQ asks here about each connection: RFC 27
        self._doorkeeper.bind("inproc://zeromq.zap.01")
        for option, value in (
            (zmq.CURVE_SERVER, 1),
            (zmq.ROUTER_MANDATORY, 1),  # sending to a host without connection is an error
            # of a frame; ZeroMQ holds a frame in memory before it asks for the keys
            (zmq.MAXMSGSIZE, 2 * FRAME_BYTES),
            (zmq.HANDSHAKE_IVL, HANDSHAKE_MILLISECONDS),
            *SOCKET_OPTIONS,
        ):
            self._router.setsockopt(option, value)
        self._router.curve_secretkey = driver_secret
        self._router.curve_publickey = driver_key
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
        host = self._host_of.get(peer)
        if host is None:
            return f"worker {peer}"
        return f"worker {peer} of {host.name}"

    def may_join(self, peer: int, worker: WorkerId) -> bool:
        """Return whether a worker belongs to a peer. A peer has the number of its only worker."""
        return worker == peer

    def _place_of(self, peer: int) -> bytes | None:
        """Return the key of a worker's host, or None if the host sees the study's directory."""
        host = self._host_of.get(peer)
        if host is None or host.has_directory:
            return None
        return host.key

    def receive(self) -> Sequence[FromPeer]:
        """Return the new messages of all hosts.

        When this call returns a message, all files that the host sent before it are already
        written.
        """
        arrived: list[FromPeer] = []
        with suppress(zmq.Again):
            while len(arrived) < MOST_AT_ONCE:
                key, *frames = self._router.recv_multipart(zmq.NOBLOCK)
                arrived += self._read(key, frames)
        now = time.monotonic()
        if now >= self._next_ping:
            self._next_ping = now + max(PING_SECONDS, len(self._hosts) / HOSTS_A_PING_SECOND)
            self._admit()
            for host in list(self._hosts.values()):
                self._ping(host)
        return arrived

    def _admit(self) -> None:
        """Answer ZeroMQ's questions whether a client with a public key may connect."""
        with suppress(zmq.Again):
            while True:
                version, request, _, _, _, _, *credentials = self._doorkeeper.recv_multipart(
                    zmq.NOBLOCK
                )
                status = b"200" if credentials == [self._host_key] else b"400"
                self._doorkeeper.send_multipart([version, request, status, b"", b"", b""])

    def _ping(self, host: ClusterHost) -> None:
        try:
            self._router.send_multipart([host.key, b""], zmq.NOBLOCK)
        except zmq.Again:
            pass  # it receives slowly
        except zmq.ZMQError:  # it has no connection
            self.failed |= host.peers
            if not host.peers:
                del self._hosts[host.key]

    def _read(self, key: bytes, frames: Sequence[bytes]) -> Iterable[FromPeer]:
        host = self._hosts.get(key)
        if host is None:
            return self._welcome(key, b"".join(frames))
        try:
            body = b"".join(frames)
            if not is_chunk(frames):
                return [
                    item for message in self._decode(body) for item in self._sort(host, message)
                ]
            self._receiver.take_encoded(body)
            return ()
        except (msgspec.MsgspecError, ChunkError) as error:
            return [(peer, Malformed(str(error))) for peer in host.peers]

    def _sort(self, host: ClusterHost, message: FromHost) -> Iterable[FromPeer]:
        """Return the meaning of a host's message for each worker of the host."""
        match message:
            case Hello():
                return [(peer, Malformed("it sent its first message twice")) for peer in host.peers]
            case Leaving():
                host.is_leaving = True
                if not host.peers:
                    self._bid_farewell(host)
                return [(peer, message) for peer in host.peers]
            case Closed() | Unable():
                peers = sorted(host.peers)
                for peer in peers:
                    self._forget(peer)
                self._hosts.pop(host.key, None)
                # so that the user reads the reason once
                why = [(peer, message) for peer in peers[:1]]
                return [*why, *((peer, Closed()) for peer in peers)]
        peer = message.worker
        if peer not in host.peers:
            return ()  # the worker was given up before, or belongs to another host
        if not isinstance(message, WorkerLost):
            return ((peer, message),)
        self._forget(peer)
        lost: list[FromPeer] = [(peer, message), (peer, Closed())]
        if not host.is_leaving:
            (new,) = self._new_workers(host, 1)
            self._put(host, Replacement(new))
            lost.append((new, Opened()))
        elif not host.peers:
            self._bid_farewell(host)
        return lost

    def _welcome(self, key: bytes, body: bytes) -> Iterable[FromPeer]:
        """Answer the first message of a host."""
        try:
            (hello,) = msgspec.msgpack.decode(body, type=tuple[Hello])
        except msgspec.MsgspecError:
            hello = Hello(version="another version", python="")
        refusal = _refusal(hello)
        if self._is_closing:
            refusal = ""
        if self._is_closing or refusal:
            self._put(ClusterHost(key), Farewell(refusal))
            return ()
        has_directory = self._has(hello.mark)
        host = self._hosts[key] = ClusterHost(
            key, one_line(hello.name, 100), has_directory=has_directory
        )
        workers = self._new_workers(host, hello.slots)
        if not has_directory:
            host.outbox.put_chunks(self._sender.needed())
        self._put(host, Welcome(self._opening.among(len(self._host_of)), workers, has_directory))
        return [(worker, Opened()) for worker in workers]

    def _has(self, mark: str | None) -> bool:
        """Return whether a host's mark is in the study's directory, and delete the mark."""
        with suppress(OSError):
            if mark is not None:
                DISK.unlink(f"{self._study}/{mark}")
                return True
        return False

    def _new_workers(self, host: ClusterHost, number: int) -> list[WorkerId]:
        workers = [WorkerId(next(self._worker_numbers)) for _ in range(number)]
        host.peers.update(workers)
        self._host_of.update(dict.fromkeys(workers, host))
        return workers

    def _forget(self, peer: int) -> ClusterHost | None:
        host = self._host_of.pop(peer, None)
        if host is not None:
            host.peers.discard(peer)
        return host

    def send(self, peer: int, message: TrialOrder) -> None:
        """Queue a message to a worker until the next call of :meth:`flush`."""
        host = self._host_of.get(peer)
        if host is not None:
            self._put(host, message)

    def _put(self, host: ClusterHost, message: Any) -> None:
        host.outbox.put(message)
        self._to_flush[host.key] = host

    def put(self, key: bytes, message: Any) -> None:
        """Queue a message to a host, unless the host has left."""
        host = self._hosts.get(key)
        if host is not None:
            self._put(host, message)

    def put_chunks(self, key: bytes, chunks: Iterator[Chunk]) -> None:
        """Queue the chunks of a file to a host, unless the host has left."""
        host = self._hosts.get(key)
        if host is not None:
            host.outbox.put_chunks(chunks)
            self._to_flush[key] = host

    def flush(self) -> None:
        """Send the queued messages. If there is no room for a message, a later call sends the
        message.
        """
        for host in list(self._to_flush.values()):
            try:
                host.outbox.flush(self._router, host.key)
            except zmq.Again:
                continue
            except zmq.ZMQError:  # it has no connection
                self.failed |= host.peers
            del self._to_flush[host.key]

    def rest(self, seconds: float, *, after_events: bool = False) -> None:
        """Wait until a message from a host may have arrived, but at most ``seconds``."""
        if not after_events:
            most = math.ceil(1000 * max(0.0, min(seconds, PING_SECONDS)))
            if self._to_flush:
                most = min(most, ROOM_MILLISECONDS)
            ready = self._poller.poll(most)
            if any(who is self._doorkeeper for who, _ in ready):
                self._admit()

    def close(self, peer: int) -> None:
        """Tell the host of a worker that the study is over."""
        self._is_closing = True
        host = self._host_of.get(peer)
        if host is not None:
            self._bid_farewell(host)

    def give_up(self, peer: int) -> None:
        """Ignore a worker from now on. Give up all other workers of the worker's host too. If the
        host is leaving, do not give up these other workers.
        """
        self.failed.discard(peer)
        host = self._forget(peer)
        if host is None:
            return
        if not host.is_leaving:
            host.is_leaving = True
            self.failed |= host.peers
            self._hosts.pop(host.key, None)
            self._bid_farewell(host, "the driver dropped this worker; see the driver's output")
        elif not host.peers and host.key in self._hosts:
            self._bid_farewell(host)  # its last files follow

    def _bid_farewell(self, host: ClusterHost, reason: str = "") -> None:
        host.outbox.clear()  # the other messages are useless now
        self._put(host, Farewell(reason))


def _refusal(hello: Hello) -> str:
    for what, mine, other in (
        ("ashtune ", __version__, hello.version),
        ("", python_version(), hello.python),
    ):
        if mine != other:
            return (
                f"the driver runs {what}{mine}, and this worker {one_line(other, 40)}; use the "
                "same version"
            )
    return ""
