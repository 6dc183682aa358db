"""Runs the same reads and writes against the embedded store and another Pachyderm server, in turns."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pachyderm_sdk import Client  # noqa: E402
from pachyderm_sdk.api import pfs  # noqa: E402

from pachyderm.client.connection import Connection, Target, connect  # noqa: E402
from pachyderm.client.files import files  # noqa: E402

FILES, COMMITS, SINGLE, ROUNDS = 10_000, 50, 100, 3


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of `pix2pix store serve` in a process of its own."""
    command = [sys.executable, "-m", "cli.main", "--store", str(folder), "store", "serve", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None:
            raise RuntimeError("the server has no standard output")
        yield f"grpc://{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait()


class Work:
    """What is measured, on a repo of its own.

    Args:
        client: of the server.
        plain: the SDK's own client of the same server; None where there is none, as within a process.
        count: files in the large commit.
    """

    def __init__(self, client: Connection, plain: Client | None, count: int) -> None:
        self.client = client
        self.plain = plain
        self.count = count
        self.repo = pfs.Repo(
            name=f"benchmark-{uuid.uuid4().hex[:8]}", type="user", project=pfs.Project(name=client.project)
        )
        self.branch = pfs.Branch(repo=self.repo, name="master")
        self.head = pfs.Commit(repo=self.repo, branch=self.branch)
        self.root = pfs.File(commit=self.head, path="/")
        self.commit_id = ""
        client.pfs.create_repo(repo=self.repo)

    def put(self, contents: Iterator[tuple[str, bytes]]) -> None:
        """One commit."""
        with self.client.pfs.commit(branch=self.branch) as commit:
            self.client.pfs.modify_file(_requests(commit, contents))
        self.commit_id = self.client.pfs.inspect_commit(commit=commit, wait=pfs.CommitState.FINISHED).commit.id

    def put_many(self) -> int:
        """One commit of many files of 2 kB."""
        self.put((_path(number), number.to_bytes(8, "big") * 256) for number in range(self.count))
        return self.count

    def commits(self) -> int:
        """Commits of one file, each waited for."""
        for number in range(COMMITS):
            self.put(iter([(f"/single/{number}", uuid.uuid4().bytes * 600)]))
        return COMMITS

    def walk_raw(self) -> int:
        """A walk whose answers nobody parses: what the server and gRPC take."""
        raw = self.client.channel.unary_stream("/pfs_v2.API/WalkFile", request_serializer=bytes)
        return sum(1 for _ in raw(pfs.WalkFileRequest(file=self.root)))

    def walk_plain(self) -> int:
        """A walk by the SDK's own client and parser."""
        return 0 if self.plain is None else sum(1 for _ in self.plain.pfs.walk_file(file=self.root))

    def walk(self) -> int:
        """A walk by `pachyderm.client.connection.connect`, which returns the SDK's messages too."""
        return sum(1 for _ in self.client.pfs.walk_file(file=self.root))

    def listing(self) -> int:
        """The listing that commands and stages work on."""
        return len(files(self.client, self.repo.name, self.commit_id))

    def diff(self) -> int:
        """What differs from the parent commit, which is one file."""
        for _ in self.client.pfs.diff_file(new_file=self.root):
            pass
        return 1

    def get(self) -> int:
        """Single files, a request each."""
        for number in range(SINGLE):
            file = pfs.File(commit=self.head, path=_path(number * 7 % self.count))
            for _ in self.client.pfs.get_file(file=file):
                pass
        return SINGLE

    def tar(self) -> int:
        """All files as one archive."""
        for _ in self.client.pfs.get_file_tar(file=self.root):
            pass
        return self.count


ITEMS: dict[str, Callable[[Work], int]] = {
    "put of {count} files": Work.put_many,
    "commits of 1 file": Work.commits,
    "walk of {count}, not parsed": Work.walk_raw,
    "walk of {count}, SDK's client": Work.walk_plain,
    "walk of {count}, connect()": Work.walk,
    "listing of {count}": Work.listing,
    "diff of 1 file in {count}": Work.diff,
    f"{SINGLE} GetFile": Work.get,
    "TAR of {count}": Work.tar,
}


def _path(number: int) -> str:
    return f"/{number // 100:03d}/{number:06d}.bin"


def _requests(commit: Any, contents: Iterator[tuple[str, bytes]]) -> Iterator[Any]:
    yield pfs.ModifyFileRequest(set_commit=commit)
    for path, data in contents:
        yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path))
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=data))


def compare(address: str, folder: Path, scale: int, only: str) -> Iterator[str]:
    """Measure, and make the lines of a table as they come.

    Args:
        address: of the other server, ``grpc://host:port``.
        folder: an empty folder for two stores.
        scale: divides the number of files.
        only: parts of the items' names, separated by commas; empty for all.
    """
    yield f"{'':<30} {'store, socket':>15} {'store, process':>15} {address[:24]:>24} {'socket':>8} {'process':>8}"
    with (
        served(folder / "served") as own,
        connect(Target(pachd=own)) as socket,
        connect(Target(store=folder / "direct")) as direct,
        connect(Target.from_environment({"PACHD_ADDRESS": address})) as other,
    ):
        count = FILES // scale
        works = [
            Work(socket, Client.from_pachd_address(own), count),
            Work(direct, None, count),
            Work(other, Client.from_pachd_address(address), count),
        ]
        try:
            for work in works:
                work.put_many()
                work.put(iter([("/single", b"1")]))
            for name, item in ITEMS.items():
                if any(part in name for part in only.split(",")):
                    rates = [statistics.median(rate) for rate in zip(*_rounds(works, item), strict=True)]
                    yield _line(name.format(count=count), *rates)
        finally:
            other.pfs.delete_repo(repo=works[-1].repo, force=True)


def _rounds(works: list[Work], item: Callable[[Work], int]) -> Iterator[list[float]]:
    """Entries a second of each work, round by round; nobody goes first every time."""
    for number in range(ROUNDS):
        rates = [0.0] * len(works)
        for turn in range(len(works)):
            place = (number + turn) % len(works)
            begin = time.perf_counter()
            done = item(works[place])
            rates[place] = done / (time.perf_counter() - begin)
        yield rates


def _line(name: str, socket: float, direct: float, other: float) -> str:
    cells = [f"{rate:.0f}/s" if rate else "-" for rate in (socket, direct, other)]
    ratios = [f"{rate / other:.2f}x" if rate and other else "-" for rate in (socket, direct)]
    return f"{name:<30} {cells[0]:>15} {cells[1]:>15} {cells[2]:>24} {ratios[0]:>8} {ratios[1]:>8}"
