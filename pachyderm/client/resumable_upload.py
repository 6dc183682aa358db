"""A large upload in portions, which goes on where it was interrupted.

Each portion is a file set, which the server keeps for half an hour after its last renewal; which portions there are is
remembered in a local file until the commit is made.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

import grpc
import msgspec

from pachyderm.client.branches import BranchName
from pachyderm.client.change_stream import UploadProgress, create_file_set, digest_of, send
from pachyderm.client.connection import Connection, Target, translate
from pachyderm.client.rpc import repeating
from pachyderm.errors import RequestError

logger = logging.getLogger(__name__)

LIFE = 1800
"""Seconds for which the server keeps a file set after its last renewal, the maximum of pachd 2.12."""

RENEW_EVERY = 300.0
"""Seconds between two renewals while the upload goes on: one portion may take longer than `LIFE`."""

PORTION = (5000, 64_000_000)
"""Files, or bytes, after which a portion is complete; an interruption loses one portion at most."""

_FORGOTTEN_AFTER = 24 * 3600.0
"""Seconds after which what an upload remembered is deleted; its file sets have expired long before."""


@dataclass(frozen=True)
class Portion:
    """Files that were uploaded as one file set.

    Attributes:
        file_set: id of the file set.
        files: path in the commit -> SHA-256 of the content that was sent, hex.
    """

    file_set: str
    files: Mapping[str, str]


@dataclass(frozen=True)
class _Line:
    """A line of the local file: a portion, or the id of the commit that was started for all of them."""

    file_set: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""


_decode = msgspec.json.Decoder(_Line).decode


def memory_of(
    target: Target,
    branch: BranchName,
    folder: str,
    sources: Iterable[str | os.PathLike[str]],
    environment: Mapping[str, str],
) -> Path | None:
    """Return the local file that remembers the portions of an upload; None without a home folder.

    Args:
        target: where the data is.
        branch: the branch to commit to.
        folder: folder in the repo.
        sources: local files and folders.
        environment: of the process; ``XDG_CACHE_HOME`` names the folder for caches, by default ``~/.cache``.
    """
    try:
        caches = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    server = target.pachd or os.path.realpath(target.store)
    key = [server, target.project, branch.repo, branch.branch, folder, sorted(map(os.path.realpath, sources))]
    return caches / "pix2pix" / "puts" / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}.jsonl"


def started_commit(memory: Path) -> str | None:
    """Return the id of the commit that an interrupted upload had started; None if it had not."""
    return next((line.commit for line in reversed(_lines(memory)) if line.commit), None)


class ResumableUpload:
    """An upload in portions; see `resumable_upload`.

    Attributes:
        resumed: number of files that the server had from an interrupted upload.
    """

    def __init__(self, client: Connection, remembered: Sequence[Portion], stream: IO[bytes] | None) -> None:
        self._client, self._remembered, self._stream = client, remembered, stream
        self._portions: list[Portion] = []
        self.resumed = 0

    def send(self, changed: Mapping[str, Path], deleted: Sequence[str], progress: UploadProgress | None) -> str:
        """Upload changes, and return the id of a file set with all of them.

        Args:
            changed: absolute path in the commit -> local file.
            deleted: paths to delete.
            progress: see `UploadProgress`.

        Raises:
            OSError: a local file cannot be read.
        """
        left = dict(changed)
        with repeating(self._client, RENEW_EVERY, self._renew, "renew-upload"):
            for portion in self._remembered:
                if self._holds(portion, left):
                    self._portions.append(portion)
                    left = {path: local for path, local in left.items() if path not in portion.files}
            self.resumed = len(changed) - len(left)
            for files in _portions(left):
                done = len(changed) - len(left)
                self._add(files, progress and _shifted(progress, done, len(changed)))
                left = {path: local for path, local in left.items() if path not in files}
            ids = [portion.file_set for portion in self._portions]
            if deleted:
                ids.append(send({}, deleted, None, partial(create_file_set, self._client)))
        if len(ids) == 1:
            return ids[0]
        return self._client.pfs.compose_file_set(file_set_ids=ids, ttl_seconds=LIFE).file_set_id

    def commit_started(self, commit_id: str) -> None:
        """Remember the commit that was started, so that the next upload deletes it if this one is killed now."""
        self._remember(_Line(commit=commit_id))

    def _holds(self, portion: Portion, left: Mapping[str, Path]) -> bool:
        """Whether the server still holds a portion, and all of it is to be uploaded; renews it."""
        if not all(path in left and digest_of(left[path]) == digest for path, digest in portion.files.items()):
            return False
        try:
            self._client.pfs.renew_file_set(file_set_id=portion.file_set, ttl_seconds=LIFE)
        except grpc.RpcError as error:
            if not isinstance(translate(error), RequestError):
                raise
            logger.debug("the file set %s has expired: %s", portion.file_set, error.details())
            return False
        return True

    def _add(self, files: Mapping[str, Path], progress: UploadProgress | None) -> None:
        digests: dict[str, str] = {}
        file_set = send(files, (), progress, partial(create_file_set, self._client), digests)
        # The server's default is shorter.
        self._client.pfs.renew_file_set(file_set_id=file_set, ttl_seconds=LIFE)
        self._portions.append(Portion(file_set, digests))
        self._remember(_Line(file_set, digests))

    def _remember(self, line: _Line) -> None:
        if self._stream is None:
            return
        try:
            # The line before may have been cut off by a kill or a full disk.
            self._stream.write(b"\n" + msgspec.json.encode(line) + b"\n")
        except OSError as error:
            logger.warning("if this upload is interrupted, its last files are sent again: %s", error)
            self._stream = None

    def _renew(self, second: Connection) -> None:
        """Renew the portions, in the thread that accompanies the upload."""
        for portion in tuple(self._portions):
            try:
                second.pfs.renew_file_set(file_set_id=portion.file_set, ttl_seconds=LIFE)
            except grpc.RpcError as error:
                logger.warning("a part of the upload could not be renewed: %s", error.details())


@contextmanager
def resumable_upload(
    client: Connection, memory: Path, now: Callable[[], float] = time.time
) -> Iterator[ResumableUpload]:
    """Provide an upload that goes on with the portions that are remembered; after success, nothing is remembered.

    Where nothing can be remembered, or another process makes the same upload, everything is uploaded.

    Args:
        client: the connection.
        memory: see `memory_of`.
        now: returns seconds since 1970.
    """
    stream = _opened(memory)
    if stream is None:
        yield ResumableUpload(client, (), None)
        return
    with stream:
        _delete_old(memory.parent, now() - _FORGOTTEN_AFTER)
        remembered = [Portion(line.file_set, line.files) for line in _lines(memory) if line.file_set]
        yield ResumableUpload(client, remembered, stream)
        memory.unlink(missing_ok=True)


def _opened(memory: Path) -> IO[bytes] | None:
    """Open and lock the local file, without a buffer; None if it cannot be written, or another process holds it."""
    try:
        memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        stream = memory.open("ab", buffering=0)
    except OSError as error:
        logger.debug("the upload cannot go on after an interruption: %s", error)
        return None
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        return None
    return stream


def _lines(memory: Path) -> list[_Line]:
    """Read the local file; a line that is damaged, or was cut off, is left out."""
    try:
        texts = memory.read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for text in texts:
        try:
            found.append(_decode(text))
        except (msgspec.MsgspecError, RecursionError):
            continue
    return found


def _delete_old(folder: Path, before: float) -> None:
    for path in folder.glob("*.jsonl"):
        try:
            if path.stat().st_mtime < before:
                path.unlink()
        except OSError:
            continue


def _portions(files: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """Yield consecutive files, until they are `PORTION`."""
    portion: dict[str, Path] = {}
    size = 0
    for path, local in files.items():
        portion[path] = local
        size += local.stat().st_size
        if len(portion) >= PORTION[0] or size >= PORTION[1]:
            yield portion
            portion, size = {}, 0
    if portion:
        yield portion


def _shifted(progress: UploadProgress, before: int, total: int) -> UploadProgress:
    return lambda done, _, path: progress(before + done, total, path)
