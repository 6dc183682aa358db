"""A connection to an address: trust, clear errors, and surviving a server that goes away or falls silent."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pachyderm_sdk.api import pfs
from served import Served

from cli.failures import report
from pachyderm.client import connection
from pachyderm.client.commits import head, history, inspect
from pachyderm.client.connection import Connection, Target, connect, translated
from pachyderm.client.files import files
from pachyderm.dag.repos import TRAINING
from pachyderm.dag.setup import check_set_up, set_up
from pachyderm.errors import ConflictError, RequestError, ServerError, UnreachableError
from pachyderm.protocol import channel, conflicts
from pachyderm.store.objects.engine import Engine
from pachyderm.store.rpc.routes import handlers

COMMIT = "0" * 12 + "4" + "0" * 19


def authority() -> tuple[bytes, bytes]:
    """A private key and its self-signed certificate for 127.0.0.1, in PEM format."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[Target, bytes]]:
    """A store served with TLS, and its certificate."""
    key, certificate = authority()
    server = grpc.server(ThreadPoolExecutor(8), handlers=handlers(Engine.open(tmp_path / "store", time.time)))
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
    server.start()
    yield Target(pachd=f"grpcs://127.0.0.1:{port}"), certificate
    server.stop(None).wait()


def test_a_custom_authority_is_trusted_by_every_connection(
    secured: tuple[Target, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, certificate = secured
    (tmp_path / "ca.crt").write_bytes(certificate)
    monkeypatch.setenv("PACH_ROOT_CERTS", str(tmp_path / "ca.crt"))
    with connect(target) as client:
        set_up(client)
        second = client.another()
        check_set_up(second)
        second.close()


def test_a_certificate_of_an_unknown_authority_is_refused_naming_the_setting(
    secured: tuple[Target, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.crt").write_bytes(authority()[1])
    monkeypatch.setenv("PACH_ROOT_CERTS", str(tmp_path / "ca.crt"))
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT", 1.0)
    with pytest.raises(UnreachableError, match=r"unknown authority \(PACH_ROOT_CERTS\)"), connect(secured[0]):
        pass


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "cannot be read: No such file"), (b"x", "contains no certificate")]
)
def test_an_unusable_file_of_authorities_is_reported(
    secured: tuple[Target, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, problem: str
) -> None:
    if content is not None:
        (tmp_path / "ca.crt").write_bytes(content)
    monkeypatch.setenv("PACH_ROOT_CERTS", str(tmp_path / "ca.crt"))
    with pytest.raises(RequestError, match=rf"PACH_ROOT_CERTS names .*ca\.crt, which {problem}"), connect(secured[0]):
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path / "store") as store:
        yield store


@pytest.fixture
def client(served: Served) -> Iterator[Connection]:
    with connect(Target(pachd=f"grpc://{served.address}")) as connected:
        set_up(connected)
        yield connected


def test_a_read_sent_while_pachyderm_is_away_is_answered_when_it_is_back(client: Connection, served: Served) -> None:
    before = head(client, TRAINING)
    served.leave(0.7)
    assert head(client, TRAINING) == before


def wait_in_thread(client: Connection, commit: str) -> tuple[threading.Thread, list[str]]:
    """Start a thread that waits for a commit of `training` to finish and appends its state to the list."""
    states: list[str] = []

    def wait() -> None:
        states.append(inspect(second, "training", commit, wait=True).state)
        second.close()

    second = client.another()
    thread = threading.Thread(target=wait)
    thread.start()
    return thread, states


def start_commit(client: Connection) -> str:
    return str(client.pfs.start_commit(branch=client.branch(TRAINING)).id)


def test_a_wait_for_a_commit_continues_after_an_absence(client: Connection, served: Served) -> None:
    commit = start_commit(client)
    thread, states = wait_in_thread(client, commit)
    served.until_waited_for()
    served.leave(0.7)
    assert inspect(client, "training", commit).state == "open"
    client.pfs.finish_commit(commit=client.commit("training", commit))
    thread.join(20)
    assert states == ["good"]


def test_a_write_sent_while_pachyderm_is_away_fails_at_once(served: Served) -> None:
    target = Target(pachd=f"grpc://{served.address}")
    with pytest.raises(UnreachableError, match=f"Pachyderm at {target} cannot be reached"), connect(target) as client:
        set_up(client)
        served.leave()
        try:
            start_commit(client)
        finally:
            served.come_back()


class Relay:
    """Forwards connections to an address until they fall silent: they stay open, but no more bytes pass."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._to = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._live: list[threading.Event] = []
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            there, silent = socket.create_connection(self._to), threading.Event()
            self._live.append(silent)
            self._ends += [here, there]
            for source, sink in ((here, there), (there, here)):
                threading.Thread(target=self._carry, args=(source, sink, silent), daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket, silent: threading.Event) -> None:
        try:
            while piece := source.recv(65536):
                if not silent.is_set():
                    sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def fall_silent(self) -> None:
        for silent in self._live:
            silent.set()

    def close(self) -> None:
        self._listener.close()
        for end in self._ends:
            end.close()


def test_a_silent_connection_is_noticed_and_the_read_repeated_on_another(
    client: Connection, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "KEEPALIVE_INTERVAL", 0.3)
    monkeypatch.setattr(channel, "KEEPALIVE_TIMEOUT", 0.3)
    commit = start_commit(client)
    relay = Relay(served.address)
    with connect(Target(pachd=f"grpc://{relay.address}")) as through:
        assert inspect(through, "training", commit).state == "open"
        relay.fall_silent()
        assert inspect(through, "training", commit).state == "open"
    relay.close()


@contextmanager
def serve(*others: grpc.GenericRpcHandler, **methods: grpc.RpcMethodHandler) -> Iterator[str]:
    """Serve methods of ``pfs_v2.API``, and other services; yields the address."""
    handlers = [grpc.method_handlers_generic_handler("pfs_v2.API", methods), *others]
    server = grpc.server(ThreadPoolExecutor(4), handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@contextmanager
def answering(answer: Callable[[grpc.ServicerContext], bytes]) -> Iterator[Connection]:
    """A connection to a server whose `InspectCommit` is `answer`."""
    method = grpc.unary_unary_rpc_method_handler(lambda _, context: answer(context))
    with serve(InspectCommit=method) as address, connect(Target(pachd=f"grpc://{address}")) as client:
        yield client


def test_a_message_of_pachds_maximum_size_arrives() -> None:
    response = bytes(pfs.CommitInfo(description="x" * (19 << 20)))
    with answering(lambda context: response) as client:
        assert len(client.pfs.inspect_commit(commit=client.commit("training", "0" * 32)).description) == 19 << 20


def test_the_size_of_a_commit_is_read_where_pachd_states_it() -> None:
    details = pfs.CommitInfoDetails(size_bytes=7)
    with answering(lambda context: bytes(pfs.CommitInfo(size_bytes_upper_bound=0, details=details))) as client:
        assert inspect(client, "training", COMMIT).bytes == 7


@pytest.mark.parametrize("text", ["0" * 32, "abc", "", "master", "a" * 12 + "4" + "a" * 20])
def test_a_text_that_is_no_commit_id_is_not_found_and_never_sent(text: str) -> None:
    """pachd takes it for a branch, and crashes serving the request if there is none."""

    def crash(context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.ABORTED, "panic: runtime error: invalid memory address")

    with answering(crash) as client, pytest.raises(RequestError, match=f"commit training@{text} not found"):
        inspect(client, "training", text)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
def test_a_read_that_meets_a_server_shutting_down_is_repeated(code: grpc.StatusCode) -> None:
    calls: list[float] = []

    def answer(context: grpc.ServicerContext) -> bytes:
        calls.append(time.monotonic())
        if len(calls) == 1:
            context.abort(code, "shutting down")
        return bytes(pfs.CommitInfo(description="here again"))

    with answering(answer) as client:
        assert client.pfs.inspect_commit(commit=client.commit("training", "0" * 32)).description == "here again"
    assert len(calls) == 2


class Listing:
    """A `ListCommit` that sends messages and fails, a number of times, and then succeeds."""

    def __init__(self, messages: int, failures: int = 1, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        self.calls = 0
        self._messages, self._failures, self._code = messages, failures, code

    def list_commit(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        self.calls += 1
        fails = self.calls <= self._failures
        for number in range(self._messages if fails else 3):
            yield bytes(pfs.CommitInfo(commit=pfs.Commit(id=f"{number:032}")))
        if fails:
            context.abort(self._code, "shutting down")

    @contextmanager
    def served(self) -> Iterator[Connection]:
        method = grpc.unary_stream_rpc_method_handler(self.list_commit)
        with serve(ListCommit=method) as address, connect(Target(pachd=f"grpc://{address}")) as client:
            yield client


LISTS: dict[str, Callable[[Connection], list[object]]] = {
    "ours": lambda client: list(history(client, TRAINING)),
    "of the SDK": lambda client: list(client.pfs.list_commit(repo=client.repo("training"))),
}


@pytest.mark.parametrize("read", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
def test_a_listing_that_meets_a_server_shutting_down_is_repeated(
    code: grpc.StatusCode, read: Callable[[Connection], list[object]]
) -> None:
    listing = Listing(messages=0, code=code)
    with listing.served() as client:
        assert len(read(client)) == 3
    assert listing.calls == 2


@pytest.mark.parametrize("read", LISTS.values(), ids=LISTS)
def test_a_listing_that_breaks_after_its_first_message_is_not_repeated(
    read: Callable[[Connection], list[object]],
) -> None:
    """The caller has those that came before, and would get them twice."""
    listing = Listing(messages=1)
    with pytest.raises(UnreachableError, match="shutting down"), listing.served() as client:
        read(client)
    assert listing.calls == 1


def test_a_read_is_given_up_after_the_last_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "open_channel", partial(channel.open_channel, read_pauses=(0.01, 0.02)))
    listing = Listing(messages=0, failures=9)
    with pytest.raises(UnreachableError, match="shutting down"), listing.served() as client:
        list(history(client, TRAINING))
    assert listing.calls == 3


def test_a_listing_that_is_cancelled_while_the_server_is_away_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "open_channel", partial(channel.open_channel, read_pauses=(600.0,)))
    listing = Listing(messages=0, failures=9)
    with pytest.raises(UnreachableError), listing.served() as client:
        stream = client.channel.unary_stream("/pfs_v2.API/ListCommit", bytes, bytes)(b"")
        timer = threading.Timer(0.3, stream.cancel)
        timer.start()
        next(stream)
    assert listing.calls == 1


def test_no_retry_policy_is_left_to_grpc() -> None:
    """With one, a stream whose server shuts down may wait forever."""
    assert not [name for name, _ in channel.channel_options() if "service_config" in name]


def test_a_write_that_a_server_broke_off_may_be_tried_again() -> None:
    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.CANCELLED, "")

    method = grpc.unary_unary_rpc_method_handler(answer)
    with (
        serve(FinishCommit=method) as address,
        pytest.raises(UnreachableError, match=f"Pachyderm at grpc://{address} broke the request off"),
        connect(Target(pachd=f"grpc://{address}")) as client,
    ):
        client.pfs.finish_commit(commit=client.commit("training", "0" * 32))


def test_a_write_that_a_server_refused_as_unavailable_is_sent_once() -> None:
    """A server may answer so after it has carried the request out."""
    calls: list[bytes] = []

    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        calls.append(request)
        context.abort(grpc.StatusCode.UNAVAILABLE, "shutting down")

    writes = ("StartCommit", "FinishCommit", "AddFileSet", "CreateBranch")
    methods = {name: grpc.unary_unary_rpc_method_handler(answer) for name in writes}
    with serve(**methods) as address, connect(Target(pachd=f"grpc://{address}")) as client:
        commit, branch = client.commit("training", "0" * 32), client.branch(TRAINING)
        for write in (
            lambda: client.pfs.start_commit(branch=branch),
            lambda: client.pfs.finish_commit(commit=commit),
            lambda: client.pfs.add_file_set(commit=commit, file_set_id="0" * 32),
            lambda: client.pfs.create_branch(branch=branch, head=commit),
        ):
            with pytest.raises(grpc.RpcError, match="shutting down"):
                write()
    assert len(calls) == len(writes)


@contextmanager
def impatient(address: str, read_timeout: float) -> Iterator[Connection]:
    """A connection whose reads time out after so many seconds."""

    def dial() -> Callable[[channel.Metadata], grpc.Channel]:
        return partial(channel.with_metadata, channel.open_channel(address, False, None, read_timeout))

    with translated(address):
        client = Connection(dial, "default", None)
        yield client
        client.close()


class SilentServer:
    """Accepts every request and never answers; a stream gets one message first. Released when the block ends."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.waiting = threading.Event()

    def _block(self) -> None:
        self.waiting.set()
        self.released.wait()

    def _inspect(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._block()
        return bytes(pfs.CommitInfo(description="late"))

    def _list(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield bytes(pfs.CommitInfo(commit=pfs.Commit(id="1" * 32), description="first"))
        self._block()

    def _walk(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield bytes(pfs.FileInfo(file=pfs.File(path="/first")))
        self._block()

    @contextmanager
    def serve(self) -> Iterator[str]:
        walk_file = grpc.unary_stream_rpc_method_handler(self._walk)
        inspect_commit = grpc.unary_unary_rpc_method_handler(self._inspect)
        list_commit = grpc.unary_stream_rpc_method_handler(self._list)
        get_version = grpc.unary_unary_rpc_method_handler(self._inspect)
        versions = grpc.method_handlers_generic_handler("versionpb_v2.API", {"GetVersion": get_version})
        with serve(versions, InspectCommit=inspect_commit, ListCommit=list_commit, WalkFile=walk_file) as address:
            try:
                yield address
            finally:
                self.released.set()


@pytest.mark.parametrize(
    "read",
    [
        lambda client: inspect(client, "training", COMMIT),
        lambda client: list(history(client, TRAINING)),
        lambda client: list(client.pfs.list_commit(repo=client.repo("training"))),
        lambda client: files(client, "training", COMMIT),
        lambda client: list(client.pfs.walk_file(file=client.file("training", COMMIT, "/"))),
        lambda client: client.get_version(),
    ],
    ids=[
        "a single response",
        "a stream",
        "a stream of the SDK",
        "a listing",
        "a listing of the SDK",
        "another service",
    ],
)
def test_a_read_that_gets_no_data_fails_as_unreachable(read: Callable[[Connection], object]) -> None:
    with (
        SilentServer().serve() as address,
        pytest.raises(UnreachableError, match=f"Pachyderm at {address} does not answer"),
        impatient(address, read_timeout=0.3) as client,
    ):
        read(client)


def test_a_listing_that_waits_ends_at_an_interrupt() -> None:
    server = SilentServer()

    def interrupt() -> None:
        server.waiting.wait()
        os.kill(os.getpid(), signal.SIGINT)

    # A shell starts background processes with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with server.serve() as address, impatient(address, read_timeout=60) as client:
            thread = threading.Thread(target=interrupt)
            thread.start()
            with pytest.raises(KeyboardInterrupt):
                files(client, "training", COMMIT)
            thread.join()
    finally:
        signal.signal(signal.SIGINT, before)


def test_listings_are_parsed_in_the_thread_that_reads_them_and_share_the_connection() -> None:
    threads, connections = [], set()

    def parse(message: bytes) -> bytes:
        threads.append(threading.current_thread())
        return message

    def list_files(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        connections.add(context.peer())
        yield from (b"1", b"2", b"3")

    def inspect_commit(request: bytes, context: grpc.ServicerContext) -> bytes:
        connections.add(context.peer())
        return b""

    listings = ("WalkFile", "GlobFile", "DiffFile")
    methods = {name: grpc.unary_stream_rpc_method_handler(list_files) for name in listings}
    unary = grpc.unary_unary_rpc_method_handler(inspect_commit)
    with serve(InspectCommit=unary, **methods) as address, connect(Target(pachd=f"grpc://{address}")) as client:
        inspect(client, "training", COMMIT)
        for name in listings:
            assert list(client.channel.unary_stream(f"/pfs_v2.API/{name}", bytes, parse)(b"")) == [b"1", b"2", b"3"]
    assert set(threads) == {threading.current_thread()}
    assert len(connections) == 1


def test_a_read_fails_though_the_server_never_completes_the_handshake() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(UnreachableError, match="does not answer"),
        impatient(f"127.0.0.1:{listener.getsockname()[1]}", read_timeout=0.3) as client,
    ):
        list(history(client, TRAINING))


def test_a_read_that_keeps_sending_outlasts_the_time_limit() -> None:
    never = threading.Event()

    def list_commit(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        # Longer than the limit in all; each message well within it.
        for number in range(5):
            never.wait(0.6)
            yield bytes(pfs.CommitInfo(commit=pfs.Commit(id=f"{number:032}")))

    with (
        serve(ListCommit=grpc.unary_stream_rpc_method_handler(list_commit)) as address,
        impatient(address, read_timeout=2) as client,
    ):
        assert len(list(history(client, TRAINING))) == 5


def test_the_time_limit_does_not_run_while_the_caller_works_on_a_message() -> None:
    def list_commit(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        for number in range(3):
            yield bytes(pfs.CommitInfo(commit=pfs.Commit(id=f"{number:032}")))

    with (
        serve(ListCommit=grpc.unary_stream_rpc_method_handler(list_commit)) as address,
        impatient(address, read_timeout=0.5) as client,
    ):
        commits = history(client, TRAINING)
        next(commits)
        threading.Event().wait(1.2)
        assert len(list(commits)) == 2


def test_a_wait_for_a_commit_has_no_time_limit() -> None:
    server = SilentServer()
    with server.serve() as address, impatient(address, read_timeout=0.3) as client:
        timer = threading.Timer(1, server.released.set)
        timer.start()
        assert inspect(client, "training", COMMIT, wait=True).description == "late"
        timer.join()


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS])
def test_a_failure_of_the_server_is_not_reported_as_bad_input(code: grpc.StatusCode) -> None:
    def answer(context: grpc.ServicerContext) -> bytes:
        context.abort(code, "the server's database is damaged")

    with pytest.raises(ServerError, match=rf"{code.name}.*database is damaged") as caught, answering(answer) as client:
        inspect(client, "training", COMMIT)
    assert report(caught.value) == 1
    assert caught.value.retryable


CONFLICTS = (
    "start commit: ERROR: current transaction is aborted (SQLSTATE 25P02)",
    "ERROR: could not serialize access due to concurrent update (SQLSTATE 40001)",
    "ERROR: deadlock detected (SQLSTATE 40P01)",
    "commit unexpectedly resulted in rollback",
)


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_what_the_servers_database_rolled_back_is_repeated(conflict: str) -> None:
    calls: list[bytes] = []

    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        calls.append(request)
        if len(calls) == 1:
            context.abort(grpc.StatusCode.UNKNOWN, conflict)
        return b""

    method = grpc.unary_unary_rpc_method_handler(answer)
    with serve(FinishCommit=method) as address, connect(Target(pachd=f"grpc://{address}")) as client:
        client.pfs.finish_commit(commit=client.commit("training", "0" * 32))
    assert len(calls) == 2


def test_what_the_servers_database_keeps_rolling_back_fails_as_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conflicts, "PAUSES", (0.0,) * 4)

    def answer(context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.UNKNOWN, CONFLICTS[0])

    with pytest.raises(ConflictError, match=r"is aborted.*; try again") as caught, answering(answer) as client:
        inspect(client, "training", COMMIT)
    assert report(caught.value) == 1
    assert caught.value.retryable


@pytest.mark.parametrize("state", ["08006", "57P01"])
def test_a_server_without_its_database_is_not_reported_as_bad_input(state: str) -> None:
    def answer(context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.UNKNOWN, f"ERROR: terminating connection (SQLSTATE {state})")

    with pytest.raises(ServerError, match="terminating connection") as caught, answering(answer) as client:
        inspect(client, "training", COMMIT)
    assert caught.value.retryable


def test_what_the_servers_database_refuses_is_bad_input() -> None:
    def answer(context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.UNKNOWN, "create repo: ERROR: value too long (SQLSTATE 22001)")

    with pytest.raises(RequestError, match="value too long"), answering(answer) as client:
        inspect(client, "training", COMMIT)


def test_an_expired_token_is_not_a_failure_of_the_server() -> None:
    def answer(context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.INTERNAL, "token expiration is in the past")

    with pytest.raises(UnreachableError, match="renew PACH_TOKEN"), answering(answer) as client:
        inspect(client, "training", COMMIT)
