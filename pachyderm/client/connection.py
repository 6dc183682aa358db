"""Connections to a Pachyderm: a cluster at an address, or the embedded store in this process."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlparse

import grpc
from pachyderm_sdk import Client
from pachyderm_sdk.api import metadata, pfs

from pachyderm.client.branches import BranchName
from pachyderm.errors import ConflictError, PachydermError, RequestError, ServerError, StorageError, UnreachableError
from pachyderm.protocol.channel import Metadata, open_channel, with_metadata
from pachyderm.protocol.conflicts import rolled_back
from pachyderm.protocol.sdk_messages import ParsingChannel

CONNECT_TIMEOUT = 10.0
"""Seconds within which a server must accept a connection, and then complete the gRPC handshake."""

DEFAULT_PORT = 30650
"""pachd's port in an address that names none."""


@dataclass(frozen=True)
class Target:
    """Where the data is.

    Attributes:
        pachd: address of a cluster, ``grpc://host:port`` or ``grpcs://host:port``; None for the embedded store.
        store: folder of the embedded store; used if `pachd` is None.
        project: the Pachyderm project that holds the repos.
        token: authentication token; None if the cluster requires none. A secret: not in the repr.
        create: whether a missing embedded store is created.
    """

    pachd: str | None = None
    store: Path = Path(".pix2pix")
    project: str = "default"
    token: str | None = field(default=None, repr=False)
    create: bool = True

    @classmethod
    def from_environment(cls, environment: dict[str, str]) -> Target:
        """Read ``PACHD_ADDRESS``, ``PIX2PIX_STORE``, ``PACH_PROJECT`` and ``PACH_TOKEN``, the variables of a task."""
        return cls(
            pachd=environment.get("PACHD_ADDRESS") or None,
            store=Path(environment.get("PIX2PIX_STORE") or ".pix2pix"),
            project=environment.get("PACH_PROJECT") or "default",
            token=environment.get("PACH_TOKEN") or None,
        )

    def __str__(self) -> str:
        return self.pachd or str(self.store)


class Connection(Client):
    """The SDK's client, bound to a project, with constructors for the messages that name things in it.

    Not for two threads at once, since a transaction belongs to the client (SDK behavior); see `another`.

    Args:
        dial: opens a new channel at each call and returns a function that adds metadata to that channel.
        project: the Pachyderm project.
        token: authentication token; None if the server requires none.
    """

    _channel: grpc.Channel

    def __init__(self, dial: Callable[[], Callable[[Metadata], grpc.Channel]], project: str, token: str | None) -> None:
        self.project = project
        self._dial, self._channel_with = dial, dial()
        super().__init__(auth_token=token)

    def repo(self, name: str) -> pfs.Repo:
        """Return the message for a user repo of the project."""
        return pfs.Repo(name=name, type="user", project=pfs.Project(name=self.project))

    def branch(self, name: BranchName) -> pfs.Branch:
        """Return the message for a branch."""
        return pfs.Branch(repo=self.repo(name.repo), name=name.branch)

    def head(self, name: BranchName) -> pfs.Commit:
        """Return the message for a branch's head BY NAME: the server resolves it, in a transaction at its end."""
        return pfs.Commit(repo=self.repo(name.repo), branch=self.branch(name))

    def commit(self, repo: str, commit_id: str) -> pfs.Commit:
        """Return the message for a commit, by id alone.

        If the message also named a branch and the commit had been deleted, pachd would write to a new commit.
        """
        return pfs.Commit(repo=self.repo(repo), id=commit_id)

    def file(self, repo: str, commit_id: str, path: str) -> pfs.File:
        """Return the message for a file of a commit."""
        return pfs.File(commit=self.commit(repo, commit_id), path=path)

    def edit_keys(
        self, repo: str, commit_id: str, *, add: dict[str, str] | None = None, put: dict[str, str] | None = None
    ) -> None:
        """Edit a commit's metadata in one request, all or nothing.

        The edit takes effect at once and persists, even inside a transaction that is abandoned later (seen on pachd).

        Args:
            repo: the commit's repo.
            commit_id: the commit's id.
            add: keys that must not exist yet; otherwise the whole request is refused with FAILED_PRECONDITION.
            put: keys to add or overwrite.

        Raises:
            grpc.RpcError: FAILED_PRECONDITION as above, or any other refusal of the server.
        """
        commit = self.commit(repo, commit_id).as_picker()
        self.metadata.edit_metadata(
            edits=[
                *(
                    metadata.Edit(commit=commit, add_key=metadata.EditAddKey(key=key, value=value))
                    for key, value in (add or {}).items()
                ),
                *(
                    metadata.Edit(commit=commit, edit_key=metadata.EditEditKey(key=key, value=value))
                    for key, value in (put or {}).items()
                ),
            ]
        )

    def another(self) -> Connection:
        """Return a second connection to the same server, for another thread."""
        return Connection(self._dial, self.project, self.auth_token)

    def _init_api(self) -> None:
        """Replace the channel by our own; the SDK calls this with a new channel at each change of transaction."""
        self._channel.close()
        self._channel = ParsingChannel(self._channel_with(self._grpc_metadata))
        super()._init_api()

    @property
    def channel(self) -> grpc.Channel:
        """The channel that sends the token and the transaction, for requests that bypass the SDK's messages."""
        return self._channel

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


@contextmanager
def connect(target: Target) -> Iterator[Connection]:
    """Connect, and translate gRPC errors that leave the block into `PachydermError`.

    Raises:
        UnreachableError: no server answers at the address, or it refuses the token.
        ServerError: the server failed.
        StoreError: the store's folder cannot be used.
        StorageError: the store's disk is full or failed.
        RequestError: the address is malformed, the server refused a request, or the store is missing and `target`
            does not create it.
    """
    if target.pachd is not None:
        with translated(str(target)), _closing(_connect_to_address(target)) as client:
            yield client
        return
    if not target.create:
        require_store(target.store)
    from pachyderm.store.maintenance.cron_triggers import CronTriggers
    from pachyderm.store.objects.engine import Engine
    from pachyderm.store.rpc.inprocess_channel import InProcessChannel
    from pachyderm.store.rpc.routes import handlers

    engine = Engine.open(target.store)
    cron = CronTriggers(engine)
    try:
        cron.start_if_needed()
        rpc_handlers = handlers(engine)
        local = Connection(lambda: InProcessChannel(rpc_handlers).with_metadata, target.project, target.token)
        with translated(str(target)), _closing(local) as client:
            yield client
    finally:
        cron.stop()
        engine.close()


def require_store(folder: Path) -> None:
    """Refuse a folder that does not exist or is empty.

    Raises:
        RequestError: as stated.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        raise RequestError(f"no store found in {folder}; run: pix2pix setup (or name a store with --store)")


@contextmanager
def _closing(client: Connection) -> Iterator[Connection]:
    try:
        yield client
    finally:
        client.close()


@contextmanager
def translated(target: str) -> Iterator[None]:
    """Translate gRPC errors that leave the block into this layer's errors."""
    try:
        yield
    except grpc.RpcError as error:
        raise translate(error, target) from error
    except ConnectionError as error:
        raise UnreachableError(f"the connection to Pachyderm at {target} broke: {error}") from error


def translate(error: grpc.RpcError, target: str = "Pachyderm") -> PachydermError:
    """Return this layer's equivalent of a gRPC error."""
    code, text = error.code(), error.details() or ""
    # pachd answers INTERNAL if the token has expired.
    if code is grpc.StatusCode.UNAUTHENTICATED or "token expiration" in text:
        return UnreachableError(f"Pachyderm at {target} refuses the token: {text}; renew PACH_TOKEN")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return RequestError(
            f"Pachyderm at {target} does not know this request ({text}); pix2pix needs Pachyderm 2.10 or newer"
        )
    if code is grpc.StatusCode.UNAVAILABLE:
        return UnreachableError(f"Pachyderm at {target} cannot be reached: {text}")
    if code is grpc.StatusCode.CANCELLED:
        return UnreachableError(f"Pachyderm at {target} broke the request off ({text}); it may be stopping: try again")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return UnreachableError(f"Pachyderm at {target} does not answer: {text}; check the server and its logs")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED or "No space left" in text or "disk is full" in text:
        return StorageError(text if target in text else f"{target}: {text}")
    if code is grpc.StatusCode.ABORTED or rolled_back(text):
        return ConflictError(f"Pachyderm at {target} gave the request up: {text}; try again")
    # PostgreSQL's codes for a lost connection and a shutdown, which pachd passes on.
    away = "SQLSTATE 08" in text or "SQLSTATE 57P" in text
    if away or code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS):
        return ServerError(f"Pachyderm at {target} failed ({code.name}): {text or 'no reason given'}")
    # pachd answers many refusals with UNKNOWN and a text.
    return RequestError(text or f"Pachyderm at {target} refused the request ({code.name})")


def _connect_to_address(target: Target) -> Connection:
    """Connect to a cluster, and wait until its channel is ready."""
    host, port, tls = _endpoint(target.pachd or "")
    try:
        # gRPC would report a refused connection and an unknown host alike, and only after several attempts.
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT).close()
    except OSError as error:
        raise UnreachableError(
            f"no Pachyderm answers at {target.pachd}: {error.strerror or error}; check --pachd or PACHD_ADDRESS"
        ) from error
    root_certs = _root_certs(os.environ.get("PACH_ROOT_CERTS", "")) if tls else None
    dial = partial(open_channel, f"{host}:{port}", tls, root_certs)
    client = Connection(lambda: partial(with_metadata, dial()), target.project, target.token)
    ready = grpc.channel_ready_future(client.channel)
    try:
        ready.result(timeout=CONNECT_TIMEOUT)
    except grpc.FutureTimeoutError as error:
        client.close()
        raise UnreachableError(
            f"a server listens at {target.pachd}, but it does not answer as Pachyderm does: TLS against plain text, or "
            "a certificate for another name or of an unknown authority (PACH_ROOT_CERTS)"
        ) from error
    finally:
        ready.cancel()
    return client


def _endpoint(address: str) -> tuple[str, int, bool]:
    """Split an address into host, port and whether it uses TLS."""
    url = urlparse(address if "://" in address else f"grpc://{address}")
    if url.scheme not in ("grpc", "http", "grpcs", "https") or not url.hostname or url.path not in ("", "/"):
        raise RequestError(f"the address {address!r} is not of the form grpc://host:port or grpcs://host:port")
    try:
        port = url.port or DEFAULT_PORT
    except ValueError as error:
        raise RequestError(f"the address {address!r} has no valid port: {error}") from error
    return url.hostname, port, url.scheme in ("grpcs", "https")


def _root_certs(file: str) -> bytes | None:
    """Read certificate authorities from a PEM file; None, which selects gRPC's own, if no file is named."""
    if not file:
        return None
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise RequestError(f"PACH_ROOT_CERTS names {file}, which cannot be read: {error.strerror}") from error
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise RequestError(f"PACH_ROOT_CERTS names {file}, which contains no certificate in PEM format")
    return content
