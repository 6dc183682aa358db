"""Serialization of the `FileInfo` messages of one commit."""

from __future__ import annotations

from typing import Any

from pachyderm_sdk.api import pfs

from pachyderm.protocol.protobuf import message
from pachyderm.store.objects.directories import Node

_FILE, _FOLDER = pfs.FileType.FILE.value, pfs.FileType.DIR.value


class FileInfoWriter:
    """Serializes `FileInfo` messages of one commit; not thread-safe.

    Args:
        commit: a `Commit` message of `pachyderm.protocol.protobuf` or of the SDK.
        committed: microseconds since 1970 at which the commit was finished; None while it is open.
    """

    def __init__(self, commit: Any, committed: int | None) -> None:
        # One message is reused for all files: building its commit costs more than everything else.
        self._info = message("FileInfo")
        self._file = self._info.file
        self._file.commit.MergeFromString(commit.SerializeToString())
        if committed is not None:
            seconds, micros = divmod(committed, 1_000_000)
            self._info.committed.seconds, self._info.committed.nanos = seconds, micros * 1000

    def write(self, node: Node, content_hash: bytes) -> bytes:
        """Serialize the `FileInfo` of a file or directory.

        Args:
            node: the file or directory.
            content_hash: its hash as clients see it; empty for none.
        """
        info, file = self._info, self._file
        file.path, file.datum = node.path, node.datum
        info.file_type = _FOLDER if node.is_directory else _FILE
        info.size_bytes = node.size
        info.hash = content_hash
        serialized: bytes = info.SerializeToString()
        return serialized
