"""The in-process channel: the same behaviour as over a connection, in the caller's thread."""

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


def started(client: Connection) -> pfs.Commit:
    return client.pfs.start_commit(branch=client.branch(TRAINING))


def added(client: Connection, files: dict[str, bytes]) -> Iterator[pfs.ModifyFileRequest]:
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


def test_responses_and_errors_are_those_of_a_server(local: Connection, tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    local.pfs.modify_file(added(local, {"/a": b"a", "/b/c": data}))
    commit = head(local, TRAINING).id
    with (
        StoreServer(tmp_path / "store", "127.0.0.1:0") as server,
        connect(Target(pachd=f"grpc://{server.address}")) as connected,
    ):
        for ask in (
            lambda client: inspect(client, "training", commit),
            lambda client: files(client, "training", commit),
            lambda client: read(client, "training", commit, "/b/c"),
            lambda client: [bytes(info) for info in client.pfs.list_repo()],
            lambda client: client.get_version(),
            lambda client: refusal(lambda: client.pfs.inspect_repo(repo=client.repo("no-such"))),
            lambda client: refusal(lambda: list(client.pfs.list_file(file=client.file("training", "0" * 32, "/")))),
            lambda client: refusal(lambda: client.pfs.modify_file(added(client, {"../a": b""}))),
            lambda client: refusal(lambda: client.pfs.modify_file(added(client, {"/a": bytes(MAX_MESSAGE_BYTES)}))),
            lambda client: refusal(lambda: client.license.get_activation_code()),
            lambda client: refusal(lambda: next(client.pfs.list_commit(repo=client.repo("no-such")))),
        ):
            assert ask(local) == ask(connected)


def test_requests_of_a_transaction_are_one_change(local: Connection) -> None:
    before = history_of(local)
    with pytest.raises(KeyError), local.transaction.transaction():
        started(local)
        raise KeyError
    with local.transaction.transaction():
        commit = started(local)
        assert history_of(local) == before
    assert history_of(local) == [commit.id, *before]


def test_a_stream_of_responses_is_computed_as_it_is_read(local: Connection) -> None:
    local.pfs.modify_file(added(local, {f"/{number}": b"x" for number in range(10)}))
    stream = local.pfs.list_file(file=pfs.File(commit=local.head(TRAINING), path="/"))
    first = next(stream).file.path
    # A client that is reading a stream may make other requests, writes included.
    later = started(local)
    assert inspect(local, "training", later.id).state == "open"
    assert [first, *(info.file.path for info in stream)] == [f"/{number}" for number in range(10)]


def test_a_stream_whose_requests_raise_leaves_nothing(local: Connection) -> None:
    commit = started(local)

    def broken() -> Iterator[pfs.ModifyFileRequest]:
        yield from added(local, {"/a": b"a"})
        raise OSError("cannot read the picture")

    code, details = refusal(lambda: local.pfs.modify_file(broken()))
    assert (code, details) == (grpc.StatusCode.UNKNOWN, "Exception iterating requests!")
    assert files(local, "training", commit.id) == {}


def test_closing_ends_what_other_threads_wait_for(local: Connection) -> None:
    commit, second = started(local), local.another()
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
    # Only its own channel is closed.
    assert inspect(local, "training", commit.id).state == "open"
    with pytest.raises(ValueError, match="closed"):
        inspect(second, "training", commit.id)


def test_a_subscription_is_ended_from_another_thread(local: Connection) -> None:
    started(local)
    raw = local.channel.unary_stream("/pfs_v2.API/SubscribeCommit", request_serializer=bytes)
    stream = raw(pfs.SubscribeCommitRequest(repo=local.repo("training")))
    next(stream)
    ends: list[grpc.StatusCode] = []
    thread = threading.Thread(target=lambda: ends.append(refusal(lambda: list(stream))[0]))
    thread.start()
    stream.cancel()
    thread.join(10)
    assert ends == [grpc.StatusCode.CANCELLED]
