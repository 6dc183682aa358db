"""Short forms of Pachyderm's requests, for the conformance suite.

Every name that a test creates is unique, so that tests can share a server, even one that other people use.
"""

import io
import itertools
import tarfile
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import metadata, pfs

PATIENCE = 30.0
"""Seconds to wait for an effect on the server before the test fails."""


def happened(moment: datetime) -> bool:
    """Whether a time in a response is set; the SDK reads an absent one as 1970."""
    return moment.timestamp() > 0


def ids(infos: Iterable[Any]) -> list[str]:
    return [info.commit.id for info in infos]


def soon(function: Callable[[], Any]) -> "Future[Any]":
    """Run a function in a daemon thread, which cannot keep the test process alive."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - raised again by `Future.result`
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


@contextmanager
def refused(text: str = "", code: grpc.StatusCode | None = None) -> Iterator[None]:
    """Assert that the server refuses the block, with `text` (in any case) in the details and, if given, with `code`."""
    with pytest.raises(grpc.RpcError) as caught:
        yield
    assert text.lower() in caught.value.details().lower()
    if code is not None:
        assert caught.value.code() is code, caught.value.details()


class Pachd:
    """The server under test; names get a unique suffix, everything else is as in Pachyderm's API."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        self.connect = connect
        self.client = connect()
        self.suffix = uuid.uuid4().hex[:10]

    def name(self, stem: str) -> str:
        return f"{stem}-{self.suffix}"

    def repo(self, stem: str = "repo", project: str = "default") -> pfs.Repo:
        repo = pfs.Repo(name=self.name(stem), type="user", project=pfs.Project(name=project))
        self.client.pfs.create_repo(repo=repo)
        return repo

    def repos(self, *stems: str) -> list[pfs.Repo]:
        return [self.repo(stem) for stem in stems]

    def branch(
        self,
        repo: pfs.Repo,
        name: str = "master",
        *,
        on: Iterable[pfs.Branch] = (),
        head: pfs.Commit | None = None,
    ) -> pfs.Branch:
        """Create or change a branch; `on` is its whole direct provenance, as in CreateBranch."""
        branch = pfs.Branch(repo=repo, name=name)
        self.client.pfs.create_branch(branch=branch, provenance=list(on), head=head)
        return branch

    def chain(self, *stems: str) -> list[pfs.Branch]:
        """Create a chain of repos, each `master` with the previous one as provenance; finish the output heads empty."""
        branches: list[pfs.Branch] = []
        for repo in self.repos(*stems):
            branches.append(self.branch(repo, on=branches[-1:]))
            if len(branches) > 1:
                self.finish(self.head(branches[-1]))
        return branches

    def head(self, branch: pfs.Branch) -> pfs.Commit:
        return self.client.pfs.inspect_branch(branch=branch).head

    @staticmethod
    def commit(where: pfs.Branch | pfs.Commit | pfs.Repo, commit_id: str = "") -> pfs.Commit:
        """Return a `Commit` message that names a branch's head, or the commit of a repo with this id."""
        if isinstance(where, pfs.Commit):
            return where
        if isinstance(where, pfs.Branch):
            return pfs.Commit(repo=where.repo, branch=where)
        return pfs.Commit(repo=where, id=commit_id)

    def start(self, branch: pfs.Branch, **more: Any) -> pfs.Commit:
        return self.client.pfs.start_commit(branch=branch, **more)

    def finish(self, commit: pfs.Commit, error: str = "") -> pfs.CommitInfo:
        """Finish a commit and wait for FINISHED."""
        self.client.pfs.finish_commit(commit=commit, error=error)
        return self.wait(commit)

    def wait(self, commit: pfs.Commit, state: pfs.CommitState = pfs.CommitState.FINISHED) -> pfs.CommitInfo:
        return soon(lambda: self.client.pfs.inspect_commit(commit=commit, wait=state)).result(PATIENCE)

    def info(self, where: pfs.Branch | pfs.Commit | pfs.Repo, commit_id: str = "") -> pfs.CommitInfo:
        return self.client.pfs.inspect_commit(commit=self.commit(where, commit_id))

    def write(self, branch: pfs.Branch, files: Mapping[str, bytes]) -> pfs.Commit:
        """Make a finished commit on an input branch, with `files` in addition to the parent's."""
        commit = self.start(branch)
        self.put(commit, files)
        self.finish(commit)
        return commit

    def is_open(self, where: pfs.Branch | pfs.Commit) -> bool:
        return not happened(self.info(where).finishing)

    def history(self, repo: pfs.Repo, **more: Any) -> list[str]:
        return ids(self.client.pfs.list_commit(repo=repo, **more))

    def commit_set(self, commit_id: str) -> list[tuple[str, str]]:
        """Return the members of a commit set as (repo name, commit id), in the server's order."""
        infos = self.client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=commit_id))
        return [(info.commit.repo.name, info.commit.id) for info in infos]

    def put(self, where: pfs.Branch | pfs.Commit, files: Mapping[str, bytes]) -> None:
        """Overwrite files in one ModifyFile stream: a delete and an add for each."""
        self.modify(where, *replacing(files))

    def modify(self, where: pfs.Branch | pfs.Commit, *changes: Any) -> None:
        """Send one ModifyFile stream of AddFile, DeleteFile and CopyFile messages."""
        requests = [pfs.ModifyFileRequest(set_commit=self.commit(where)), *map(request, changes)]
        self.client.pfs.modify_file(iter(requests))

    def file_set(self, *changes: Any) -> str:
        return self.client.pfs.create_file_set(iter([request(change) for change in changes])).file_set_id

    def publish(self, commit: pfs.Commit, *changes: Any) -> None:
        """Write an output commit in the safe way: CreateFileSet, then AddFileSet."""
        self.client.pfs.add_file_set(commit=commit, file_set_id=self.file_set(*changes))

    @classmethod
    def file(cls, where: pfs.Branch | pfs.Commit, path: str) -> pfs.File:
        return pfs.File(commit=cls.commit(where), path=path)

    def read(self, where: pfs.Branch | pfs.Commit, path: str, **more: Any) -> bytes:
        return b"".join(part.value for part in self.client.pfs.get_file(file=self.file(where, path), **more))

    def files(self, where: pfs.Branch | pfs.Commit, pattern: str = "/") -> dict[str, bytes]:
        """Return all files that match a glob pattern, with their bytes, read as one TAR."""
        if pattern == "/" and not self.ls(where):
            return {}
        with tarfile.open(fileobj=io.BytesIO(self.tar(where, pattern))) as tar:
            members = [member for member in tar if member.isfile()]
            return {"/" + member.name.lstrip("/"): tar.extractfile(member).read() for member in members}

    def tar(self, where: pfs.Branch | pfs.Commit, pattern: str = "/", **more: Any) -> bytes:
        return b"".join(part.value for part in self.client.pfs.get_file_tar(file=self.file(where, pattern), **more))

    def ls(self, where: pfs.Branch | pfs.Commit, path: str = "/", **more: Any) -> list[str]:
        return [info.file.path for info in self.client.pfs.list_file(file=self.file(where, path), **more)]

    def walk(self, where: pfs.Branch | pfs.Commit, path: str = "/", **more: Any) -> list[str]:
        return [info.file.path for info in self.client.pfs.walk_file(file=self.file(where, path), **more)]

    def glob(self, where: pfs.Branch | pfs.Commit, pattern: str, **more: Any) -> list[str]:
        found = self.client.pfs.glob_file(commit=self.commit(where), pattern=pattern, **more)
        return [info.file.path for info in found]

    def edit(self, commit: pfs.Commit, *changes: Any, client: Client | None = None) -> None:
        """Send one EditMetadata request on a commit: EditAddKey, EditEditKey, EditDeleteKey, EditReplace."""
        field = {
            metadata.EditAddKey: "add_key",
            metadata.EditEditKey: "edit_key",
            metadata.EditDeleteKey: "delete_key",
            metadata.EditReplace: "replace",
        }
        picker = pfs.Commit(repo=commit.repo, id=commit.id).as_picker()
        edits = [metadata.Edit(commit=picker, **{field[type(change)]: change}) for change in changes]
        (client or self.client).metadata.edit_metadata(edits=edits)

    def first(self, count: int, repo: pfs.Repo, **more: Any) -> "Future[list[pfs.CommitInfo]]":
        """Return the first `count` commits of a subscription."""
        client = self.connect()

        def collect() -> list[pfs.CommitInfo]:
            stream = client.pfs.subscribe_commit(repo=repo, **more)
            return [*itertools.islice(stream, count)]

        return soon(collect)


def request(change: Any) -> pfs.ModifyFileRequest:
    field = {pfs.AddFile: "add_file", pfs.DeleteFile: "delete_file", pfs.CopyFile: "copy_file"}
    return pfs.ModifyFileRequest(**{field[type(change)]: change})


def replacing(files: Mapping[str, bytes]) -> list[Any]:
    """Return the changes that replace files in a stream or a file set: for each path a delete, then its content."""
    return [
        part for path, raw in files.items() for part in (pfs.DeleteFile(path=path), pfs.AddFile(path=path, raw=raw))
    ]
