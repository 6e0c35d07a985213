"""What a driver does with hosts without the keys, hosts of another kind,
and hosts that misbehave.
"""

import errno
import os
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

import ashtune
from ashtune._src.core.errors import SettingsError, StudyError
from ashtune._src.core.events import WorkerJoined, WorkerLost
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.orders import Pause
from ashtune._src.core.version import __version__
from ashtune._src.driver.study_options import flat
from ashtune._src.engines.cluster import host as cluster_host
from ashtune._src.engines.cluster.cluster_driver import Cluster, ClusterWorkers, check_installed
from ashtune._src.engines.cluster.cluster_messages import (
    Farewell,
    Hello,
    Replacement,
    ToHost,
    Welcome,
    python_version,
)
from ashtune._src.engines.cluster.host import connected, find
from ashtune._src.engines.cluster.link import HANDSHAKE_MILLISECONDS
from ashtune._src.engines.cluster.rendezvous import NAME, Rendezvous
from ashtune._src.engines.cluster.wire import FRAME_BYTES, Outbox, Socket
from ashtune._src.engines.distributed import Closed, DistributedWorkers, Leaving
from ashtune._src.engines.engine_registry import choose_engine
from ashtune._src.engines.files import Chunk
from ashtune._src.engines.stop import StopSwitch
from ashtune._src.study.disk import DISK, PIECE_BYTES
from ashtune.testing.engine_suite import EngineHarness, count, open_harness

SECONDS = 30.0
GREETING = bytes([0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1]) + b"CURVE".ljust(20, b"\0") + bytes(32)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "study"


@pytest.fixture
def harness(study: Path) -> Iterator[EngineHarness]:
    harness = open_harness(Cluster(), study, count, 0)
    yield harness
    assert isinstance(harness.workers, ClusterWorkers)
    harness.workers.close()


class MockHost:
    """A host that says what a test has it say."""

    def __init__(self, study: Path, harness: EngineHarness, dealer: Socket) -> None:
        self._study = study
        self._harness = harness
        self.dealer = dealer
        self._decode = msgspec.msgpack.Decoder(list[ToHost]).decode
        self._heard: list[ToHost] = []

    def say(self, *messages: Any) -> None:
        self.dealer.send(msgspec.msgpack.encode(messages))

    def hello(self, **changes: Any) -> Any:
        """Say hello, and return the answer of the driver."""
        hello = Hello(__version__, python_version(), name="a test", mark=".host-" + 32 * "0")
        (self._study / str(hello.mark)).touch()
        self.say(msgspec.structs.replace(hello, **changes))
        return self.hear()

    def hear(self) -> ToHost:
        until = time.monotonic() + SECONDS
        while not self._heard:
            assert time.monotonic() < until, "the driver says nothing"
            self._harness.workers.wait(self._harness.workers.now() + 0.01)
            self.receive()
        return self._heard.pop(0)

    def receive(self) -> None:
        """Receive what has arrived. A host that never does so for half a minute loses its
        connection: the driver's pings fill its queue, and ZeroMQ then reads no heartbeat either.
        """
        while self.dealer.poll(0):
            frames = self.dealer.recv_multipart()
            if frames[0]:
                self._heard += self._decode(b"".join(frames))

    def joins(self) -> WorkerId:
        """Say hello, let the first worker join, and return the worker."""
        (worker, *_) = self.hello().workers
        self.say(WorkerJoined(0, worker, 1, "here"))
        assert self._harness.next(WorkerJoined).worker == worker
        return WorkerId(worker)


@pytest.fixture
def host(study: Path, harness: EngineHarness) -> Iterator[MockHost]:
    found, _ = find(study)
    assert found is not None
    with connected(found) as (dealer, _):
        yield MockHost(study, harness, dealer)


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"version": "0.0.1"}, "0.0.1"), ({"python": "cpython 2.7"}, "cpython 2.7")],
)
def test_an_incompatible_host_is_refused_in_one_line(
    changes: dict[str, Any], why: str, host: MockHost
) -> None:
    farewell = host.hello(**changes)
    assert isinstance(farewell, Farewell)
    assert why in farewell.reason
    assert "\n" not in farewell.reason


def test_a_host_whose_first_message_is_not_hello_is_refused(host: MockHost) -> None:
    host.say({"event": "hello", "of": "the future"})
    assert isinstance(host.hear(), Farewell)


def test_a_new_worker_gets_an_unused_number(host: MockHost, harness: EngineHarness) -> None:
    welcome = host.hello(slots=3)
    assert isinstance(welcome, Welcome)
    assert welcome.workers == [0, 1, 2]
    host.say(WorkerLost(time=0, worker=WorkerId(1), reason="it fell"))
    assert host.hear() == Replacement(WorkerId(3))
    host.say(WorkerJoined(0, WorkerId(3), 1, "here"))
    assert harness.next(WorkerJoined).worker == 3


@pytest.mark.parametrize(
    "said", [b"garbage", b"", msgspec.msgpack.encode([{"event": "worker_joined"}])]
)
def test_only_the_host_that_sends_a_malformed_message_is_dropped(
    said: bytes, host: MockHost, harness: EngineHarness, study: Path
) -> None:
    found, _ = find(study)
    assert found is not None
    with connected(found) as (dealer, _):
        other = MockHost(study, harness, dealer)
        worker = other.joins()
        dealer.send(said)
        assert harness.next(WorkerLost).worker == worker
        assert isinstance(other.hear(), Farewell)
    assert host.joins() > worker


def test_a_host_cannot_send_events_for_the_workers_of_other_hosts(
    host: MockHost, harness: EngineHarness, study: Path
) -> None:
    worker = host.joins()
    found, _ = find(study)
    assert found is not None
    with connected(found) as (dealer, _):
        other = MockHost(study, harness, dealer)
        other.hello()
        other.say(WorkerLost(time=0, worker=worker, reason="by somebody else"))
        other.say(Leaving())
        assert isinstance(other.hear(), Farewell)
    assert not [event for event in harness.history if isinstance(event, WorkerLost)]


def test_the_driver_releases_a_leaving_host_when_its_last_worker_dies(
    host: MockHost, harness: EngineHarness
) -> None:
    worker = host.joins()
    harness.train(worker, 0)
    host.hear()
    host.say(Leaving())
    assert host.hear() == Pause(worker, TrialId(0))
    host.say(WorkerLost(time=0, worker=worker, reason="it fell"))
    assert host.hear() == Farewell()
    host.say(Leaving())
    assert host.hear() == Farewell(), "as often as it asks"


def test_the_driver_keeps_the_last_files_of_a_leaving_host(
    host: MockHost, harness: EngineHarness, study: Path
) -> None:
    worker = host.joins()
    host.say(Leaving())
    assert host.hear() == Farewell()
    outbox = Outbox()
    outbox.put_chunks(iter([Chunk(f"logs/worker-{worker}.log", b"last words", appended=True)]))
    outbox.put(Closed())
    outbox.flush(host.dealer)
    until = harness.workers.now() + SECONDS
    while not (log := study / "logs" / f"worker-{worker}.log").exists():
        assert harness.workers.now() < until
        harness.workers.wait(harness.workers.now() + 0.01)
    assert log.read_bytes() == b"last words"


@pytest.mark.parametrize("is_sudden", [False, True])
def test_the_driver_forgets_a_host_that_has_left(
    is_sudden: bool, harness: EngineHarness, study: Path
) -> None:
    found, _ = find(study)
    assert found is not None
    with connected(found) as (dealer, _):
        host = MockHost(study, harness, dealer)
        host.joins()
        host.say(Leaving())
        assert host.hear() == Farewell()
        if not is_sudden:
            host.say(Closed())
    assert isinstance(harness.workers, ClusterWorkers)
    until = harness.workers.now() + SECONDS
    while harness.workers._hosts._hosts:
        assert harness.workers.now() < until
        harness.workers.wait(harness.workers.now() + 0.01)


def test_a_host_that_disconnects_after_its_first_message_counts_as_lost(
    harness: EngineHarness, study: Path
) -> None:
    found, _ = find(study)
    assert found is not None
    with connected(found) as (dealer, _):
        worker = MockHost(study, harness, dealer).joins()
    assert harness.next(WorkerLost).worker == worker


def client(found: Rendezvous, context: "zmq.Context[Socket]", **keys: bytes) -> Socket:
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.LINGER, 0)
    if keys:
        dealer.curve_serverkey = keys.get("driver", found.driver_key.encode())
        dealer.curve_publickey, dealer.curve_secretkey = keys["public"], keys["secret"]
    dealer.connect(found.addresses[0])
    return dealer


@pytest.mark.parametrize("kind", ["without keys", "own keys", "wrong driver's key"])
def test_the_driver_sends_no_data_to_a_client_without_the_keys(
    kind: str, host: MockHost, harness: EngineHarness, study: Path
) -> None:
    found, _ = find(study)
    assert found is not None
    public, secret = zmq.curve_keypair()
    keys = {"without keys": {}, "own keys": {"public": public, "secret": secret}}.get(kind)
    if keys is None:
        keys = {
            "driver": public,
            "public": found.host_key.encode(),
            "secret": found.host_secret.encode(),
        }
    with zmq.Context() as context:
        stranger = client(found, context, **keys)
        stranger.send(msgspec.msgpack.encode([Hello(__version__, python_version())]))
        host.joins()
        until = harness.workers.now() + 0.5
        while harness.workers.now() < until:
            assert not harness.workers.wait(until)
        assert not stranger.poll(0)
        stranger.close()


@pytest.mark.parametrize("connections", [300, pytest.param(10_000, marks=pytest.mark.thorough)])
def test_invalid_data_from_unknown_connections_does_not_disturb_the_driver(
    connections: int, host: MockHost, harness: EngineHarness, study: Path
) -> None:
    found, _ = find(study)
    assert found is not None
    worker = host.joins()
    name, _, port = found.addresses[0].removeprefix("tcp://").rpartition(":")
    said = [
        b"",
        os.urandom(200),
        GREETING,
        GREETING + b"\x06" + (1 << 62).to_bytes(8, "big"),
        GREETING + os.urandom(300),
    ]
    held: list[socket.socket] = []
    for number in range(connections):
        connection = socket.create_connection((name, int(port)))
        connection.sendall(said[number % len(said)])
        held.append(connection)
        if len(held) == 200:
            held.pop(0).close()
        if number % 50 == 0:
            harness.workers.wait(harness.workers.now())
            host.receive()
    harness.train(worker, 0)
    assert type(host.hear()).__name__ == "Assignment"
    for connection in held:
        connection.close()
    assert not [event for event in harness.history if not isinstance(event, WorkerJoined)]


def test_a_client_without_keys_cannot_fill_the_memory_of_the_driver(
    harness: EngineHarness, study: Path
) -> None:
    found, _ = find(study)
    assert found is not None
    name, _, port = found.addresses[0].removeprefix("tcp://").rpartition(":")
    with socket.create_connection((name, int(port)), HANDSHAKE_MILLISECONDS / 2000) as connection:
        connection.sendall(GREETING + b"\x06" + (3 * FRAME_BYTES).to_bytes(8, "big"))
        with suppress(ConnectionResetError):
            while connection.recv(4096):
                # its greeting; a timeout means that the driver waits for the rest of the frame
                pass


def test_messages_may_be_larger_than_a_frame(host: MockHost, study: Path) -> None:
    outbox = Outbox()
    outbox.put(Hello(__version__, python_version(), name="x" * (3 * FRAME_BYTES)))
    outbox.put_chunks(iter([Chunk("logs/worker-0.log", b"y" * PIECE_BYTES, appended=True)]))
    outbox.put(Leaving())
    outbox.flush(host.dealer)
    while not isinstance(heard := host.hear(), Farewell):
        pass  # the welcome, if the driver answers before the last frame arrives
    assert heard == Farewell(), "it is not refused"
    assert (study / "logs" / "worker-0.log").stat().st_size == PIECE_BYTES


def test_the_rendezvous_file_is_private_and_is_emptied_after_the_study(study: Path) -> None:
    harness = open_harness(Cluster(), study, count, 0)
    first = Rendezvous.read(study)
    assert first is not None
    assert stat.S_IMODE((study / NAME).stat().st_mode) == 0o600
    assert all(address.startswith("tcp://127.0.0.1:") for address in first.addresses)
    assert isinstance(harness.workers, ClusterWorkers)
    harness.workers.close()
    assert Rendezvous.read(study) == Rendezvous()
    second = open_harness(Cluster(interface="*"), study, count, 0)
    found = Rendezvous.read(study)
    assert isinstance(second.workers, ClusterWorkers)
    second.workers.close()
    assert found is not None
    assert found.host_secret != first.host_secret
    assert len(found.addresses) >= len(first.addresses)
    assert found.addresses[-1].startswith("tcp://127."), (
        "other machines try their own loopback last"
    )


DAMAGED = {
    "no JSON": "[",
    "no key": '{"driver_key": "k"}',
    "no port": '{"addresses": ["tcp://127.0.0.1:x"]}',
}


def test_connections_are_closed_even_if_closing_the_study_fails(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = open_harness(Cluster(), study, count, 0)
    found = Rendezvous.read(study)
    assert found is not None
    monkeypatch.setattr(DistributedWorkers, "close", lambda *_, **__: 1 / 0)
    assert isinstance(harness.workers, ClusterWorkers)
    with pytest.raises(ZeroDivisionError):
        harness.workers.close()
    name, _, port = found.addresses[0].removeprefix("tcp://").rpartition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((name, int(port)))


@pytest.mark.parametrize("harm", ["others read it", "a link", "a folder", *DAMAGED])
def test_an_unsafe_or_damaged_rendezvous_file_is_refused(harm: str, tmp_path: Path) -> None:
    Rendezvous(addresses=["tcp://127.0.0.1:1"]).write(tmp_path)
    path = tmp_path / NAME
    if harm == "others read it":
        path.chmod(0o640)
    elif harm in DAMAGED:
        path.write_text(DAMAGED[harm])
    else:
        path.rename(tmp_path / "other")
        path.mkdir() if harm == "a folder" else path.symlink_to(tmp_path / "other")
    with pytest.raises(StudyError) as refusal:
        Rendezvous.read(tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_rendezvous_file_replaced_during_reading_counts_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Rendezvous().write(tmp_path)

    def stale(*_: Any) -> bytes:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(type(DISK), "read", stale)
    assert Rendezvous.read(tmp_path) is None


def test_an_installation_of_pyzmq_without_encryption_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(zmq, "has", lambda _: False)
    with pytest.raises(SettingsError, match="CURVE"):
        check_installed()


def test_a_host_keeps_running_if_its_error_output_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stderr = os.fdopen(writer, "w")
    monkeypatch.setattr(sys, "stderr", stderr)
    cluster_host.Slots().say("to nobody")
    with suppress(BrokenPipeError):
        stderr.close()
    cluster_host.Slots().say("to a closed stream")


def test_a_host_names_the_address_that_refused_the_connection(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        Rendezvous(addresses=[f"tcp://127.0.0.1:{port}"]).write(tmp_path)
        found, why = find(tmp_path)
    assert found is None
    assert f"127.0.0.1:{port} Connection refused" in why


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EACCES])
def test_a_temporary_network_file_system_error_does_not_end_a_host(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stat(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stat)
        found = find(tmp_path / "study")
    assert found == (None, "the folder does not exist")


def test_a_host_tries_the_second_address_when_the_first_is_wrong(
    harness: EngineHarness, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_host, "WELCOME_SECONDS", 0.1)
    monkeypatch.setattr(cluster_host, "AGAIN_SECONDS", 0.01)
    found = Rendezvous.read(study)
    assert found is not None
    with socket.create_server(("127.0.0.1", 0)) as other, StopSwitch() as stop:
        wrong = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        msgspec.structs.replace(found, addresses=[wrong, *found.addresses]).write(study)
        host = threading.Thread(target=cluster_host.serve, args=(study, cluster_host.Slots(), stop))
        host.start()
        try:
            harness.next(WorkerJoined)
        finally:
            stop.signals.append(signal.SIGTERM)
            assert isinstance(harness.workers, ClusterWorkers)
            harness.workers.close()
            host.join(SECONDS)


def test_a_cluster_engine_given_as_object_or_text_keeps_its_options() -> None:
    engine = Cluster(workers=4, interface="lo", trial_timeout="10m")
    assert flat({"engine": engine}) == {"engine": engine, "workers": 4, "trial_timeout": "10m"} | {
        "checkpoints": "files", "on_out_of_memory": "fail", "processes_per_trial": 1,
        "profile": False
    }  # fmt: skip
    assert choose_engine(engine) is engine
    named = choose_engine("cluster:interface=lo:no_workers_for=10m")
    assert named == Cluster(interface="lo", no_workers_for="10m")


@pytest.mark.parametrize(
    "text",
    [
        *("cluster:face=lo", "cluster:workers=3", "local:interface=lo", "cluster:interface"),
        *("cluster:interface=lo:interface=lo", "mpi:", "mpi:interface=lo"),
    ],
)
def test_an_option_that_an_engine_does_not_have_is_refused(text: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        choose_engine(text)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "engine",
    [
        Cluster(interface="none0"),
        Cluster(interface="0.0.0.0"),
        Cluster(no_workers_for="soon"),
        "cluster:no_workers_for=-1",
    ],
)
def test_wrong_cluster_options_are_refused_before_a_study_is_made(engine: Any, study: Path) -> None:
    with pytest.raises(SettingsError):
        ashtune.tune(
            count, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=2, max_resource=2,
            engine=engine,
            directory=study, quiet=True,
        )  # fmt: skip
    assert not study.exists()


@pytest.mark.parametrize("number", [50, pytest.param(1_000, marks=pytest.mark.thorough)])
def test_a_driver_can_handle_many_hosts_that_join_and_are_lost(
    number: int, harness: EngineHarness, study: Path
) -> None:
    found, _ = find(study)
    assert found is not None
    keys = {"public": found.host_key.encode(), "secret": found.host_secret.encode()}
    with zmq.Context() as context:
        context.set(zmq.MAX_SOCKETS, 2 * number + 10)
        hosts = [MockHost(study, harness, client(found, context, **keys)) for _ in range(number)]
        workers = [host.joins() for host in hosts]
        assert sorted(workers) == list(range(number))
        for worker in workers:
            harness.train(worker, worker)
        for host, worker in zip(hosts, workers, strict=True):
            assignment: Any = host.hear()
            assert (assignment.worker, assignment.trial) == (worker, worker)
        context.destroy(linger=0)
    assert {harness.next(WorkerLost).worker for _ in workers} == set(workers)
