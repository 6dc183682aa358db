"""A folder of a commit's files appears whole, and a large download goes on where it was interrupted."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pachyderm.client import check_out as check_out_module
from pachyderm.client.check_out import check_out
from pachyderm.client.commits import Commit, head
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.download import download
from pachyderm.client.files import files
from pachyderm.client.upload import put
from pachyderm.dag.repos import INPUT_IMAGES
from pachyderm.dag.setup import set_up

NAMES = [f"/{number // 10}/{number:02}.png" for number in range(30)]


class DownloadInterruptedError(Exception):
    """Raised in the middle of a download."""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Connection]:
    with connect(Target(store=tmp_path / "store")) as connected:
        set_up(connected)
        yield connected


@pytest.fixture
def commit(client: Connection, tmp_path: Path) -> Commit:
    sources = {}
    for name in NAMES:
        sources[name] = tmp_path / "local" / name.replace("/", "-")
        sources[name].parent.mkdir(exist_ok=True)
        sources[name].write_text(f"content of {name}")
    put(client, INPUT_IMAGES, sources)
    return head(client, INPUT_IMAGES)


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the list of what each download asks for; every interrupted download is kept."""
    asked: list[list[str]] = []

    def recorded(
        client: Connection, repo: str, commit_id: str, entries: Mapping[str, Any], *rest: Any, **k: Any
    ) -> None:
        asked.append(list(entries))
        download(client, repo, commit_id, entries, *rest, **k)

    monkeypatch.setattr(check_out_module, "download", recorded)
    monkeypatch.setattr(check_out_module, "WORTH_KEEPING", (5, 1 << 30))
    return asked


def interrupt_at(last: int) -> Any:
    def show(done: int, total: int, path: str) -> None:
        assert total == len(NAMES)
        if done == last:
            raise DownloadInterruptedError

    return show


def check(out: Path) -> None:
    assert {f"/{path.relative_to(out)}" for path in out.rglob("*") if path.is_file()} == set(NAMES)
    assert all((out / name.lstrip("/")).read_text() == f"content of {name}" for name in NAMES)


def get(client: Connection, commit: Commit, out: Path, last: int = 0) -> None:
    check_out(client, commit, files(client, commit.repo, commit.id), out, whole=True, show=interrupt_at(last))


def test_a_download_goes_on_where_it_was_interrupted(
    client: Connection, commit: Commit, tmp_path: Path, wanted: list[list[str]]
) -> None:
    out = tmp_path / "got" / "out"
    with pytest.raises(DownloadInterruptedError):
        get(client, commit, out, 12)
    assert not out.exists()
    with pytest.raises(DownloadInterruptedError):
        get(client, commit, out, 20)
    get(client, commit, out)
    assert [len(paths) for paths in wanted] == [30, 18, 10]
    check(out)
    assert [path.name for path in out.parent.iterdir()] == ["out"], "nothing else is left"


def test_what_is_damaged_or_not_wanted_in_an_interrupted_download_does_not_reach_the_folder(
    client: Connection, commit: Commit, tmp_path: Path, wanted: list[list[str]]
) -> None:
    out = tmp_path / "got" / "out"
    with pytest.raises(DownloadInterruptedError):
        get(client, commit, out, 12)
    (partial,) = out.parent.iterdir()
    (partial / "0" / "03.png").write_text("x" * len("content of /0/03.png"))
    (partial / "0" / "04.png").write_text("short")
    (partial / "foreign").mkdir()
    (partial / "foreign" / "file").write_text("foreign")
    (partial / "0" / "05.png").unlink()
    (partial / "0" / "05.png").symlink_to(tmp_path / "elsewhere")
    get(client, commit, out)
    assert len(wanted[-1]) == 18 + 3
    check(out)
    assert not (out / "foreign").exists()
    assert not (tmp_path / "elsewhere").exists()


def test_a_small_download_leaves_nothing_behind(client: Connection, commit: Commit, tmp_path: Path) -> None:
    out = tmp_path / "got" / "out"
    with pytest.raises(DownloadInterruptedError):
        get(client, commit, out, 12)
    assert list(out.parent.iterdir()) == []


def test_a_partial_folder_in_use_or_of_a_link_is_left_alone(
    client: Connection, commit: Commit, tmp_path: Path, wanted: list[list[str]]
) -> None:
    out = tmp_path / "got" / "out"
    with pytest.raises(DownloadInterruptedError):
        get(client, commit, out, 12)
    (partial,) = out.parent.iterdir()
    handle = os.open(partial, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    get(client, commit, out)
    os.close(handle)
    check(out)
    assert partial.is_dir(), "another process downloads into it"
    other = tmp_path / "got" / "other"
    (tmp_path / "theirs").mkdir()
    (tmp_path / "got" / f".other-{commit.id[:12]}").symlink_to(tmp_path / "theirs")
    get(client, commit, other)
    check(other)
    assert list((tmp_path / "theirs").iterdir()) == []
