"""TAR archives: byte for byte those of `tarfile`."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path

import pytest
from embedded_store import packs, store
from hypothesis import given, settings
from hypothesis import strategies as st
from pachyderm_sdk.api import pfs

from pachyderm.store.files.tar_headers import tar_header
from pachyderm.store.objects import blocks
from pachyderm.store.objects.blocks import BLOCK, Location
from pachyderm.store.objects.engine import Engine

pytestmark = pytest.mark.embedded


def header_of_tarfile(path: str, size: int, folder: bool) -> bytes:
    member = tarfile.TarInfo(path)
    member.mode, member.size = 0o777, size
    if folder:
        member.type = tarfile.DIRTYPE
    return member.tobuf(tarfile.PAX_FORMAT)


names = st.text(st.characters(min_codepoint=1, max_codepoint=0x17F, exclude_categories=["Cs"]), max_size=120)


@settings(deadline=None)
@given(st.text("abc/ 1", max_size=140) | names, st.integers(0, 2**34))
def test_a_header_is_the_one_that_tarfile_writes(name: str, size: int) -> None:
    assert tar_header("/" + name + "x", size, folder=False) == header_of_tarfile("/" + name + "x", size, False)
    folder = "/" + name.rstrip("/") + "/"
    assert tar_header(folder, 0, folder=True) == header_of_tarfile(folder, 0, True)


def test_files_of_every_size_are_in_the_archive_once_and_whole(tmp_path: Path) -> None:
    rng = random.Random(1)
    small = {f"/many/{number:04d}": rng.randbytes(number % 700) for number in range(2 * blocks.LOCATED + 3)}
    large = {"/large": rng.randbytes(BLOCK + 1), "/block": rng.randbytes(BLOCK), "/empty": b"", "/again": b"twice"}
    with store(tmp_path) as pachd:
        branch = pachd.branch(pachd.repo())
        pachd.write(branch, small | large)
        commit = pachd.write(branch, {"/in/the/database": b"few", "/same": b"twice"})
        pieces = pachd.client.pfs.get_file_tar(file=pachd.file(commit, "/"))
        with tarfile.open(fileobj=io.BytesIO(b"".join(piece.value for piece in pieces))) as archive:
            found = [
                (member.name, extracted.read() if (extracted := archive.extractfile(member)) else None)
                for member in archive
            ]
    files = small | large | {"/in/the/database": b"few", "/same": b"twice"}
    assert [(name, data) for name, data in found if data is not None] == sorted(files.items())
    assert [name for name, data in found if data is None] == ["", "/in", "/in/the", "/many"]


def test_a_block_that_was_moved_after_it_was_located_is_read(tmp_path: Path) -> None:
    data = random.Random(2).randbytes(100_000)
    with store(tmp_path) as pachd:
        pachd.write(pachd.branch(pachd.repo()), {"/a": data})
    [pack] = packs(tmp_path)
    engine = Engine.open(tmp_path / "data")
    try:
        block = blocks.identify(data)
        located = engine.blocks.locate([block, bytes(32)])
        assert located == {block: Location(pack.name, 0, len(data))}
        assert engine.blocks.read(block, Location("collected.pack", 0, 5)) == data
    finally:
        engine.close()


def test_a_request_with_two_bodies_is_read_as_its_last(tmp_path: Path) -> None:
    """Protobuf's rule for a oneof."""
    with store(tmp_path) as pachd:
        branch = pachd.branch(pachd.repo())
        commit = pachd.start(branch)
        add = bytes(pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/a", raw=b"1")))
        delete = bytes(pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="/b")))
        first = bytes(pfs.ModifyFileRequest(set_commit=commit))
        raw = pachd.client._channel.stream_unary("/pfs_v2.API/ModifyFile")
        raw(iter([first, delete + add]))
        assert pachd.files(commit) == {"/a": b"1"}
        raw(iter([first, add.replace(b"/a", b"/c") + delete]))
        assert pachd.files(commit) == {"/a": b"1"}
