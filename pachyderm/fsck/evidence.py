"""What the checks look at: every commit of the six repos, the heads, the records and listings, each read once.

It exists because a thousand commits checked by a dozen checks must cost two requests a commit and not twenty.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import grpc

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, all_commits, head
from pachyderm.client.connection import Connection
from pachyderm.client.download import members
from pachyderm.client.file_contents import PIECE
from pachyderm.client.files import REPORT, FileEntry, content, differing, files, read_pieces, with_changes
from pachyderm.dag.repos import INPUTS, MODEL, PROVENANCE, REPOS
from pachyderm.errors import RequestError
from pachyderm.record.fingerprints import listing_digest
from pachyderm.record.stage_record import STAGE_JSON, StageRecord, parse

logger = logging.getLogger(__name__)

SMALL = 4 << 20
"""Bytes up to which a commit is fetched whole, in one request, rather than its record alone."""

OUTPUT_REPOS = frozenset(branch.repo for branch in PROVENANCE)
INPUT_REPOS = frozenset(branch.repo for branch in INPUTS)


@dataclass(frozen=True)
class Reading:
    """A good output commit as it was read.

    Attributes:
        commit: it.
        files: its whole listing, the report included.
        record: its stage.json; None where there is none or it cannot be read.
        trouble: why it cannot be read, or empty.
        sha256: path -> SHA-256 of the content, of the files that were read.
    """

    commit: Commit
    files: Mapping[str, FileEntry]
    record: StageRecord | None
    trouble: str
    sha256: Mapping[str, str]


class Evidence:
    """A Pachyderm as the checks see it.

    Args:
        client: the connection.
        contents: whether the bytes of every file are read; else sizes and hashes alone.
        now: seconds since 1970.
        progress: called as ``progress(done, total, note)``.
    """

    def __init__(
        self,
        client: Connection,
        *,
        contents: bool,
        now: float,
        progress: Callable[[int, int, str], None] | None = None,
    ) -> None:
        self.client = client
        self.now = now
        self._contents = contents
        self._progress = progress
        self._read: dict[tuple[str, str], Reading] = {}
        self._listings: dict[tuple[str, str], tuple[dict[str, FileEntry], str]] = {}
        self._whole: dict[tuple[str, str], Mapping[str, FileEntry]] = {}
        self._verified: dict[str, str] = {}
        self.commits: dict[str, list[Commit]] = {repo: list(all_commits(client, repo)) for repo in REPOS}
        self.known: dict[tuple[str, str], Commit] = {
            (one.repo, one.id): one for found in self.commits.values() for one in found
        }
        self.heads: dict[BranchName, Commit] = {name: head(client, name) for name in (*INPUTS, *PROVENANCE, MODEL)}

    @cached_property
    def outputs(self) -> tuple[Commit, ...]:
        """Every output commit, newest first in each repo."""
        return tuple(one for repo, found in self.commits.items() if repo in OUTPUT_REPOS for one in found)

    @cached_property
    def good(self) -> tuple[Commit, ...]:
        """The good ones of them that are made from something; the first heads of `model@master` are not."""
        return tuple(one for one in self.outputs if one.state == "good" and one.provenance)

    def told(self, done: int, total: int, note: str) -> None:
        """Say how far the reading is."""
        if self._progress:
            self._progress(done, total, note)

    def reading(self, commit: Commit) -> Reading:
        """Read a good output commit.

        Raises:
            RequestError: the server cannot read it any more.
        """
        key = (commit.repo, commit.id)
        if key not in self._read:
            try:
                self._read[key] = self._fetch(commit)
            except grpc.RpcError as error:
                raise _unreadable(error) from error
        return self._read[key]

    def listing(self, repo: str, commit_id: str) -> tuple[Mapping[str, FileEntry], str]:
        """The listing of an input of a stage without report and parameters file, and its digest.

        Raises:
            RequestError: the server cannot read it any more.
        """
        key = (repo, commit_id)
        if key not in self._listings:
            try:
                listing = content(self._files(repo, commit_id))
            except grpc.RpcError as error:
                raise _unreadable(error) from error
            self._listings[key] = (listing, listing_digest(listing))
        return self._listings[key]

    def _files(self, repo: str, commit_id: str) -> Mapping[str, FileEntry]:
        """The whole listing of a commit, reckoned from that of the nearest ancestor whose listing is known."""
        key = (repo, commit_id)
        if key not in self._whole:
            commit = self.known.get(key)
            above = ancestors(self, commit) if commit is not None and commit.ended else iter(())
            near = next((one for one in above if (repo, one.id) in self._whole), None)
            if near is None or not self._whole[repo, near.id]:
                self._whole[key] = files(self.client, repo, commit_id)
            else:
                changed = differing(self.client, repo, commit_id, near.id)
                self._whole[key] = with_changes(self._whole[repo, near.id], changed)
        return self._whole[key]

    def _fetch(self, commit: Commit) -> Reading:
        listing = self._files(commit.repo, commit.id)
        unread = [
            path for path, entry in listing.items() if entry.hash not in self._verified and not path.startswith(REPORT)
        ]
        told: bytes | None = None
        if STAGE_JSON not in listing:
            paths: list[str] = unread if self._contents else []
        else:
            paths = [*unread, STAGE_JSON] if self._contents else [STAGE_JSON]
        for path, digest, text in self._bytes(commit, listing, dict.fromkeys(paths)):
            self._verified[listing[path].hash] = digest
            if path == STAGE_JSON:
                told = text
        sha256 = {path: self._verified[entry.hash] for path, entry in listing.items() if entry.hash in self._verified}
        record, trouble = None, ""
        if told is not None:
            try:
                record = parse(told, f"{commit}:{STAGE_JSON}")
            except RequestError as error:
                trouble = str(error)
        return Reading(commit, listing, record, trouble, sha256)

    def _bytes(
        self, commit: Commit, listing: Mapping[str, FileEntry], wanted: Mapping[str, None]
    ) -> Iterator[tuple[str, str, bytes]]:
        """Path, SHA-256 and, of the record, the bytes, of the wanted files of a commit."""
        most = 2 * len(wanted) > len(listing)
        if most and len(wanted) > 1 and commit.bytes <= SMALL:
            for path, stream in members(self.client, commit.repo, commit.id):
                if path in listing:
                    yield path, *_digest(iter(partial(stream.read, PIECE), b""), path)
            return
        for path in wanted:
            yield path, *_digest(read_pieces(self.client, commit.repo, commit.id, path), path)


def _unreadable(error: grpc.RpcError) -> Exception:
    """What a refusal to read a commit means; a server that is away says nothing about the commit."""
    if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return error
    return RequestError(error.details() or error.code().name)


def _digest(pieces: Iterator[bytes], path: str) -> tuple[str, bytes]:
    whole, kept = hashlib.sha256(), []
    for piece in pieces:
        whole.update(piece)
        if path == STAGE_JSON:
            kept.append(piece)
    return whole.hexdigest(), b"".join(kept)


def ancestors(evidence: Evidence, commit: Commit) -> Iterator[Commit]:
    """The commits before one on its branch, newest first, as far as they are there."""
    at = commit
    while at.parent is not None:
        above = evidence.known.get((at.repo, at.parent))
        if above is None:
            return
        yield above
        at = above


__all__ = ["INPUT_REPOS", "OUTPUT_REPOS", "Evidence", "Reading", "ancestors"]
