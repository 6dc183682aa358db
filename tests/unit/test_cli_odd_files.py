"""`put` and `get` of odd files: links, names that no local file can have, and content that the store holds damaged."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from command_line import pix2pix
from pachyderm_sdk.api import pfs

from pachyderm.client.connection import Target, connect
from pachyderm.client.file_names import local_paths
from pachyderm.dag.repos import TRAINING

Capture = pytest.CaptureFixture[str]

LARGE = bytes(range(256)) * 8192
"""2 MiB: a list of two blocks."""


@pytest.fixture
def store(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PACHD_ADDRESS", raising=False)
    monkeypatch.delenv("PIX2PIX_STORE", raising=False)
    folder = tmp_path / "store"
    assert pix2pix(capsys, "--store", folder, "setup").code == 0
    return folder


def listed(store: Path, capsys: Capture) -> list[str]:
    return [entry["path"] for entry in pix2pix(capsys, "--store", store, "ls", "training", "--json").document]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "cats").mkdir(parents=True)
    (folder / "cats" / "a.png").write_bytes(b"A")
    return folder


def test_links_to_files_and_folders_inside_the_source_are_followed(store: Path, source: Path, capsys: Capture) -> None:
    (source / "more").symlink_to("cats", target_is_directory=True)
    (source / "b.png").symlink_to(source / "cats" / "a.png")
    (source / "cats" / "itself").symlink_to("a.png")
    assert pix2pix(capsys, "--store", store, "put", "training", source).code == 0
    assert listed(store, capsys) == [
        "/b.png",
        "/cats/a.png",
        "/cats/itself",
        "/more/a.png",
        "/more/itself",
    ]


@pytest.mark.parametrize("kind", ["file", "folder", "nothing", "above", "circle", "round trip"])
def test_links_out_of_the_source_or_into_themselves_are_refused_by_name(
    store: Path, source: Path, tmp_path: Path, capsys: Capture, kind: str
) -> None:
    link = source / "cats" / "link"
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    target = {
        "file": outside / "secret",
        "folder": outside,
        "nothing": outside / "missing",
        "above": source,
        "circle": link,
        "round trip": source / "dogs",
    }[kind]
    link.symlink_to(target)
    if kind == "round trip":
        (source / "dogs").mkdir()
        (source / "dogs" / "back").symlink_to(source / "cats")
    result = pix2pix(capsys, "--store", store, "put", "training", source)
    assert result.code == 2
    assert str(link) in result.err or "dogs/back" in result.err
    assert len(result.err.splitlines()) == 1
    assert listed(store, capsys) == []


def put_as_stored(store: Path, paths: list[str]) -> None:
    with connect(Target(store=store)) as client:
        requests = [pfs.ModifyFileRequest(set_commit=client.head(TRAINING))]
        requests += [pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=path.encode())) for path in paths]
        client.pfs.modify_file(iter(requests))


def test_names_that_cannot_be_local_are_saved_under_others_and_reported(
    store: Path, tmp_path: Path, capsys: Capture
) -> None:
    long, deep = "/" + "x" * 300 + ".png", "/" + "/".join(["y" * 203] * 20)
    odd = ["/a%00b", "/c%00d/e.png", long, deep]
    put_as_stored(store, ["/plain.png", "/a%2500b", "/%C3%A9.png", *odd])
    result = pix2pix(capsys, "--store", store, "get", "training", tmp_path / "out", "--json")
    assert result.code == 0
    renamed = result.document["renamed"]
    assert set(renamed) == {*odd, "/a%2500b"}
    for stored, local in renamed.items():
        assert (tmp_path / "out" / local).read_text() == stored
        assert f"{stored} cannot be decoded to the name of a local file; it is saved as {local}" in result.err
    assert (tmp_path / "out" / "a%00b").read_text() == "/a%00b"
    assert (tmp_path / "out" / "é.png").read_text() == "/%C3%A9.png"
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 7


def test_local_paths_differ_whatever_the_stored_ones_are() -> None:
    stored = ["/a%00b", "/a%2500b", "/a%252500b", "/a%25252500b", "/a", "/%61", "/x%2Fy", "/x%252Fy", "/d%00/e", "/d/e"]
    found = local_paths(stored, "/target")
    assert len(set(found.values())) == len(stored)
    assert all("\0" not in local and not local.startswith("/") for local in found.values())
    assert found["/a%00b"] == "a%00b"
    assert found["/a"] == "a"


@pytest.mark.parametrize("content", [b"small", b"m" * 200_000, LARGE], ids=len)
def test_put_resend_restores_damaged_content_without_a_commit(
    store: Path, source: Path, tmp_path: Path, capsys: Capture, content: bytes
) -> None:
    (source / "cats" / "a.png").write_bytes(content)
    pix2pix(capsys, "--store", store, "put", "training", source)
    for pack in (store / "objects" / "packs").iterdir():
        pack.write_bytes(bytes(pack.stat().st_size))
    with sqlite3.connect(store / "store.db") as connection:
        connection.execute("UPDATE inlined SET data=zeroblob(length(data))")
    connection.close()
    assert pix2pix(capsys, "--store", store, "get", "training", tmp_path / "damaged").code == 1
    again = pix2pix(capsys, "--store", store, "put", "training", source, "--resend", "--json").document
    assert (again["commit"], again["files_put"], again["files_resent"]) == (None, 0, 1)
    assert pix2pix(capsys, "--store", store, "get", "training", tmp_path / "out").code == 0
    assert (tmp_path / "out" / "cats" / "a.png").read_bytes() == content
    assert pix2pix(capsys, "--store", store, "store", "fsck").code == 0
    assert len(pix2pix(capsys, "--store", store, "log", "training", "--json").document) == 2
