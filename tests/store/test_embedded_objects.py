"""What the embedded store promises about bytes: stored once, verified when read, moved aside if damaged, collected."""

import hashlib
import itertools
import random
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from embedded_store import bytes_on_disk, packs, store
from pachyderm_sdk.api import pfs
from server_under_test import Pachd, refused, soon

from pachyderm.store import private_files
from pachyderm.store.database.schema import DATABASE
from pachyderm.store.maintenance.fsck import check
from pachyderm.store.maintenance.gc import collect
from pachyderm.store.objects.block_writer import INLINE
from pachyderm.store.objects.blocks import BLOCK

pytestmark = pytest.mark.embedded

RNG = random.Random(7)
SMALL, MIDDLE, LARGE = b"small", RNG.randbytes(2 * INLINE), RNG.randbytes(3 * BLOCK + 17)


def hashed(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32).digest()


def stream(branch: pfs.Branch, path: str, pieces: list[bytes]):
    yield pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=branch.repo, branch=branch))
    yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path))
    for piece in pieces:
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=piece))


def file_hash(pachd: Pachd, commit: pfs.Commit | pfs.Branch, path: str) -> bytes:
    return pachd.client.pfs.inspect_file(file=pfs.File(commit=pachd.commit(commit), path=path)).hash


@pytest.mark.parametrize("data", [b"", SMALL, MIDDLE, LARGE[: 1_000_000 - 1]], ids=len)
def test_the_hash_of_a_file_below_1_MB_is_pachds(tmp_path: Path, data: bytes) -> None:
    with store(tmp_path) as pachd:
        commit = pachd.write(pachd.branch(pachd.repo()), {"/a": data})
        assert file_hash(pachd, commit, "/a") == hashed(hashed(data))


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=len)
def test_equal_bytes_have_equal_hashes_however_they_were_sent(tmp_path: Path, data: bytes) -> None:
    rng = random.Random(3)
    with store(tmp_path) as pachd:
        branch = pachd.branch(pachd.repo())
        found = set()
        for _ in range(4):
            cuts = sorted({0, len(data), *(rng.randrange(len(data)) for _ in range(5))})
            pieces = [data[a:b] for a, b in itertools.pairwise(cuts)]
            pachd.client.pfs.modify_file(stream(branch, "/a", pieces))
            found.add(file_hash(pachd, branch, "/a"))
            assert pachd.read(pachd.commit(branch), "/a") == data
        assert len(found) == 1


def test_appends_give_the_bytes_one_after_the_other(tmp_path: Path) -> None:
    with store(tmp_path) as pachd:
        branch = pachd.branch(pachd.repo())
        expected = b""
        for size in (10, BLOCK - 10, 5, 2 * BLOCK, 1):
            data = RNG.randbytes(size)
            expected += data
            pachd.modify(branch, pfs.AddFile(path="/a", raw=data))
            assert pachd.read(pachd.commit(branch), "/a") == expected
        whole = pachd.write(branch, {"/b": expected})
        assert file_hash(pachd, whole, "/a") == file_hash(pachd, whole, "/b")
    assert check(tmp_path / "data") == []


def test_equal_content_is_kept_once_in_all_repos(tmp_path: Path) -> None:
    with store(tmp_path) as pachd:
        pachd.write(pachd.branch(pachd.repo("one")), {"/a": LARGE, "/again": LARGE})
        once = bytes_on_disk(tmp_path)
        pachd.write(pachd.branch(pachd.repo("two")), {"/other": LARGE})
    assert once == bytes_on_disk(tmp_path) == len(LARGE)


def test_a_stream_of_many_files_makes_one_pack(tmp_path: Path) -> None:
    with store(tmp_path) as pachd:
        pachd.write(pachd.branch(pachd.repo()), {f"/{i}": RNG.randbytes(3000) for i in range(100)})
    assert len(packs(tmp_path)) == 1


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


def test_a_damaged_file_is_refused_named_moved_aside_and_healed_by_putting_it_again(tmp_path: Path) -> None:
    with store(tmp_path) as pachd:
        branch = pachd.branch(pachd.repo())
        good = pachd.write(branch, {"/good": MIDDLE})
        bad = pachd.write(branch, {"/bad": LARGE})
        damaged = next(path for path in packs(tmp_path) if path.stat().st_size == len(LARGE))
        flip(damaged, BLOCK + 5)
        with refused("is damaged; run `pix2pix store fsck`", grpc.StatusCode.DATA_LOSS):
            pachd.read(bad, "/bad")
        assert pachd.read(good, "/good") == MIDDLE
        assert [problem.code for problem in check(tmp_path / "data")] == ["DAMAGED"]
        assert [problem.repaired for problem in check(tmp_path / "data", repair=True)] == [True]
        aside = list((tmp_path / "data" / "bad").iterdir())
        assert [path.stat().st_size for path in aside] == [BLOCK]
        missing = check(tmp_path / "data")
        assert [problem.code for problem in missing] == ["MISSING"]
        assert "/bad" in missing[0].what or "bad" in missing[0].what
        with refused("is missing", grpc.StatusCode.DATA_LOSS):
            pachd.read(bad, "/bad")
        pachd.write(branch, {"/again": LARGE})
        assert pachd.read(bad, "/bad") == LARGE
    assert check(tmp_path / "data") == []


@pytest.mark.parametrize(("table", "column"), [("inlined", "data"), ("lists", "blocks"), ("pages", "data")])
def test_a_damaged_row_is_found(tmp_path: Path, table: str, column: str) -> None:
    with store(tmp_path) as pachd:
        branch = pachd.branch(pachd.repo())
        pachd.write(branch, {"/small": SMALL})
        commit = pachd.write(branch, {"/large": LARGE})
    connection = sqlite3.connect(tmp_path / "data" / DATABASE)
    name, data = connection.execute(f"SELECT id, {column} FROM {table} ORDER BY rowid DESC LIMIT 1").fetchone()
    connection.execute(f"UPDATE {table} SET {column}=? WHERE id=?", (bytes([data[0] ^ 1]) + data[1:], name))
    connection.commit()
    connection.close()
    found = check(tmp_path / "data")
    assert found[0].code == "DAMAGED"
    assert name.hex() in found[0].where
    with store(tmp_path) as pachd, refused("pix2pix store fsck", grpc.StatusCode.DATA_LOSS):
        pachd.files(commit)


def flips(tmp_path: Path, count: int) -> None:
    with store(tmp_path) as pachd:
        branch = pachd.branch(pachd.repo())
        pachd.write(branch, {f"/{i}": RNG.randbytes(RNG.randrange(100, 20_000)) for i in range(count)})
    pack = packs(tmp_path)[0]
    for _ in range(count):
        offset = RNG.randrange(pack.stat().st_size)
        flip(pack, offset)
        assert [problem.code for problem in check(tmp_path / "data")] == ["DAMAGED"]
        flip(pack, offset)
    assert check(tmp_path / "data") == []


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    flips(tmp_path, 15)


@pytest.mark.long
def test_every_one_of_200_flipped_bytes_is_found(tmp_path: Path, volume: Callable[[int, int], int]) -> None:
    flips(tmp_path, volume(200, 30))


def test_a_missing_pack_is_found(tmp_path: Path) -> None:
    with store(tmp_path) as pachd:
        commit = pachd.write(pachd.branch(pachd.repo()), {"/a": LARGE})
    packs(tmp_path)[0].unlink()
    assert check(tmp_path / "data")[0].code == "MISSING"
    with store(tmp_path) as pachd, refused("is missing", grpc.StatusCode.DATA_LOSS):
        pachd.read(commit, "/a")


def test_a_collection_removes_what_was_dropped_and_nothing_else(tmp_path: Path) -> None:
    with store(tmp_path) as pachd:
        branch = pachd.branch(pachd.repo())
        kept = pachd.write(branch, {"/kept": MIDDLE, "/small": SMALL})
        dropped = pachd.write(branch, {"/dropped": LARGE, "/tiny": b"tiny"})
        pachd.client.pfs.drop_commit(commit=dropped)
        before = bytes_on_disk(tmp_path)
        assert collect(tmp_path / "data", grace=3600).bytes == 0
        assert bytes_on_disk(tmp_path) == before
        done = collect(tmp_path / "data", grace=0)
        assert done.packs == 1
        assert done.bytes == len(LARGE) + len(b"tiny") + 4 * 32
        assert pachd.files(kept) == {"/kept": MIDDLE, "/small": SMALL}
        again = pachd.write(branch, {"/dropped": LARGE})
        assert pachd.read(again, "/dropped") == LARGE
    assert check(tmp_path / "data") == []


def test_a_collection_rewrites_a_pack_of_mostly_dead_blocks(tmp_path: Path) -> None:
    with store(tmp_path) as pachd:
        branch = pachd.branch(pachd.repo())
        doomed = pachd.write(branch, {"/a": LARGE, "/b": MIDDLE})
        kept = pachd.write(pachd.branch(pachd.repo("other")), {"/b": MIDDLE})
        pachd.client.pfs.drop_commit(commit=doomed)
        collect(tmp_path / "data", grace=0)
        assert bytes_on_disk(tmp_path) == len(MIDDLE)
        assert pachd.files(kept) == {"/b": MIDDLE}
    assert check(tmp_path / "data") == []


def test_a_collection_removes_files_that_a_crash_left_behind_and_none_that_is_being_written(tmp_path: Path) -> None:
    with store(tmp_path):
        pass
    paths = [tmp_path / "data" / "objects" / name / "left.pack" for name in ("parts", "packs")]
    for path in paths:
        with private_files.create(path) as file:
            file.write(b"x")
            file.flush()
            collect(tmp_path / "data", grace=0)
            assert path.exists()
        assert collect(tmp_path / "data", grace=3600).packs == (path.parent.name == "parts")
        assert not path.exists()


def test_a_collection_during_a_write_refuses_it_or_leaves_it_whole(tmp_path: Path) -> None:
    """The write depends on a block that the collection removes before the write is recorded."""
    with store(tmp_path) as pachd:
        branch = pachd.branch(pachd.repo())
        pachd.client.pfs.drop_commit(commit=pachd.write(branch, {"/a": LARGE}))
        middle, end = threading.Event(), threading.Event()

        def slowly():
            yield from stream(branch, "/again", [LARGE])
            middle.set()
            end.wait(30)

        writing = soon(lambda: pachd.client.pfs.modify_file(slowly()))
        middle.wait(30)
        while not pachd.connect().pfs.inspect_repo(repo=branch.repo):
            raise AssertionError
        collect(tmp_path / "data", grace=0)
        end.set()
        error = writing.exception(30)
        if error is not None:
            assert isinstance(error, grpc.RpcError)
            assert error.code() is grpc.StatusCode.ABORTED
            pachd.client.pfs.modify_file(stream(branch, "/again", [LARGE]))
        assert pachd.read(pachd.commit(branch), "/again") == LARGE
    assert check(tmp_path / "data") == []


@pytest.mark.parametrize("data", [SMALL, MIDDLE, LARGE], ids=len)
def test_a_collection_during_a_copy_refuses_it_or_leaves_it_whole(tmp_path: Path, data: bytes) -> None:
    with store(tmp_path) as pachd:
        branch = pachd.branch(pachd.repo())
        doomed = pachd.write(branch, {"/a": data})
        middle, end = threading.Event(), threading.Event()

        def slowly():
            source = pfs.File(commit=doomed, path="/a")
            yield pfs.ModifyFileRequest(copy_file=pfs.CopyFile(dst="/copy", src=source))
            for number in range(50):
                yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=f"/{number}"))
            middle.set()
            end.wait(30)

        copying = soon(lambda: pachd.client.pfs.create_file_set(slowly()))
        middle.wait(30)
        pachd.client.pfs.drop_commit(commit=doomed)
        collect(tmp_path / "data", grace=0)
        end.set()
        error = copying.exception(30)
        assert error is None or isinstance(error, grpc.RpcError)
        assert error is None or error.code() in (grpc.StatusCode.ABORTED, grpc.StatusCode.NOT_FOUND)
    assert check(tmp_path / "data") == []
