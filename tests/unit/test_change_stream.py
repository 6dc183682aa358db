"""The requests that change files say what those of the SDK say."""

from __future__ import annotations

from pathlib import Path

import pytest
from pachyderm_sdk.api import pfs

from pachyderm.client.change_stream import PIECE, ChangeRequest, additions, copy, deletion, to_head
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.rpc import file_of
from pachyderm.dag.repos import TRAINING

COMMIT = "0123456789ab4cdef0123456789abcde"


@pytest.fixture
def client(tmp_path: Path) -> Connection:
    with connect(Target(store=tmp_path / "store")) as client:
        return client


def read_by_sdk(request: ChangeRequest) -> pfs.ModifyFileRequest:
    return pfs.ModifyFileRequest.FromString(request.SerializeToString())


def test_requests_say_what_those_of_the_sdk_say(client: Connection) -> None:
    source = client.file("training", COMMIT, "/é.png")
    for ours, theirs in [
        (deletion("/é.png"), pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="/é.png"))),
        (
            copy("/copy.png", file_of(client, "training", COMMIT, "/é.png")),
            pfs.ModifyFileRequest(copy_file=pfs.CopyFile(dst="/copy.png", src=source)),
        ),
        (to_head(client, TRAINING), pfs.ModifyFileRequest(set_commit=client.head(TRAINING))),
        *zip(additions("/a", b"abc"), [pfs.ModifyFileRequest(add_file=pfs.AddFile("/a", raw=b"abc"))], strict=True),
        # Without its one request, an empty file would be missing.
        *zip(additions("/a", b""), [pfs.ModifyFileRequest(add_file=pfs.AddFile("/a", raw=b""))], strict=True),
    ]:
        read = read_by_sdk(ours)
        assert read == theirs
        assert len(bytes(read)) == len(bytes(theirs)) == ours.ByteSize(), "nothing that the SDK does not know"


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1])
def test_a_content_is_sent_in_pieces_that_every_server_takes(size: int, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(bytes(size))
    for content in (local, bytes(size)):
        sent = [read_by_sdk(request).add_file for request in additions("/a", content)]
        assert {piece.path for piece in sent} == {"/a"}
        assert sum(len(piece.raw) for piece in sent) == size
        assert max(len(piece.raw) for piece in sent) <= PIECE
        assert len(sent) == max(1, -(-size // PIECE))
