"""Search for the commit of a picture on disk, by its bytes or by the metadata embedded in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pachyderm.client.commits import Commit, all_commits
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import GENERATE_IMAGES, PREPROCESS_IMAGES
from pachyderm.errors import RequestError
from pachyderm.record.fingerprints import digest
from pachyderm.record.record_cache import RecordCache
from pachyderm.record.stage_record import StageRecord


@dataclass(frozen=True)
class EmbeddedOrigin:
    """The origin that a picture's own metadata states; fields are empty if it states none.

    Attributes:
        fingerprint: `picture_fingerprint` of the commit that it was generated in.
        source: SHA-256 of the prepared picture that it was generated from, hex.
    """

    fingerprint: str = ""
    source: str = ""


@dataclass(frozen=True)
class PictureMatch:
    """The place of a picture.

    Attributes:
        commit: the newest commit that holds it.
        path: its path there.
        exact: whether the bytes are equal; otherwise the file was changed later and was found by its metadata.
    """

    commit: Commit
    path: str
    exact: bool


def picture_fingerprint(parts: dict[str, str]) -> str:
    """Return the digest of a fingerprint's parts without the listing of the pictures.

    It is embedded in each picture. Other pictures of the same commit do not influence it, so equal content stays equal.
    """
    return digest({name: part for name, part in parts.items() if name != f"inputs.{PREPROCESS_IMAGES.repo}"})


def search(client: Connection, sha256: str, origin: EmbeddedOrigin, name: str) -> PictureMatch:
    """Find a picture through the records of generated and prepared pictures, newest first.

    Args:
        client: the connection.
        sha256: SHA-256 of the file, hex.
        origin: what the file's own metadata states.
        name: name of the file for errors.

    Raises:
        RequestError: no commit holds it or generated it.
    """
    cache = RecordCache(client)
    for commit, record in _recorded(cache, GENERATE_IMAGES.repo):
        for path, file in record.files.items():
            if file.sha256 == sha256:
                return PictureMatch(commit, path, True)
    if not (origin.fingerprint and origin.source):
        raise RequestError(
            f"{name} was not found in any commit of {GENERATE_IMAGES.repo}, and holds no metadata of pix2pix; another"
            " program made it, or changed it"
        )
    match = _by_origin(cache, origin)
    if match is None:
        raise RequestError(
            f"{name} was made by pix2pix according to its metadata, but not by any commit of {GENERATE_IMAGES.repo}"
            " here; it comes from another store, or its commits were dropped"
        )
    return match


def _by_origin(cache: RecordCache, origin: EmbeddedOrigin) -> PictureMatch | None:
    prepared = _prepared(cache, origin.source)
    for commit, record in _recorded(cache, GENERATE_IMAGES.repo):
        if picture_fingerprint(dict(record.parts)) != origin.fingerprint:
            continue
        input_id = next((source.id for source in commit.provenance if source.repo == PREPROCESS_IMAGES.repo), "")
        for path, file in record.files.items():
            if (input_id, file.source) in prepared:
                return PictureMatch(commit, path, False)
    return None


def _recorded(cache: RecordCache, repo: str) -> Iterator[tuple[Commit, StageRecord]]:
    """Yield the good commits of a repo with a readable record, newest first."""
    for commit in all_commits(cache.client, repo):
        record = cache.record(commit)
        if record is not None:
            yield commit, record


def _prepared(cache: RecordCache, sha256: str) -> set[tuple[str, str | None]]:
    """Return (commit id, path) of every file that holds a prepared picture."""
    return {
        (commit.id, path)
        for commit, record in _recorded(cache, PREPROCESS_IMAGES.repo)
        for path, file in record.files.items()
        if file.sha256 == sha256
    }
