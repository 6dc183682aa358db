"""A store on a file system that is full or read-only: what is there is read, writes name the cause, gc frees space."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from command_line import CommandResult, pix2pix
from pachyderm_sdk.api import pfs
from small_disk import fill, read_only, small_disk

from pachyderm.client.connection import Target, connect
from pachyderm.client.files import read
from pachyderm.client.upload import put
from pachyderm.dag.repos import TRAINING
from pachyderm.store.database import reserve
from pachyderm.store.maintenance import gc
from pachyderm.store.rpc.server import StoreServer

Capture = pytest.CaptureFixture[str]

READING = (("status",), ("log", "training"), ("ls", "training"), ("models",), ("plan",), ("store", "fsck"))


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PACHD_ADDRESS", "PIX2PIX_STORE"):
        monkeypatch.delenv(name, raising=False)


def pictures(folder: Path, seed: int, count: int = 3, size: int = 100_000) -> Path:
    rng = random.Random(seed)
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"{seed}-{number}.png").write_bytes(rng.randbytes(size))
    return folder


def set_up(capsys: Capture, store: Path, source: Path) -> None:
    assert pix2pix(capsys, "--store", store, "setup").code == 0
    assert pix2pix(capsys, "--store", store, "put", "training", source).code == 0


def reads(capsys: Capture, store: Path, source: Path, target: Path) -> None:
    """Check that everything that only reads works and is right."""
    for words in READING:
        result = pix2pix(capsys, "--store", store, *words)
        assert (result.code, result.err) == (0, ""), words
    assert pix2pix(capsys, "--store", store, "get", "training", target).code == 0
    for path in source.iterdir():
        assert (target / path.name).read_bytes() == path.read_bytes()
    shutil.rmtree(target)


def one_line(result: CommandResult, code: int, *words: str) -> None:
    assert result.code == code
    assert len(result.err.splitlines()) == 1, result.err
    assert all(word in result.err for word in words), result.err


def test_a_store_on_a_full_disk_is_read_and_goes_on_once_there_is_space(tmp_path: Path, capsys: Capture) -> None:
    source, more = pictures(tmp_path / "source", 1), pictures(tmp_path / "more", 2)
    with small_disk(tmp_path / "disk", 8) as disk:
        store = disk / "store"
        set_up(capsys, store, source)
        filler = fill(disk)
        reads(capsys, store, source, tmp_path / "out")
        for words in (("put", "training", more), ("store", "fsck", "--repair")):
            one_line(pix2pix(capsys, "--store", store, "-q", *words), 1, f"{store}", "is full; free some space")
        result = pix2pix(capsys, "--store", store, "-q", "get", "training", disk / "out")
        one_line(result, 1, str(disk), ".png: No space left on device; free some space")
        assert {path.name for path in disk.iterdir()} == {"store", filler.name}
        filler.unlink()
        assert pix2pix(capsys, "--store", store, "put", "training", more).code == 0
        assert pix2pix(capsys, "--store", store, "store", "fsck").code == 0


def test_a_store_that_others_have_open_on_a_full_disk_is_read(tmp_path: Path, capsys: Capture) -> None:
    source, more = pictures(tmp_path / "source", 1), pictures(tmp_path / "more", 2)
    with small_disk(tmp_path / "disk", 8) as disk:
        store = disk / "store"
        set_up(capsys, store, source)
        with StoreServer(store, f"unix:{tmp_path / 's'}"), connect(Target(store=store)) as client:
            put(client, TRAINING, {"/late": next(iter(more.iterdir()))})
            fill(disk)
            reads(capsys, store, source, tmp_path / "out")
            one_line(pix2pix(capsys, "--store", store, "-q", "put", "training", more), 1, "is full; free some space")


@pytest.mark.parametrize("size", [100, 60_000, 1_000_000], ids=["inlined", "packs", "large"])
def test_gc_frees_a_disk_without_any_space(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """One transaction deletes everything within the reserved space, or many do if that is too small."""
    if size == 100:
        monkeypatch.setattr(reserve, "SIZE", 160_000)
        monkeypatch.setattr(gc, "FIRST_STEP", 5)
    kept = pictures(tmp_path / "kept", 1)
    doomed = pictures(tmp_path / "doomed", 2, count=3_000_000 // max(size, 3500), size=size)
    with small_disk(tmp_path / "disk", 12) as disk:
        store = disk / "store"
        set_up(capsys, store, kept)
        commit = pix2pix(capsys, "--store", store, "put", "input_images", doomed, "--json").document["commit"]
        with connect(Target(store=store)) as client:
            client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=commit))
        fill(disk)
        document = pix2pix(capsys, "--store", store, "store", "gc", "--grace", "0", "--json").document
        assert document["bytes"] >= sum(path.stat().st_size for path in doomed.iterdir())
        reads(capsys, store, kept, tmp_path / "out")
        assert pix2pix(capsys, "--store", store, "put", "training", pictures(tmp_path / "next", 3, 1, size)).code == 0
        # What was inside SQLite's file becomes free inside it.
        assert (store / "store.db-reserve").exists() == (size > 100)


def test_gc_removes_what_a_killed_writer_left_at_once(tmp_path: Path, capsys: Capture) -> None:
    store = tmp_path / "store"
    pix2pix(capsys, "--store", store, "setup")
    (store / "objects" / "parts" / "left.pack").write_bytes(bytes(1000))
    document = pix2pix(capsys, "--store", store, "store", "gc", "--json").document
    assert (document["packs"], document["bytes"]) == (1, 1000)


def test_a_read_only_store_is_read_and_writes_name_the_cause(tmp_path: Path, capsys: Capture) -> None:
    source, folder = pictures(tmp_path / "source", 1), tmp_path / "folder"
    folder.mkdir()
    set_up(capsys, folder / "store", source)
    with read_only(folder, tmp_path / "view") as view:
        store = view / "store"
        reads(capsys, store, source, tmp_path / "out")
        before = sorted(folder.rglob("*"))
        more = pictures(tmp_path / "more", 2)
        for words in (("put", "training", more), ("store", "gc"), ("store", "fsck", "--repair")):
            one_line(pix2pix(capsys, "--store", store, "-q", *words), 2, str(store), "is read-only")
        one_line(pix2pix(capsys, "--store", view / "new", "setup"), 2, "cannot be written", "Read-only file system")
        assert sorted(folder.rglob("*")) == before


def test_a_read_only_view_of_a_store_in_use_shows_each_commit(tmp_path: Path, capsys: Capture) -> None:
    """Also after the log has been written back, and after the last writer has closed the store."""
    source, folder = pictures(tmp_path / "source", 1), tmp_path / "folder"
    folder.mkdir()
    set_up(capsys, folder / "store", source)
    new = tmp_path / "new"
    with read_only(folder, tmp_path / "view") as view, connect(Target(store=view / "store")) as reader:
        for number in range(3):
            with connect(Target(store=folder / "store")) as writer:
                for part in range(2):
                    new.write_text(f"{number}.{part}")
                    commit = put(writer, TRAINING, {"/new": new}).commit
                    assert commit is not None
                    assert read(reader, "training", commit, "/new") == new.read_bytes()
            assert read(reader, "training", commit, "/new") == new.read_bytes()


def test_a_collection_in_steps_removes_what_one_transaction_does(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, doomed = pictures(tmp_path / "kept", 1), pictures(tmp_path / "doomed", 2, count=50, size=5000)
    monkeypatch.setattr(gc, "FIRST_STEP", 3)
    found = []
    for kind in ("whole", "steps"):
        store = tmp_path / kind
        set_up(capsys, store, kept)
        commit = pix2pix(capsys, "--store", store, "put", "input_images", doomed, "--json").document["commit"]
        with connect(Target(store=store)) as client:
            client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=commit))
        if kind == "steps":
            step = gc._step

            def full(engine, grace, budget, step=step):
                if budget.whole:
                    raise OSError(28, "No space left on device")
                return step(engine, grace, budget)

            monkeypatch.setattr(gc, "_step", full)
        found.append(gc.collect(store, grace=0))
        assert pix2pix(capsys, "--store", store, "store", "fsck").code == 0
    assert found[0] == found[1]
