"""Finds the commit that a picture on disk came from: by its bytes, else by what it says of itself.

It exists because pictures leave the store: somebody finds one a year later and asks what made it.
"""

from __future__ import annotations

from dataclasses import dataclass

from pachyderm.client.commits import Commit, all_commits
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import GENERATE_IMAGES, PREPROCESS_IMAGES
from pachyderm.errors import RequestError
from pachyderm.record.archive import Archive
from pachyderm.record.fingerprints import digest
from pachyderm.record.stage_record import StageRecord


@dataclass(frozen=True)
class Claimed:
    """What a picture's own text says of it; empty where it says nothing.

    Attributes:
        fingerprint: of what it was made with: the fingerprint's parts without the listing of pictures.
        source: SHA-256 of the prepared picture that it was made from.
    """

    fingerprint: str = ""
    source: str = ""


@dataclass(frozen=True)
class Found:
    """Where a picture was found.

    Attributes:
        commit: the newest commit that holds it.
        path: of it there.
        exact: whether the bytes are the same; else the file was changed after it left, and its text tells.
    """

    commit: Commit
    path: str
    exact: bool


def made_with(parts: dict[str, str]) -> str:
    """A fingerprint's parts without the listing of the pictures, digested: the same for each picture of a commit.

    It is what a picture carries: the other pictures beside it are no part of it, so equal content stays equal.
    """
    return digest({name: one for name, one in parts.items() if name != f"inputs.{PREPROCESS_IMAGES.repo}"})


def search(client: Connection, sha256: str, claimed: Claimed, name: str) -> Found:
    """Find a picture through the records, newest first.

    Args:
        client: the connection.
        sha256: of the file, hex.
        claimed: what the file says of itself.
        name: of the file, for an error.

    Raises:
        RequestError: no commit here holds it or made it.
    """
    archive = Archive(client)
    for commit, record in _records(archive, GENERATE_IMAGES.repo):
        for path, one in record.files.items():
            if one.sha256 == sha256:
                return Found(commit, path, True)
    if claimed.fingerprint and claimed.source:
        names = _prepared(archive, claimed.source)
        for commit, record in _records(archive, GENERATE_IMAGES.repo):
            if made_with(dict(record.parts)) == claimed.fingerprint:
                above = next((one.id for one in commit.provenance if one.repo == PREPROCESS_IMAGES.repo), "")
                for path, one in record.files.items():
                    if (above, one.source) in names:
                        return Found(commit, path, False)
        raise RequestError(
            f"{name} says that pix2pix made it, and no commit of {GENERATE_IMAGES.repo} here did; it comes from another"
            " store, or its commits were dropped"
        )
    raise RequestError(
        f"{name} is in no commit of {GENERATE_IMAGES.repo} here, and says nothing of itself; another program made it,"
        " or changed it"
    )


def _records(archive: Archive, repo: str):  # type: ignore[no-untyped-def]
    """The good commits of a repo with a readable record, newest first."""
    for commit in all_commits(archive.client, repo):
        record: StageRecord | None = archive.record(commit)
        if record is not None:
            yield commit, record


def _prepared(archive: Archive, sha256: str) -> set[tuple[str, str | None]]:
    """Every commit and path that holds a prepared picture."""
    return {
        (commit.id, path)
        for commit, record in _records(archive, PREPROCESS_IMAGES.repo)
        for path, one in record.files.items()
        if one.sha256 == sha256
    }
