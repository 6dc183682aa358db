"""Asks the server what it answers by the thousand, with `pachyderm.protocol.messages` both ways.

It exists so that the rooms of commits and of listings share the one way past the SDK's slow messages, on the SDK's own
channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from pachyderm.client.branches import BranchName
from pachyderm.client.connection import Connection
from pachyderm.protocol.messages import message, parse

_SERVICE = "/pfs_v2.API/"


def asked(client: Connection, method: str, answer: str, **request: Any) -> Any:
    """The answer to one request.

    Args:
        client: the connection.
        method: of `pfs_v2.API`.
        answer: the name of the message that is the answer.
        request: the fields of ``<method>Request``.

    Raises:
        grpc.RpcError: the server refuses.
    """
    return client.channel.unary_unary(_SERVICE + method, **_forms(answer))(message(f"{method}Request", **request))


def streamed(client: Connection, method: str, answer: str, **request: Any) -> Iterator[Any]:
    """The answers to a request that has many; see `asked`."""
    yield from client.channel.unary_stream(_SERVICE + method, **_forms(answer))(message(f"{method}Request", **request))


def _forms(answer: str) -> dict[str, Any]:
    return {
        "request_serializer": lambda request: request.SerializeToString(),
        "response_deserializer": partial(parse, answer),
    }


def repo_of(client: Connection, name: str) -> dict[str, Any]:
    """A `Repo` of the project."""
    return {"name": name, "type": "user", "project": {"name": client.project}}


def commit_of(client: Connection, repo: str, commit_id: str) -> dict[str, Any]:
    """A `Commit` by id alone; see `Connection.commit`."""
    return {"repo": repo_of(client, repo), "id": commit_id}


def head_of(client: Connection, branch: BranchName) -> dict[str, Any]:
    """A `Commit` that is a branch's head, by name."""
    repo = repo_of(client, branch.repo)
    return {"repo": repo, "branch": {"repo": repo, "name": branch.branch}}


def file_of(client: Connection, repo: str, commit_id: str, path: str) -> dict[str, Any]:
    """A `File`."""
    return {"commit": commit_of(client, repo, commit_id), "path": path}
