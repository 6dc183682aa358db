"""Malformed and excessive requests are answered soon with a gRPC error, and the store keeps working."""

import random
from pathlib import Path

import grpc
import pytest
from embedded_store import store
from pachyderm_sdk.api import pfs
from server_under_test import Pachd, refused

from pachyderm.store.files.paths import DEEPEST, LONGEST
from pachyderm.store.maintenance.fsck import check
from pachyderm.store.objects import changes
from pachyderm.store.rpc import grpc_handlers

pytestmark = pytest.mark.embedded

SERVICES = ("pfs", "transaction", "metadata", "version", "admin", "auth", "enterprise", "pps")
DEEP = b""
for _ in range(3000):
    inner = b"\x1a" + bytes([len(DEEP) & 0x7F | 0x80, len(DEEP) >> 7 & 0x7F | 0x80, len(DEEP) >> 14]) + DEEP
    DEEP = inner


@pytest.fixture
def pachd(tmp_path: Path):
    with store(tmp_path) as pachd, grpc.insecure_channel(f"unix:{tmp_path / 's'}") as pachd.channel:
        yield pachd
        assert pachd.files(pachd.write(pachd.branch(pachd.repo("still-there")), {"/a": b"1"})) == {"/a": b"1"}
    assert check(tmp_path / "data") == []


def payloads(rng: random.Random) -> list[bytes]:
    valid = [
        bytes(pfs.GetFileRequest(file=pfs.File(commit=pfs.Commit.from_uri("x@master"), path="/a"), offset=-5)),
        bytes(pfs.ListFileRequest(file=pfs.File(commit=pfs.Commit.from_uri("x@master^99999")), number=-1)),
        bytes(pfs.CreateRepoRequest(repo=pfs.Repo(name="y" * 50_000))),
        bytes(pfs.CreateRepoRequest(repo=pfs.Repo(name="../../etc"))),
        bytes(pfs.InspectCommitRequest(commit=pfs.Commit.from_uri("x@" + "^" * 100_000))),
    ]
    mutated = []
    for data in valid[:2]:
        changed = bytearray(data)
        changed[rng.randrange(len(changed))] = rng.randrange(256)
        mutated.append(bytes(changed))
    return [b"", b"\xff" * 50, rng.randbytes(200), DEEP, b"\x08\xff\xff\xff\xff\x0f", *valid, *mutated]


@pytest.mark.parametrize("service", SERVICES)
def test_no_bytes_make_any_rpc_fail_internally_or_hang(
    pachd: Pachd, service: str, caplog: pytest.LogCaptureFixture
) -> None:
    pachd.client.pfs.create_repo(repo=pfs.Repo(name="x"))
    pachd.branch(pfs.Repo(name="x"))
    channel, rng = pachd.channel, random.Random(service)
    for call in grpc_handlers.calls(f"pachyderm_sdk.api.{service}"):
        if call.name == "DeleteAll":
            continue
        for data in payloads(rng):
            method = getattr(channel, call.kind)(f"/{call.service}/{call.name}")
            request = iter([data]) if call.kind.startswith("stream") else data
            try:
                answer = method(request, timeout=1 if "Subscribe" in call.name else 20)
                for _ in answer if call.kind.endswith("stream") else ():
                    pass
            except grpc.RpcError as error:
                assert error.code() is not grpc.StatusCode.INTERNAL, (call.name, data[:40], error.details())
                if "Subscribe" not in call.name:
                    assert error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED, (call.name, data[:40])
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("path", ["/" + "a" * LONGEST, "/a" * (DEEPEST + 1), "/../a", "a/../b", "/a\n", "/ü", "/", ""])
def test_a_path_that_no_file_can_have_is_refused(pachd: Pachd, path: str) -> None:
    branch = pachd.branch(pachd.repo())
    with refused("invalid"):
        pachd.modify(branch, pfs.AddFile(path=path, raw=b"1"))
    assert pachd.files(pachd.commit(branch)) == {}


def test_the_longest_and_the_deepest_path_are_accepted(pachd: Pachd) -> None:
    files = {"/" + "a" * (LONGEST - 1): b"1", "/b" * (DEEPEST - 1): b"2"}
    assert pachd.files(pachd.write(pachd.branch(pachd.repo()), files)) == files


def test_a_message_beyond_20_MiB_is_refused(pachd: Pachd) -> None:
    with refused("larger than max", grpc.StatusCode.RESOURCE_EXHAUSTED):
        pachd.modify(pachd.branch(pachd.repo()), pfs.AddFile(path="/a", raw=bytes(21 << 20)))


def test_endless_changes_are_refused(pachd: Pachd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST", 1000)
    branch = pachd.branch(pachd.repo())

    def deletes():
        yield pfs.ModifyFileRequest(set_commit=pachd.commit(branch))
        for number in range(5000):
            yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=f"/{number}/"))

    with refused("more than 1000 changes in one write", grpc.StatusCode.RESOURCE_EXHAUSTED):
        pachd.client.pfs.modify_file(deletes())


@pytest.mark.long
def test_a_million_deletes_are_answered_in_bounded_memory(pachd: Pachd) -> None:
    branch = pachd.branch(pachd.repo())
    raw = pachd.channel.stream_unary("/pfs_v2.API/ModifyFile")

    def deletes():
        yield bytes(pfs.ModifyFileRequest(set_commit=pachd.commit(branch)))
        for number in range(changes.MOST + 1):
            path = b"/%d/%d" % (number % 1000, number)
            yield b"\x1a" + bytes([len(path) + 2]) + b"\x0a" + bytes([len(path)]) + path

    with refused("changes in one write", grpc.StatusCode.RESOURCE_EXHAUSTED):
        raw(deletes())


def test_a_name_of_10_MB_is_refused(pachd: Pachd) -> None:
    with refused("more than", grpc.StatusCode.INVALID_ARGUMENT):
        pachd.client.pfs.create_repo(repo=pfs.Repo(name="y" * 10_000_000))


def test_an_rpc_that_is_not_served_is_refused_by_name(pachd: Pachd) -> None:
    with refused("Egress", grpc.StatusCode.UNIMPLEMENTED):
        pachd.client.pfs.egress(commit=pfs.Commit.from_uri("x@master"))
    with refused("/nowhere.API/Nothing", grpc.StatusCode.UNIMPLEMENTED):
        pachd.channel.unary_unary("/nowhere.API/Nothing")(b"")
    with refused("auth service is not activated", grpc.StatusCode.UNIMPLEMENTED):
        pachd.channel.unary_unary("/auth_v2.API/WhoAmI")(b"")


def test_health_is_served(pachd: Pachd) -> None:
    assert pachd.channel.unary_unary("/grpc.health.v1.Health/Check")(b"") == b"\x08\x01"
