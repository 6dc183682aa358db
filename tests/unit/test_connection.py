"""What a connection to a Pachyderm at an address promises: trust, clear refusals, and to outlast an absence."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pachyderm_sdk.api import pfs
from served import Served

from pachyderm.client import connection
from pachyderm.client.commits import head, inspect
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.dag.repos import TRAINING
from pachyderm.dag.setup import check_set_up, set_up
from pachyderm.errors import RequestError, UnreachableError
from pachyderm.protocol import channel
from pachyderm.store.objects.engine import Engine
from pachyderm.store.rpc.routes import handlers


def authority() -> tuple[bytes, bytes]:
    """A key and its certificate for 127.0.0.1, signed by itself, in PEM form."""
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
    """A store behind TLS, and its certificate."""
    key, certificate = authority()
    server = grpc.server(ThreadPoolExecutor(8), handlers=handlers(Engine.open(tmp_path / "store", time.time)))
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
    server.start()
    yield Target(pachd=f"grpcs://127.0.0.1:{port}"), certificate
    server.stop(None).wait()


def test_an_authority_of_ones_own_is_trusted_by_every_connection(
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
    monkeypatch.setattr(connection, "REACH_WITHIN", 1.0)
    with pytest.raises(UnreachableError, match=r"unknown authority \(PACH_ROOT_CERTS\)"), connect(secured[0]):
        pass


@pytest.mark.parametrize(("content", "said"), [(None, "cannot be read: No such file"), (b"x", "holds no certificate")])
def test_a_file_of_authorities_that_cannot_be_used_is_said(
    secured: tuple[Target, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "ca.crt").write_bytes(content)
    monkeypatch.setenv("PACH_ROOT_CERTS", str(tmp_path / "ca.crt"))
    with pytest.raises(RequestError, match=rf"PACH_ROOT_CERTS names .*ca\.crt, which {said}"), connect(secured[0]):
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path / "store") as made:
        yield made


@pytest.fixture
def client(served: Served) -> Iterator[Connection]:
    with connect(Target(pachd=f"grpc://{served.address}")) as made:
        set_up(made)
        yield made


def test_a_question_asked_while_pachyderm_is_away_is_answered_when_it_is_back(
    client: Connection, served: Served
) -> None:
    before = head(client, TRAINING)
    served.leave(0.7)
    assert head(client, TRAINING) == before


def waited_for(client: Connection, commit: str) -> tuple[threading.Thread, list[str]]:
    """Somebody who waits for the end of a commit of training, in a thread, and how it ended for him."""
    ends: list[str] = []

    def wait() -> None:
        ends.append(inspect(second, "training", commit, wait=True).state)
        second.close()

    second = client.another()
    thread = threading.Thread(target=wait)
    thread.start()
    return thread, ends


def started(client: Connection) -> str:
    return str(client.pfs.start_commit(branch=client.branch(TRAINING)).id)


def test_who_waits_for_a_commit_goes_on_waiting_after_an_absence(client: Connection, served: Served) -> None:
    commit = started(client)
    thread, ends = waited_for(client, commit)
    served.until_waited_for()
    served.leave(0.7)
    assert inspect(client, "training", commit).state == "open"
    client.pfs.finish_commit(commit=client.commit("training", commit))
    thread.join(20)
    assert ends == ["good"]


def test_a_change_asked_for_while_pachyderm_is_away_is_refused_at_once(served: Served) -> None:
    target = Target(pachd=f"grpc://{served.address}")
    with pytest.raises(UnreachableError, match=f"Pachyderm at {target} cannot be reached"), connect(target) as client:
        set_up(client)
        served.leave()
        try:
            started(client)
        finally:
            served.come_back()


class Relay:
    """Carries connections to an address, until they are made to fall silent: open, and without another byte."""

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


def test_a_connection_that_fell_silent_is_noticed_and_the_question_asked_on_another(
    client: Connection, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "ALIVE_EVERY", 0.3)
    monkeypatch.setattr(channel, "ALIVE_WITHIN", 0.3)
    commit = started(client)
    relay = Relay(served.address)
    with connect(Target(pachd=f"grpc://{relay.address}")) as through:
        assert inspect(through, "training", commit).state == "open"
        relay.fall_silent()
        assert inspect(through, "training", commit).state == "open"
    relay.close()


@contextmanager
def answering(answer: Callable[[grpc.ServicerContext], bytes]) -> Iterator[Connection]:
    """Connected to a server that answers thus to whoever inspects a commit."""
    told = {"InspectCommit": grpc.unary_unary_rpc_method_handler(lambda _, context: answer(context))}
    server = grpc.server(ThreadPoolExecutor(1), [grpc.method_handlers_generic_handler("pfs_v2.API", told)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with connect(Target(pachd=f"grpc://127.0.0.1:{port}")) as client:
        yield client
    server.stop(None).wait()


def test_an_answer_as_long_as_pachd_makes_them_arrives() -> None:
    long = bytes(pfs.CommitInfo(description="x" * (19 << 20)))
    with answering(lambda context: long) as client:
        assert len(client.pfs.inspect_commit(commit=client.commit("training", "0" * 32)).description) == 19 << 20


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
def test_a_question_that_meets_a_server_shutting_down_is_asked_again(code: grpc.StatusCode) -> None:
    asked: list[float] = []

    def answer(context: grpc.ServicerContext) -> bytes:
        asked.append(time.monotonic())
        if len(asked) == 1:
            context.abort(code, "shutting down")
        return bytes(pfs.CommitInfo(description="here again"))

    with answering(answer) as client:
        assert client.pfs.inspect_commit(commit=client.commit("training", "0" * 32)).description == "here again"
    assert len(asked) == 2
