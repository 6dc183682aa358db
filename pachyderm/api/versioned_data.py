"""The repos of an embedded store or a Pachyderm cluster, for scripts and notebooks."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from pachyderm.api.lookup import find, is_picture, pictures_of, read_picture
from pachyderm.api.results import CommitLog, Lineage, PictureFiles
from pachyderm.client import upload
from pachyderm.client.branches import BranchName
from pachyderm.client.check_out import check_out, new_folder
from pachyderm.client.commits import Commit, CommitId, all_commits, inspect
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.files import FileEntry, files, matching, read_pieces
from pachyderm.client.local_files import collect, folder_of
from pachyderm.client.resumable_upload import memory_of
from pachyderm.dag import promotion
from pachyderm.dag.references import existing_repo, refuse_output, resolve, resolve_any, split
from pachyderm.dag.repos import MODEL
from pachyderm.dag.revert import revert
from pachyderm.dag.setup import SetUp, check_set_up, set_up
from pachyderm.errors import RequestError
from pachyderm.record.lineage_backward import backward
from pachyderm.record.lineage_forward import forward as walk_forward

IN_MEMORY = 16 * 1024 * 1024
"""Bytes of an opened file that are kept in memory; a larger one is kept in a temporary file."""


class VersionedData:
    """The repos of a store or a cluster; `pachyderm.connect` returns one.

    Each call opens a connection of its own, so that a notebook leaves nothing open, and threads may share an object.
    A commit is given as an id, a unique prefix of at least 6 digits, a branch, or an ancestor such as ``master^``; in
    ``REPO[@COMMIT][:PATH]`` the branch ``master`` is the default.

    Attributes:
        target: where the data is.
    """

    def __init__(self, target: Target) -> None:
        self.target = target

    def setup(self) -> SetUp:
        """Create the repos, branches and provenance that are missing; a second call changes nothing.

        Raises:
            RequestError: the repos exist with other provenance.
        """
        with self._connection() as client:
            return set_up(client)

    def put(
        self,
        repo: str,
        *sources: str | os.PathLike[str],
        message: str = "",
        branch: str = "master",
        prefix: str = "/",
        mirror: bool = False,
        progress: Callable[[int, int, str], None] | None = None,
    ) -> Commit | None:
        """Put files or folders into an input repo as one commit; only what differs is sent.

        An interrupted call with 1,000 files or 100 MB and more goes on where it stopped when it is repeated within 30
        minutes.

        Args:
            repo: ``training`` or ``input_images``, or a repo of your own.
            sources: files and folders; the contents of a folder keep their relative paths.
            message: description of the commit.
            branch: branch to commit to.
            prefix: folder in the repo to put the files under.
            mirror: whether to delete the files under `prefix` that the sources lack.
            progress: called as ``progress(files sent, files to send, path)``.

        Returns:
            the commit, or None if the repo had the same files already.

        Raises:
            RequestError: a source is missing, the repo does not exist, or a pipeline fills it.
        """
        name, folder = BranchName(repo, branch), folder_of(prefix)
        refuse_output(name)
        if not sources:
            raise RequestError(f"nothing to put into {name}; name files or folders")
        found, _ = collect(sources, folder, self.target.store.resolve())
        with self._connection() as client:
            existing_repo(client, repo)
            under = folder if mirror else None
            memory = memory_of(self.target, name, folder, sources, os.environ)
            result = upload.put(
                client, name, found, mirror_under=under, message=message, memory=memory, progress=progress
            )
            return inspect(client, repo, result.commit) if result.commit else None

    def get(self, source: str, folder: str | os.PathLike[str], *, pattern: str | None = None) -> Path:
        """Download the files of a commit into a new folder, all or nothing; an open commit is waited for.

        Args:
            source: ``REPO[@COMMIT][:PATH]``.
            folder: a folder that does not exist yet, or is empty.
            pattern: a Pachyderm glob pattern, such as ``/**.png``; None downloads everything.

        Returns:
            the folder.

        Raises:
            RequestError: commit or files not found, the commit failed, or the folder has contents.
        """
        target = new_folder(Path(folder))
        repo, name, path = split(source)
        with self._connection() as client:
            commit = inspect(client, repo, resolve(client, repo, name).id, wait=True)
            if commit.error:
                raise RequestError(f"{commit} ended with an error: {commit.error}; name a good commit")
            entries = matching(client, repo, commit.id, pattern) if pattern else files(client, repo, commit.id, path)
            if not entries and (pattern or path != "/"):
                raise RequestError(f"no file in {commit} matches {pattern or path}")
            check_out(client, commit, entries, target, whole=pattern is None and path == "/", pattern=pattern)
        return target

    def commit(self, reference: str) -> Commit:
        """Read one commit.

        Args:
            reference: ``REPO@COMMIT``, or an id or prefix alone.

        Raises:
            RequestError: not found, or ambiguous.
        """
        with self._connection() as client:
            return resolve_any(client, reference)

    def log(self, repo: str, number: int = 0) -> CommitLog:
        """List the commits of a repo, newest first.

        Args:
            repo: the repo's name.
            number: how many at most; 0 means all.

        Raises:
            RequestError: repo not found.
        """
        with self._connection() as client:
            return CommitLog(all_commits(client, existing_repo(client, repo), number))

    def files(self, source: str) -> dict[str, FileEntry]:
        """List the files of a commit: path -> size and hash, in byte order.

        Args:
            source: ``REPO[@COMMIT][:PATH]``.

        Raises:
            RequestError: commit or path not found.
        """
        repo, name, path = split(source)
        with self._connection() as client:
            commit = resolve(client, repo, name)
            return _existing(commit, path, files(client, repo, commit.id, path))

    def open(self, source: str) -> IO[bytes]:
        """Open a file of a commit for reading.

        Args:
            source: ``REPO[@COMMIT]:PATH``.

        Returns:
            a seekable binary file, which PIL, numpy and json read; close it, or use it in a ``with`` block.

        Raises:
            RequestError: commit or file not found.
        """
        repo, name, path = split(source)
        with self._connection() as client:
            commit = resolve(client, repo, name)
            if path not in files(client, repo, commit.id, path):
                raise RequestError(f"{source} is not a file; files({str(commit)!r}) lists those of the commit")
            content = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - the caller closes it
            for piece in read_pieces(client, repo, commit.id, path):
                content.write(piece)
        content.seek(0)
        return content

    def pictures(self, source: str, number: int = 100) -> PictureFiles:
        """Read the PNG and JPEG files of a commit; a notebook shows them.

        Args:
            source: ``REPO[@COMMIT][:PATH]``.
            number: how many at most, the first in byte order.

        Raises:
            RequestError: commit or path not found.
        """
        repo, name, path = split(source)
        with self._connection() as client:
            commit = resolve(client, repo, name)
            entries = _existing(commit, path, files(client, repo, commit.id, path))
            chosen = [file for file, entry in entries.items() if is_picture(file, entry)][:number]
            found = {file: read_picture(client, CommitId(repo, commit.id), file) for file in chosen}
            return PictureFiles({file: content for file, content in found.items() if content})

    def lineage(self, of: str | os.PathLike[str], *, forward: bool = False) -> Lineage:
        """Trace a result back to data, code, parameters and run, or an input to everything made from it.

        Args:
            of: ``REPO@COMMIT[:PATH]``, an id or prefix alone, or a generated picture on disk, found by its bytes.
            forward: whether to trace from an input to its results.

        Raises:
            RequestError: commit, file or picture not found.
        """
        with self._connection() as client:
            commit, path = find(client, os.fspath(of))
            graph = walk_forward(client, commit, path) if forward else backward(client, commit, path)
            return Lineage(graph, forward, pictures_of(client, graph))

    def promote(self, commit: str | None = None) -> promotion.Move:
        """Put a model into use; pictures are then generated with it.

        Args:
            commit: commit of the repo ``model``; None is the newest candidate.

        Raises:
            RequestError: commit not found, or it holds no model.
        """
        with self._connection() as client:
            check_set_up(client)
            return promotion.promote(client, _model_id(client, commit), time.time())

    def rollback(self, commit: str | None = None) -> promotion.Move:
        """Return to a model that was in use before.

        Args:
            commit: commit of the repo ``model`` that was promoted once; None goes one promotion further back per call.

        Raises:
            RequestError: nothing was promoted earlier, or the commit never was.
        """
        with self._connection() as client:
            check_set_up(client)
            return promotion.rollback(client, _model_id(client, commit), time.time())

    def revert(self, repo: str, commit: str) -> Commit:
        """Move the branch master of an input repo back to an earlier commit; outputs made from it before are reused.

        Args:
            repo: ``training`` or ``input_images``.
            commit: an earlier good commit of it.

        Returns:
            the commit that the branch is at.

        Raises:
            RequestError: the repo is not an input, or the commit is not good.
        """
        with self._connection() as client:
            check_set_up(client)
            return inspect(client, repo, revert(client, resolve(client, repo, commit)).after)

    def _connection(self) -> AbstractContextManager[Connection]:
        return connect(self.target)

    def __repr__(self) -> str:
        return f"<pachyderm.VersionedData {self.target}>"


def _existing(commit: Commit, path: str, entries: dict[str, FileEntry]) -> dict[str, FileEntry]:
    if not entries and path != "/":
        raise RequestError(f"file or folder {path} not found in {commit}")
    return entries


def _model_id(client: Connection, commit: str | None) -> str | None:
    return None if commit is None else resolve(client, MODEL.repo, commit.removeprefix(f"{MODEL.repo}@")).id
