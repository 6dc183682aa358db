"""Requests that bypass the SDK: responses by the thousand, read with Google's protobuf, and requests that repeat."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from pachyderm.client.branches import BranchName
from pachyderm.client.connection import Connection
from pachyderm.protocol.protobuf import message, parse

_SERVICE = "/pfs_v2.API/"


def call(client: Connection, method: str, response: str, **request: Any) -> Any:
    """Call a method that has a single response.

    Args:
        client: the connection.
        method: a method of ``pfs_v2.API``.
        response: the name of the response's message.
        request: the fields of ``<method>Request``.

    Raises:
        grpc.RpcError: the server refuses the request or does not answer.
    """
    return client.channel.unary_unary(_SERVICE + method, **_codecs(response))(message(f"{method}Request", **request))


def call_stream(client: Connection, method: str, response: str, **request: Any) -> Iterator[Any]:
    """Call a method that streams its responses; arguments and errors as for `call`."""
    stub = client.channel.unary_stream(_SERVICE + method, **_codecs(response))
    yield from stub(message(f"{method}Request", **request))


def call_with_stream(client: Connection, method: str, response: str, requests: Iterable[Any]) -> Any:
    """Call a method that takes a stream of messages and has a single response; otherwise as `call`."""
    return client.channel.stream_unary(_SERVICE + method, **_codecs(response))(iter(requests))


@contextmanager
def repeating(client: Connection, seconds: float, send: Callable[[Connection], None], thread: str) -> Iterator[None]:
    """Send requests again and again from a separate thread while the block works.

    Args:
        client: the connection; the thread uses another one.
        seconds: before the first time and between two of them.
        send: sends the requests; it handles their errors, since an exception ends the thread.
        thread: name of the thread.
    """
    stop = threading.Event()

    def repeat() -> None:
        second = client.another()
        try:
            while not stop.wait(seconds):
                send(second)
        finally:
            second.close()

    repeater = threading.Thread(target=repeat, name=thread, daemon=True)
    repeater.start()
    try:
        yield
    finally:
        stop.set()
        repeater.join()


def _codecs(response: str) -> dict[str, Any]:
    return {
        "request_serializer": lambda request: request.SerializeToString(),
        "response_deserializer": partial(parse, response),
    }


def repo_of(client: Connection, name: str) -> dict[str, Any]:
    """Return a `Repo` of the project, as fields."""
    return {"name": name, "type": "user", "project": {"name": client.project}}


def commit_of(client: Connection, repo: str, commit_id: str) -> dict[str, Any]:
    """Return a `Commit` by id alone, as fields; see `Connection.commit`."""
    return {"repo": repo_of(client, repo), "id": commit_id}


def head_of(client: Connection, branch: BranchName) -> dict[str, Any]:
    """Return the `Commit` at a branch's head by the branch's name, as fields; see `Connection.head`."""
    repo = repo_of(client, branch.repo)
    return {"repo": repo, "branch": {"repo": repo, "name": branch.branch}}


def file_of(client: Connection, repo: str, commit_id: str, path: str) -> dict[str, Any]:
    """Return a `File`, as fields."""
    return {"commit": commit_of(client, repo, commit_id), "path": path}
