"""Connects to a Pachyderm: a cluster at an address, or the embedded store in this process.

It exists so that there is one data path: whatever answers, every other room holds the same `pachyderm_sdk.Client`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlparse

import grpc
from pachyderm_sdk import Client
from pachyderm_sdk.api import metadata, pfs

from pachyderm.client.branches import BranchName
from pachyderm.errors import PachydermError, RequestError, StorageError, UnreachableError
from pachyderm.protocol.channel import Metadata, opened, with_metadata
from pachyderm.protocol.sdk_messages import ParsingChannel

REACH_WITHIN = 10.0
"""Seconds within which a server must answer its first request."""


@dataclass(frozen=True)
class Target:
    """Where the data is.

    Attributes:
        pachd: address of a cluster, ``grpc://host:port`` or ``grpcs://host:port``; None for the embedded store.
        store: folder of the embedded store, used without `pachd`.
        project: the Pachyderm project that holds the repos.
        token: authentication token of the cluster, where it asks for one.
    """

    pachd: str | None = None
    store: Path = Path(".pix2pix")
    project: str = "default"
    token: str | None = None

    @classmethod
    def from_environment(cls, environment: dict[str, str]) -> Target:
        """Read ``PACHD_ADDRESS``, ``PIX2PIX_STORE``, ``PACH_PROJECT`` and ``PACH_TOKEN``, as a task finds them."""
        return cls(
            pachd=environment.get("PACHD_ADDRESS") or None,
            store=Path(environment.get("PIX2PIX_STORE") or ".pix2pix"),
            project=environment.get("PACH_PROJECT") or "default",
            token=environment.get("PACH_TOKEN") or None,
        )

    def __str__(self) -> str:
        return self.pachd or str(self.store)


class Connection(Client):
    """The SDK's client, which also knows the project and makes the names of things in it.

    Not for two threads at once: a transaction belongs to the client (SDK behaviour); see `another`.

    Args:
        dial: opens a channel, as often as it is called; what it returns makes of metadata a channel that sends it.
        project: the Pachyderm project.
        token: authentication token, where the server asks for one.
    """

    _channel: grpc.Channel

    def __init__(self, dial: Callable[[], Callable[[Metadata], grpc.Channel]], project: str, token: str | None) -> None:
        self.project = project
        self._dial, self._sending = dial, dial()
        super().__init__(auth_token=token)

    def repo(self, name: str) -> pfs.Repo:
        """The user repo `name` of the project."""
        return pfs.Repo(name=name, type="user", project=pfs.Project(name=self.project))

    def branch(self, name: BranchName) -> pfs.Branch:
        """A branch as a message."""
        return pfs.Branch(repo=self.repo(name.repo), name=name.branch)

    def head(self, name: BranchName) -> pfs.Commit:
        """The head of a branch by NAME: resolved by the server, at a transaction's end where there is one."""
        return pfs.Commit(repo=self.repo(name.repo), branch=self.branch(name))

    def commit(self, repo: str, commit_id: str) -> pfs.Commit:
        """A commit by id alone; with a branch name beside it, pachd would write a new commit where it is gone."""
        return pfs.Commit(repo=self.repo(repo), id=commit_id)

    def file(self, repo: str, commit_id: str, path: str) -> pfs.File:
        """A file of a commit."""
        return pfs.File(commit=self.commit(repo, commit_id), path=path)

    def edit_keys(
        self, repo: str, commit_id: str, *, add: dict[str, str] | None = None, put: dict[str, str] | None = None
    ) -> None:
        """Edit a commit's metadata in one request, all or nothing.

        It is carried out at once and stays, also inside a transaction that is abandoned later (seen on pachd).

        Args:
            repo: of the commit.
            commit_id: its id.
            add: keys that must not be there yet; the whole request is refused with FAILED_PRECONDITION where one is.
            put: keys that are added or changed, whatever was there.
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
        """A second connection to the same server, for another thread."""
        return Connection(self._dial, self.project, self.auth_token)

    def _init_api(self) -> None:
        """Make the API over our channel; the SDK calls this with a new one for each change of transaction."""
        self._channel.close()
        self._channel = ParsingChannel(self._sending(self._grpc_metadata))
        super()._init_api()

    @property
    def channel(self) -> grpc.Channel:
        """The channel with the token and the transaction on it, for requests whose answers are not read by the SDK."""
        return self._channel

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


@contextmanager
def connect(target: Target) -> Iterator[Connection]:
    """Connect, and translate whatever the server refuses on the way into `PachydermError`.

    Raises:
        UnreachableError: nothing answers at the address.
        StoreError: the folder cannot be used.
        RequestError: the address is none, or the server refused a request.
    """
    if target.pachd is not None:
        with translated(str(target)), _closing(_dial(target)) as client:
            yield client
        return
    from pachyderm.store.maintenance.cron_triggers import CronTriggers
    from pachyderm.store.objects.engine import Engine
    from pachyderm.store.rpc.inprocess_channel import InProcessChannel
    from pachyderm.store.rpc.routes import handlers

    engine = Engine.open(target.store)
    cron = CronTriggers(engine)
    try:
        cron.start_if_needed()
        answering = handlers(engine)
        local = Connection(lambda: InProcessChannel(answering).with_metadata, target.project, target.token)
        with translated(str(target)), _closing(local) as client:
            yield client
    finally:
        cron.stop()
        engine.close()


@contextmanager
def _closing(client: Connection) -> Iterator[Connection]:
    try:
        yield client
    finally:
        client.close()


@contextmanager
def translated(target: str) -> Iterator[None]:
    """Turn gRPC errors that leave the block into errors of this floor."""
    try:
        yield
    except grpc.RpcError as error:
        raise translate(error, target) from error
    except ConnectionError as error:
        raise UnreachableError(f"the connection to Pachyderm at {target} broke: {error}") from error


def translate(error: grpc.RpcError, target: str = "Pachyderm") -> PachydermError:
    """The error of this floor that a gRPC error means."""
    code, text = error.code(), error.details() or ""
    # pachd answers INTERNAL where a token has run out.
    if code is grpc.StatusCode.UNAUTHENTICATED or "token expiration" in text:
        return UnreachableError(f"Pachyderm at {target} refuses the token: {text}; renew PACH_TOKEN")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return RequestError(
            f"Pachyderm at {target} does not know this request ({text}); pix2pix needs Pachyderm 2.10 or newer"
        )
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return UnreachableError(f"Pachyderm at {target} cannot be reached: {text}")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED or "No space left" in text or "disk is full" in text:
        return StorageError(text)
    return RequestError(text or f"Pachyderm at {target} refused the request ({code.name})")


def _dial(target: Target) -> Connection:
    address = target.pachd or ""
    url = urlparse(address if "://" in address else f"grpc://{address}")
    if url.scheme not in ("grpc", "http", "grpcs", "https") or not url.hostname or url.path not in ("", "/"):
        raise RequestError(f"the address {address!r} is not of the form grpc://host:port or grpcs://host:port")
    try:
        port = url.port or 30650
    except ValueError as error:
        raise RequestError(f"the address {address!r} has no valid port: {error}") from error
    try:
        socket.create_connection((url.hostname, port), timeout=REACH_WITHIN).close()
    except OSError as error:
        raise UnreachableError(
            f"no Pachyderm answers at {address}: {error.strerror or error}; check --pachd or PACHD_ADDRESS"
        ) from error
    tls = url.scheme in ("grpcs", "https")
    roots = _root_certs(os.environ.get("PACH_ROOT_CERTS", "")) if tls else None
    dial = partial(opened, f"{url.hostname}:{port}", tls, roots)
    client = Connection(lambda: partial(with_metadata, dial()), target.project, target.token)
    grpc_ready = grpc.channel_ready_future(client._channel)
    try:
        grpc_ready.result(timeout=REACH_WITHIN)
    except grpc.FutureTimeoutError as error:
        client.close()
        raise UnreachableError(
            f"a server listens at {address}, but it does not answer as Pachyderm does: TLS against plain text, or a "
            f"certificate for another name or of an unknown authority (PACH_ROOT_CERTS)"
        ) from error
    finally:
        grpc_ready.cancel()
    return client


def _root_certs(file: str) -> bytes | None:
    """The certificate authorities in a PEM file; None, which means the usual ones, where no file is named."""
    if not file:
        return None
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise RequestError(f"PACH_ROOT_CERTS names {file}, which cannot be read: {error.strerror}") from error
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise RequestError(f"PACH_ROOT_CERTS names {file}, which holds no certificate in PEM form")
    return content
