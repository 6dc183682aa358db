"""The in-process channel answers as a server does, in the thread of the caller."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from pachyderm_sdk.api import pfs

from pachyderm.client.commits import head, history, inspect
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.files import files, read
from pachyderm.dag.repos import TRAINING
from pachyderm.dag.setup import set_up
from pachyderm.protocol.channel import MAX_MESSAGE_BYTES
from pachyderm.store.rpc.server import StoreServer


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Connection]:
    with connect(Target(store=tmp_path / "store")) as client:
        set_up(client)
        yield client


def start_commit(client: Connection) -> pfs.Commit:
    return client.pfs.start_commit(branch=client.branch(TRAINING))


def additions(client: Connection, files: dict[str, bytes]) -> Iterator[pfs.ModifyFileRequest]:
    yield pfs.ModifyFileRequest(set_commit=client.head(TRAINING))
    for path, data in files.items():
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=data))


def history_of(client: Connection) -> list[str]:
    return [commit.id for commit in history(client, TRAINING)]


def refusal(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def test_no_server_and_no_thread_is_started(local: Connection) -> None:
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("store")]


def test_responses_and_errors_equal_those_of_a_server(local: Connection, tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    local.pfs.modify_file(additions(local, {"/a": b"a", "/b/c": data}))
    commit = head(local, TRAINING).id
    with (
        StoreServer(tmp_path / "store", "127.0.0.1:0") as server,
        connect(Target(pachd=f"grpc://{server.address}")) as connected,
    ):
        for request in (
            lambda client: inspect(client, "training", commit),
            lambda client: files(client, "training", commit),
            lambda client: read(client, "training", commit, "/b/c"),
            lambda client: [bytes(info) for info in client.pfs.list_repo()],
            lambda client: client.get_version(),
            lambda client: refusal(lambda: client.pfs.inspect_repo(repo=client.repo("no-such"))),
            lambda client: refusal(lambda: list(client.pfs.list_file(file=client.file("training", "0" * 32, "/")))),
            lambda client: refusal(lambda: client.pfs.modify_file(additions(client, {"../a": b""}))),
            lambda client: refusal(lambda: client.pfs.modify_file(additions(client, {"/a": bytes(MAX_MESSAGE_BYTES)}))),
            lambda client: refusal(lambda: client.license.get_activation_code()),
            lambda client: refusal(lambda: next(client.pfs.list_commit(repo=client.repo("no-such")))),
        ):
            assert request(local) == request(connected)


def test_requests_of_a_transaction_are_one_change(local: Connection) -> None:
    before = history_of(local)
    with pytest.raises(KeyError), local.transaction.transaction():
        start_commit(local)
        raise KeyError
    with local.transaction.transaction():
        commit = start_commit(local)
        assert history_of(local) == before
    assert history_of(local) == [commit.id, *before]


def test_a_stream_is_produced_as_it_is_consumed(local: Connection) -> None:
    local.pfs.modify_file(additions(local, {f"/{number}": b"x" for number in range(10)}))
    stream = local.pfs.list_file(file=pfs.File(commit=local.head(TRAINING), path="/"))
    first = next(stream).file.path
    # In the middle of one stream the client may send other requests, writes included.
    later = start_commit(local)
    assert inspect(local, "training", later.id).state == "open"
    assert [first, *(info.file.path for info in stream)] == [f"/{number}" for number in range(10)]


def test_a_stream_of_requests_that_breaks_off_changes_nothing(local: Connection) -> None:
    commit = start_commit(local)

    def broken() -> Iterator[pfs.ModifyFileRequest]:
        yield from additions(local, {"/a": b"a"})
        raise OSError("the picture disappeared")

    code, details = refusal(lambda: local.pfs.modify_file(broken()))
    assert (code, details) == (grpc.StatusCode.UNKNOWN, "Exception iterating requests!")
    assert files(local, "training", commit.id) == {}


def test_closing_a_connection_ends_the_waits_of_other_threads(local: Connection) -> None:
    commit, second = start_commit(local), local.another()
    ends: list[BaseException] = []
    begun = threading.Event()

    def wait() -> None:
        begun.set()
        try:
            inspect(second, "training", commit.id, wait=True)
        except (grpc.RpcError, ValueError) as error:
            ends.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    begun.wait()
    second.close()
    thread.join(10)
    assert len(ends) == 1
    # Only its own channel was closed.
    assert inspect(local, "training", commit.id).state == "open"
    with pytest.raises(ValueError, match="closed"):
        inspect(second, "training", commit.id)


def test_a_subscription_is_ended_from_another_thread(local: Connection) -> None:
    start_commit(local)
    raw = local.channel.unary_stream("/pfs_v2.API/SubscribeCommit", request_serializer=bytes)
    stream = raw(pfs.SubscribeCommitRequest(repo=local.repo("training")))
    next(stream)
    ends: list[grpc.StatusCode] = []
    thread = threading.Thread(target=lambda: ends.append(refusal(lambda: list(stream))[0]))
    thread.start()
    stream.cancel()
    thread.join(10)
    assert ends == [grpc.StatusCode.CANCELLED]
