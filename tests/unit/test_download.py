"""Downloads transfer the folder that is wanted, not the whole commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pachyderm.client import download as download_module
from pachyderm.client import files as files_module
from pachyderm.client.check_out import check_out
from pachyderm.client.commits import Commit, head
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.download import FEW, download
from pachyderm.client.files import files, matching
from pachyderm.client.upload import put
from pachyderm.dag.repos import TRAINING
from pachyderm.dag.setup import set_up
from pachyderm.errors import StorageError

LARGE = bytes(3 << 20)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Connection]:
    with connect(Target(store=tmp_path / "store")) as connected:
        set_up(connected)
        yield connected


@pytest.fixture
def commit(client: Connection, tmp_path: Path) -> Commit:
    """A commit with many small files in one folder and a large file in another."""
    contents = {f"/states/mine/{number:02}": b"%02d" % number for number in range(FEW + 4)}
    contents |= {"/states/others/weights": LARGE, "/top": b"top"}
    sources = {}
    for path, content in contents.items():
        sources[path] = tmp_path / "local" / path.lstrip("/")
        sources[path].parent.mkdir(parents=True, exist_ok=True)
        sources[path].write_bytes(content)
    put(client, TRAINING, sources)
    return head(client, TRAINING)


def transferred(client: Connection, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the bytes of each message of a tar that the server sends from now on."""
    sizes: list[int] = []
    get_file_tar = client.pfs.get_file_tar

    def recorded(**arguments: Any) -> Iterator[Any]:
        for message in get_file_tar(**arguments):
            sizes.append(len(message.value))
            yield message

    monkeypatch.setattr(client.pfs, "get_file_tar", recorded)
    return sizes


@pytest.mark.parametrize("whole", [False, True])
def test_files_of_one_folder_are_downloaded_without_those_of_others(
    client: Connection, commit: Commit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    sizes = transferred(client, monkeypatch)
    wanted = files(client, commit.repo, commit.id, "/states/mine")
    assert len(wanted) > FEW
    download(client, commit.repo, commit.id, wanted, tmp_path / "out", whole=whole)
    arrived = {path.name: path.read_bytes() for path in (tmp_path / "out" / "states" / "mine").iterdir()}
    assert arrived == {f"{number:02}": b"%02d" % number for number in range(FEW + 4)}
    assert 0 < sum(sizes) < len(LARGE)


def test_files_of_several_folders_arrive_in_one_request(client: Connection, commit: Commit, tmp_path: Path) -> None:
    wanted = files(client, commit.repo, commit.id)
    download(client, commit.repo, commit.id, wanted, tmp_path / "out")
    assert (tmp_path / "out" / "states" / "others" / "weights").read_bytes() == LARGE
    assert (tmp_path / "out" / "top").read_bytes() == b"top"
    assert len(list((tmp_path / "out" / "states" / "mine").iterdir())) == FEW + 4


def test_a_file_that_is_missing_from_the_tar_is_an_error(client: Connection, commit: Commit, tmp_path: Path) -> None:
    wanted = files(client, commit.repo, commit.id, "/states/mine")
    wanted["/states/mine/gone"] = next(iter(wanted.values()))
    with pytest.raises(StorageError, match=f"1 of {len(wanted)} files of {commit} did not arrive"):
        download(client, commit.repo, commit.id, wanted, tmp_path / "out")


def test_nothing_outside_the_range_of_the_wanted_files_is_transferred(
    client: Connection, commit: Commit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived: list[str] = []
    listed = download_module.members

    def counted(*arguments: Any) -> Iterator[tuple[str, Any]]:
        for path, stream in listed(*arguments):
            arrived.append(path)
            yield path, stream

    monkeypatch.setattr(download_module, "members", counted)
    wanted = files(client, commit.repo, commit.id, "/states/mine")
    first, *others = sorted(wanted)
    download(client, commit.repo, commit.id, {path: wanted[path] for path in others}, tmp_path / "out")
    assert arrived == others
    assert first not in arrived


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/{states/mine/*[05],top}", ["states/mine/00", "states/mine/05", "states/mine/10", "states/mine/15", "top"]),
        ("/states/@(mine)", [f"states/mine/{number:02}" for number in range(FEW + 4)]),
    ],
)
def test_files_that_match_a_pattern_are_downloaded_without_a_listing_and_without_those_between(
    client: Connection,
    commit: Commit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pattern: str,
    found: list[str],
) -> None:
    monkeypatch.setattr(download_module, "FEW", 1)
    listed = []
    call_stream = files_module.call_stream

    def recorded(client: Connection, method: str, *rest: Any, **more: Any) -> Any:
        listed.append((method, str(more)))
        return call_stream(client, method, *rest, **more)

    monkeypatch.setattr(files_module, "call_stream", recorded)
    sizes = transferred(client, monkeypatch)
    entries = matching(client, commit.repo, commit.id, pattern)
    check_out(client, commit, entries, tmp_path / "out", whole=False, pattern=pattern)
    out = tmp_path / "out"
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == found
    assert [method for method, arguments in listed if "/states/mine" not in arguments] == ["GlobFile"]
    assert sum(sizes) < len(LARGE), "the file between them is not transferred"
