"""Processes that write to an embedded store until they are done or killed, and a server that forks them.

The fork server imports everything once, so that hundreds of writers need not. A writer logs what the store acknowledged
to a file that survives it.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from pachyderm_sdk import Client
from pachyderm_sdk.api import metadata, pfs

from pachyderm.store.database import failpoints
from pachyderm.store.maintenance.fsck import check
from pachyderm.store.maintenance.gc import collect
from pachyderm.store.rpc.server import StoreServer

SIZES = (10, 3_000, 90_000, 1_100_000)
"""Bytes of the files by kind; the first two stay inside SQLite, the last has two blocks."""


def body(path: str) -> bytes:
    """Return the content of a file, which depends on its path alone."""
    size = SIZES[int(path.rpartition(".")[2])]
    seed = hashlib.sha256(path.encode()).digest()
    return (seed * (size // 32 + 1))[:size]


def files(number: str, *kinds: int) -> list[str]:
    return [f"/{number}/{place}.{kind}" for place, kind in enumerate(kinds)]


def numbered(number: int) -> list[str]:
    """Return the files of the commit of this number: one to four, and a large one now and then."""
    kinds = [(number + place) % 3 for place in range(1 + number % 4)] + [3] * (number % 17 == 0)
    return files(f"n{number}", *kinds)


def requests(paths: list[str]) -> Iterator[pfs.ModifyFileRequest]:
    for path in paths:
        yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path))
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=body(path)))


class Writer:
    """Writes to a store and notes what was acknowledged.

    Args:
        folder: has the store in its subfolder `data` and the notes in its file `notes`.
        name: name of the server's socket in the folder.
    """

    def __init__(self, folder: Path, name: str = "s") -> None:
        self.folder = folder
        self.server = StoreServer(folder / "data", f"unix:{folder / name}")
        self.server.start()
        self.client = Client(host="unix", port=str(folder / name))

    def note(self, **entry: Any) -> None:
        with (self.folder / "notes").open("a") as notes:
            notes.write(json.dumps(entry) + "\n")
            notes.flush()
            os.fsync(notes.fileno())

    def repo(self, name: str, *upstream: str) -> pfs.Branch:
        branch = pfs.Branch(repo=pfs.Repo(name=name), name="master")
        self.client.pfs.create_repo(repo=branch.repo, update=True)
        provenance = [pfs.Branch(repo=pfs.Repo(name=repo), name="master") for repo in upstream]
        self.client.pfs.create_branch(branch=branch, provenance=provenance)
        return branch

    def commit(self, branch: pfs.Branch, paths: list[str]) -> pfs.Commit:
        """Write one commit in one stream; other processes may write to the branch meanwhile."""
        first = pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=branch.repo, branch=branch))
        self.client.pfs.modify_file(iter([first, *requests(paths)]))
        head = self.client.pfs.inspect_branch(branch=branch).head
        self.note(repo=branch.repo.name, paths=paths)
        return head


def scenario(folder: Path) -> None:
    """Do everything that makes a store write durably, once."""
    writer = Writer(folder)
    client = writer.client
    source = writer.repo("source")
    output = writer.repo("output", "source")
    client.pfs.finish_commit(commit=client.pfs.inspect_branch(branch=output).head)
    writer.commit(source, files("small", 0, 1))
    head = writer.commit(source, files("large", 2, 3, 0))
    result = pfs.Commit(repo=output.repo, id=head.id)
    client.metadata.edit_metadata(
        edits=[metadata.Edit(commit=result.as_picker(), add_key=metadata.EditAddKey(key="run.1", value="me"))]
    )
    first = pfs.Commit(repo=output.repo, id=client.pfs.inspect_commit(commit=result).parent_commit.id)
    client.pfs.finish_commit(commit=first)
    name = client.pfs.create_file_set(requests(files("published", 1, 2))).file_set_id
    client.pfs.add_file_set(commit=result, file_set_id=name)
    with client.transaction.transaction():
        client.pfs.finish_commit(commit=result)
        client.pfs.create_branch(branch=pfs.Branch(repo=output.repo, name="promoted"), head=result)
    writer.note(repo="output", paths=files("published", 1, 2), promoted=result.id)
    doomed = writer.repo("doomed")
    client.pfs.modify_file(
        iter(
            [
                pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=doomed.repo, branch=doomed)),
                *requests(files("doomed", 2)),
            ]
        )
    )
    writer.note(damaging=True)
    newest = max((folder / "data" / "objects" / "packs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    client.pfs.delete_repo(repo=doomed.repo, force=True)
    with newest.open("r+b") as pack:
        pack.write(b"damage")
    check(folder / "data", repair=True)
    collect(folder / "data", grace=0)
    writer.commit(source, files("last", 1))
    writer.server.stop()


def endless(folder: Path, start: int, count: int = 10**9, name: str = "s") -> None:
    """Write commit after commit."""
    writer = Writer(folder, name)
    branch = pfs.Branch(repo=pfs.Repo(name="source"), name="master")
    writer.client.pfs.create_repo(repo=branch.repo, update=True)
    for number in range(start, start + count):
        writer.commit(branch, numbered(number))
    writer.server.stop()


def pressing(folder: Path, start: int) -> None:
    """Write commit after commit, whatever the disk says; note each refusal because it is full."""
    writer = Writer(folder)
    branch = writer.repo("source")
    for number in range(start, 10**9):
        try:
            writer.commit(branch, numbered(number))
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            writer.note(full=True)


def crowd(folder: Path, members: int, count: int) -> None:
    """Let several processes, each with its own server, write to one branch."""
    children = []
    for member in range(members):
        child = os.fork()
        if child == 0:
            _run_and_exit(endless, folder, member * 1_000_000, count, f"s{member}")
        children.append(child)
    for child in children:
        if os.waitpid(child, 0)[1]:
            raise RuntimeError("a member failed")


def _run_and_exit(function: Any, *arguments: Any) -> None:
    code = 1
    try:
        function(*arguments)
        code = 0
    finally:
        os._exit(code)


JOBS = {"scenario": scenario, "endless": endless, "pressing": pressing, "crowd": crowd}


def serve_forks() -> None:
    """Fork a writer per line of standard input; print its process id, then its exit status."""
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            failpoints.arm(job["failpoints"])
            _run_and_exit(JOBS[job["job"]], Path(job["folder"]), *job["arguments"])
        print(child, flush=True)  # noqa: T201
        print(os.waitpid(child, 0)[1], flush=True)  # noqa: T201


class ForkServer:
    """Starts writers, one at a time."""

    def __init__(self) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._writer: int | None = None

    def begin(self, folder: Path, job: str, *arguments: int | str, failpoints: str = "") -> int:
        """Start a writer; return its process id."""
        folder.mkdir(exist_ok=True)
        line = {"folder": str(folder), "job": job, "arguments": arguments, "failpoints": failpoints}
        assert self._process.stdin
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        self._writer = int(self._line())
        return self._writer

    def end(self) -> int:
        """Wait for the writer; return the signal that ended it, 0 on success, -1 on failure."""
        status = int(self._line())
        self._writer = None
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else -bool(status)

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()

    def close(self) -> None:
        """Stop, and kill the writer that a failed test left."""
        if self._writer is not None:
            kill(self._writer)
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def acknowledged(folder: Path) -> list[dict[str, Any]]:
    """Return the writers' notes; a writer may be in the middle of the last one."""
    notes = folder / "notes"
    lines = notes.read_text().splitlines(keepends=True) if notes.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    serve_forks()
