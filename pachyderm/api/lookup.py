"""Finds commits, files and pictures for the public API."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from pachyderm.client.commits import Commit, CommitId
from pachyderm.client.connection import Connection
from pachyderm.client.files import FileEntry, read
from pachyderm.dag.references import resolve, resolve_any, split
from pachyderm.errors import RequestError
from pachyderm.record.lineage_graph import Graph
from pachyderm.record.picture_search import EmbeddedOrigin, search

LARGEST_PICTURE = 4 * 1024 * 1024
"""Bytes of the largest file that is shown as a picture."""

_PICTURE_NAME = re.compile(r"\.(png|jpe?g)$", re.IGNORECASE)


def is_picture(path: str, entry: FileEntry) -> bool:
    """Return whether a file is a PNG or JPEG, by its name, and small enough to be shown."""
    return bool(_PICTURE_NAME.search(path)) and entry.bytes <= LARGEST_PICTURE


def find(client: Connection, text: str) -> tuple[Commit, str | None]:
    """Find the commit and the path that ``REPO@COMMIT[:PATH]``, an id or a picture on disk names.

    Raises:
        RequestError: not found, or ambiguous.
    """
    file = Path(text)
    if file.is_file():
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        found = search(client, digest, EmbeddedOrigin(), text)
        return found.commit, found.path
    if "@" not in text:
        if file.suffix or "/" in text:
            raise RequestError(f"{text} is neither a file on this machine nor REPO@COMMIT[:PATH]")
        return resolve_any(client, text), None
    repo, name, path = split(text)
    return resolve(client, repo, name), None if path == "/" else path


def read_picture(client: Connection, commit: CommitId, path: str) -> bytes:
    """Read a PNG or JPEG file; empty if its content is something else."""
    content = read(client, commit.repo, commit.id, path) or b""
    return content if content.startswith((b"\x89PNG\r\n", b"\xff\xd8")) else b""


def pictures_of(client: Connection, graph: Graph) -> Mapping[str, bytes]:
    """Read the small pictures among the files of a lineage."""
    pictures = {}
    for node in graph.nodes.values():
        facts = node.facts
        if node.kind == "file" and _PICTURE_NAME.search(facts["path"]) and facts.get("bytes", 0) <= LARGEST_PICTURE:
            pictures[node.id] = read_picture(client, CommitId(facts["repo"], facts["commit"]), facts["path"])
    return pictures
