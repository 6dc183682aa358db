"""Responses about files are parsed as the SDK would, without the SDK's parser."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import betterproto
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pachyderm_sdk.api import pfs

from pachyderm.client.connection import Connection, Target, connect
from pachyderm.dag.repos import TRAINING
from pachyderm.dag.setup import set_up
from pachyderm.protocol import protobuf, sdk_messages
from pachyderm.store.rpc.server import StoreServer

text = st.text(max_size=8)
projects = st.builds(pfs.Project, name=text)
repos = st.builds(lambda **fields: pfs.Repo(**fields), name=text, type=text) | st.builds(
    lambda name, project: pfs.Repo(name=name, project=project), text, projects
)
branches = st.builds(pfs.Branch, repo=repos, name=text)
commits = st.builds(pfs.Commit, repo=repos, id=text) | st.builds(pfs.Commit, branch=branches, id=text)
files = st.builds(pfs.File, commit=commits, path=text, datum=text)
times = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
infos = st.builds(
    pfs.FileInfo,
    file=files,
    file_type=st.sampled_from(pfs.FileType),
    committed=times,
    size_bytes=st.integers(0, 2**62),
    hash=st.binary(max_size=4),
) | st.builds(pfs.FileInfo, size_bytes=st.integers(0, 9))
differences = st.builds(pfs.DiffFileResponse, new_file=infos, old_file=infos) | st.builds(
    pfs.DiffFileResponse, old_file=infos
)


def absent_type_and_project(message: Any) -> bytes:
    """A `FileInfo` whose repo has neither type nor project, as other clients and servers may send it."""
    commit = {"id": message.file.commit.id, "repo": {"name": "r"}}
    return protobuf.message("FileInfo", file={"commit": commit}).SerializeToString()


def assert_parsed_alike(cls: Any, data: bytes) -> None:
    ours, theirs = sdk_messages.deserializer(cls.FromString)(data), cls.FromString(data)
    assert type(ours) is cls
    assert repr(ours) == repr(theirs)
    assert betterproto.serialized_on_wire(ours)
    assert copy.deepcopy(ours) == ours == theirs
    assert bytes(ours) == bytes(theirs)
    assert ours.to_dict() == theirs.to_dict()


@settings(deadline=None)
@given(infos)
def test_a_file_is_parsed_as_by_the_sdk(info: pfs.FileInfo) -> None:
    assert_parsed_alike(pfs.FileInfo, bytes(info))
    assert_parsed_alike(pfs.FileInfo, absent_type_and_project(info))


@settings(deadline=None)
@given(differences)
def test_a_difference_is_parsed_as_by_the_sdk(difference: pfs.DiffFileResponse) -> None:
    assert_parsed_alike(pfs.DiffFileResponse, bytes(difference))


def test_an_absent_nested_message_is_recognized_as_absent() -> None:
    parsed = sdk_messages.deserializer(pfs.DiffFileResponse.FromString)(b"")
    assert not betterproto.serialized_on_wire(parsed.new_file)


def test_every_field_that_the_sdk_knows_is_parsed() -> None:
    for name, cls in sdk_messages._CLASSES.items():
        ours = {field.name: field.number for field in protobuf.message(name).DESCRIPTOR.fields}
        theirs = {field: meta.number for field, meta in cls()._betterproto.meta_by_field_name.items()}
        assert ours == theirs, name


def test_other_messages_are_left_to_the_sdk() -> None:
    for parser in (pfs.RepoInfo.FromString, pfs.FileInfo().parse, bytes, None):
        assert sdk_messages.deserializer(parser) == parser


@pytest.mark.parametrize("over", ["a socket", "no connection"])
def test_the_sdk_parses_no_file_of_a_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over: str) -> None:
    def slow(*_: Any) -> NoReturn:
        pytest.fail("a file was parsed by the SDK, which takes half a millisecond")

    def listed(client: Connection) -> list[list[str]]:
        set_up(client)
        root = pfs.File(commit=client.head(TRAINING), path="/")
        client.pfs.modify_file(
            iter(
                [
                    pfs.ModifyFileRequest(set_commit=client.head(TRAINING)),
                    pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/d/1", raw=b"1")),
                ]
            )
        )
        with monkeypatch.context() as patched:
            for cls in (pfs.FileInfo, pfs.DiffFileResponse):
                patched.setattr(cls, "parse", slow, raising=False)
            return [
                [info.file.path for info in client.pfs.walk_file(file=root)],
                [info.file.path for info in client.pfs.list_file(file=root)],
                [info.file.path for info in client.pfs.glob_file(commit=root.commit, pattern="/d/*")],
                [answer.new_file.file.path for answer in client.pfs.diff_file(new_file=root)],
                [client.pfs.inspect_file(file=pfs.File(commit=root.commit, path="/d/1")).file.path],
            ]

    expected = [["/", "/d/", "/d/1"], ["/d/"], ["/d/1"], ["/", "/d/", "/d/1"], ["/d/1"]]
    if over == "no connection":
        with connect(Target(store=tmp_path / "store")) as client:
            assert listed(client) == expected
        return
    with (
        StoreServer(tmp_path / "store", "127.0.0.1:0") as server,
        connect(Target(pachd=f"grpc://{server.address}")) as client,
    ):
        assert listed(client) == expected


def test_a_time_is_rounded_as_by_the_sdk() -> None:
    info = protobuf.message("FileInfo", committed={"seconds": 1_795_700_000, "nanos": 123_456_789})
    parsed = sdk_messages.deserializer(pfs.FileInfo.FromString)(info.SerializeToString())
    assert parsed.committed == pfs.FileInfo.FromString(info.SerializeToString()).committed
    assert abs(parsed.committed - datetime.fromtimestamp(1_795_700_000, UTC)) < timedelta(seconds=1)
