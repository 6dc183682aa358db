"""The commits, heads, records and listings that the checks examine; what was used last is held."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import Generic, TypeVar

import grpc

from pachyderm.client.branches import BranchName
from pachyderm.client.change_stream import PIECE
from pachyderm.client.commits import Commit, all_commits, head
from pachyderm.client.connection import Connection, translate
from pachyderm.client.download import members
from pachyderm.client.files import REPORT, FileEntry, content, differing, files, read_pieces, with_changes
from pachyderm.dag.repos import INPUTS, MODEL, PROVENANCE, REPOS
from pachyderm.errors import RequestError, UnreachableError
from pachyderm.record.fingerprints import listing_digest
from pachyderm.record.stage_record import STAGE_JSON, StageRecord, parse

logger = logging.getLogger(__name__)

T = TypeVar("T")

SMALL = 4 << 20
"""Bytes up to which a commit is fetched as a whole, in one request, even if less than half of its bytes are wanted."""

HELD = 100_000
"""Files of the listings, and of the readings, that are held at most, but for the last one: some 60 and 100 MB. What
was used longest ago is read again if it is needed."""

NEAR = 100
"""Ancestors among which one is sought whose listing is held."""

OUTPUT_REPOS = frozenset(branch.repo for branch in PROVENANCE)
INPUT_REPOS = frozenset(branch.repo for branch in INPUTS)


@dataclass(frozen=True)
class Reading:
    """The content of a good output commit.

    Attributes:
        commit: the commit.
        files: its whole listing, the report included.
        record: its stage record; None if it has none or it cannot be read.
        problem: why the record cannot be read, or empty.
        sha256: path -> SHA-256 of the content, hex, of the files that were read.
    """

    commit: Commit
    files: Mapping[str, FileEntry]
    record: StageRecord | None
    problem: str
    sha256: Mapping[str, str]


@dataclass(frozen=True)
class Summary:
    """What other commits are compared with; kept of every commit that was read.

    Attributes:
        fingerprint: the fingerprint of the record; None without one.
        content: digest of its files, without the report.
        computed: the SHA-256, hex, of the files that were computed in it, by its record.
    """

    fingerprint: str | None
    content: str
    computed: frozenset[str]


class Held(Generic[T]):
    """The values that were used last, of so many files in all, and always the last one.

    Args:
        most: number of files.
    """

    def __init__(self, most: int) -> None:
        self._most, self._total = most, 0
        self._values: OrderedDict[tuple[str, str], tuple[T, int]] = OrderedDict()

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._values

    def get(self, key: tuple[str, str]) -> T | None:
        """Return a value that is held."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key][0]

    def add(self, key: tuple[str, str], value: T, number: int) -> T:
        """Hold a value of so many files, and return it."""
        self.make_room(number)
        self._values[key] = value, number
        self._total += number
        return value

    def make_room(self, number: int) -> None:
        """Let go of what was used longest ago until a value of so many files fits."""
        while self._values and self._total + number > self._most:
            _, (_, gone) = self._values.popitem(last=False)
            self._total -= gone


class Evidence:
    """The state of a Pachyderm project at the time of the check.

    Args:
        client: the connection.
        contents: whether the bytes of every file are read, or only its size and hash.
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
        self._read: Held[Reading] = Held(HELD)
        self._listings: Held[tuple[dict[str, FileEntry], str]] = Held(HELD)
        self._all_files: Held[Mapping[str, FileEntry]] = Held(HELD)
        self._summaries: dict[tuple[str, str], Summary] = {}
        self._verified: dict[str, str] = {}
        self.commits: dict[str, list[Commit]] = {repo: list(all_commits(client, repo)) for repo in REPOS}
        self.known: dict[tuple[str, str], Commit] = {
            (commit.repo, commit.id): commit for commits in self.commits.values() for commit in commits
        }
        self.heads: dict[BranchName, Commit] = {name: head(client, name) for name in (*INPUTS, *PROVENANCE, MODEL)}

    @cached_property
    def outputs(self) -> tuple[Commit, ...]:
        """All output commits, newest first in each repo."""
        return tuple(commit for repo, commits in self.commits.items() if repo in OUTPUT_REPOS for commit in commits)

    @cached_property
    def good(self) -> tuple[Commit, ...]:
        """The good output commits with provenance, which the first head of `model@master` lacks, oldest first.

        In this order a listing is derived from its parent's, and the inputs of a commit are examined shortly before it.
        """
        # Commits that are opened together may have one start: a repo comes after its inputs, as in `REPOS`.
        oldest_first = (commit for commits in self.commits.values() for commit in reversed(commits))
        good = (commit for commit in oldest_first if commit.repo in OUTPUT_REPOS and commit.state == "good")
        return tuple(sorted((commit for commit in good if commit.provenance), key=lambda commit: commit.started))

    def report_progress(self, done: int, total: int, note: str) -> None:
        """Report the number of commits that were read."""
        if self._progress:
            self._progress(done, total, note)

    def reading(self, commit: Commit) -> Reading:
        """Read a good output commit.

        Raises:
            RequestError: the server cannot read it.
        """
        key = (commit.repo, commit.id)
        reading = self._read.get(key)
        if reading is None:
            try:
                reading = self._fetch(commit)
            except grpc.RpcError as error:
                raise _unreadable(error) from error
            self._read.add(key, reading, len(reading.files))
            self._summaries[key] = _summary(reading)
        return reading

    def summary(self, commit: Commit) -> Summary:
        """Return the summary of a good output commit, which is read if it was not yet.

        Raises:
            RequestError: the server cannot read it.
        """
        key = (commit.repo, commit.id)
        if key not in self._summaries:
            self.reading(commit)
        return self._summaries[key]

    def listing(self, repo: str, commit_id: str) -> tuple[Mapping[str, FileEntry], str]:
        """Return the listing of a stage's input, without report and parameters file, and its digest.

        Raises:
            RequestError: the server cannot read it.
        """
        key = (repo, commit_id)
        found = self._listings.get(key)
        if found is None:
            try:
                listing = content(self._files(repo, commit_id))
            except grpc.RpcError as error:
                raise _unreadable(error) from error
            found = self._listings.add(key, (listing, listing_digest(listing)), len(listing))
        return found

    def _files(self, repo: str, commit_id: str) -> Mapping[str, FileEntry]:
        """Return the whole listing of a commit, derived from that of the nearest ancestor that was listed."""
        key = (repo, commit_id)
        found = self._all_files.get(key)
        if found is None:
            commit = self.known.get(key)
            older = islice(ancestors(self, commit), NEAR) if commit is not None and commit.ended else iter(())
            near = next((ancestor.id for ancestor in older if (repo, ancestor.id) in self._all_files), "")
            listed = self._all_files.get((repo, near))
            if listed:
                found = with_changes(listed, differing(self.client, repo, commit_id, near))
            else:
                found = files(self.client, repo, commit_id)
            self._all_files.add(key, found, len(found))
        return found

    def _fetch(self, commit: Commit) -> Reading:
        listing = self._files(commit.repo, commit.id)
        self._read.make_room(len(listing))
        unread = [
            path for path, entry in listing.items() if entry.hash not in self._verified and not path.startswith(REPORT)
        ]
        paths = unread if self._contents else []
        if STAGE_JSON in listing:
            paths = [*paths, STAGE_JSON]
        record_json: bytes | None = None
        for path, digest, text in self._bytes(commit, listing, dict.fromkeys(paths)):
            self._verified[listing[path].hash] = digest
            if path == STAGE_JSON:
                record_json = text
        sha256 = {path: self._verified[entry.hash] for path, entry in listing.items() if entry.hash in self._verified}
        record, problem = None, ""
        if record_json is not None:
            try:
                record = parse(record_json, f"{commit}:{STAGE_JSON}")
            except RequestError as error:
                problem = str(error)
        return Reading(commit, listing, record, problem, sha256)

    def _bytes(
        self, commit: Commit, listing: Mapping[str, FileEntry], wanted: Mapping[str, None]
    ) -> Iterator[tuple[str, str, bytes]]:
        """Yield (path, SHA-256, bytes) of the wanted files; the bytes are empty except for the stage record."""
        if len(wanted) > 1 and 2 * len(wanted) > len(listing) and _worth_whole(commit, listing, wanted):
            for path, stream in members(self.client, commit.repo, commit.id):
                if path in listing:
                    yield path, *_digest(iter(partial(stream.read, PIECE), b""), path)
            return
        for path in wanted:
            yield path, *_digest(read_pieces(self.client, commit.repo, commit.id, path), path)


def _summary(reading: Reading) -> Summary:
    record = reading.record
    made = record.files.values() if record is not None else ()
    return Summary(
        record.fingerprint if record is not None else None,
        listing_digest(content(reading.files)),
        frozenset(file.sha256 for file in made if file.computed_in == reading.commit.id),
    )


def _worth_whole(commit: Commit, listing: Mapping[str, FileEntry], wanted: Iterable[str]) -> bool:
    """Whether a commit is fetched as a whole: it is small, or most of its bytes are wanted."""
    most = 2 * sum(listing[path].bytes for path in wanted) > sum(entry.bytes for entry in listing.values())
    return commit.bytes <= SMALL or most


def _unreadable(error: grpc.RpcError) -> Exception:
    """Return what to raise for a failed read: the error itself if the server is away, since the commit may be fine."""
    if isinstance(translate(error), UnreachableError):
        return error
    return RequestError(error.details() or error.code().name)


def _digest(pieces: Iterator[bytes], path: str) -> tuple[str, bytes]:
    """Return the SHA-256 of a file, and its bytes if it is the stage record."""
    hasher, kept = hashlib.sha256(), []
    for piece in pieces:
        hasher.update(piece)
        if path == STAGE_JSON:
            kept.append(piece)
    return hasher.hexdigest(), b"".join(kept)


def ancestors(evidence: Evidence, commit: Commit) -> Iterator[Commit]:
    """Yield the ancestors of a commit, newest first, up to the first one that was dropped."""
    parent = commit.parent
    while parent is not None:
        ancestor = evidence.known.get((commit.repo, parent))
        if ancestor is None:
            return
        yield ancestor
        parent = ancestor.parent
