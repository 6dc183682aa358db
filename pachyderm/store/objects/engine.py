"""One open store: its tables, blocks, contents and pages."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pachyderm.store.database import schema
from pachyderm.store.database.database import Database
from pachyderm.store.names import new_id
from pachyderm.store.objects.blocks import Blocks
from pachyderm.store.objects.contents import Contents
from pachyderm.store.objects.directories import DirectoryHashes
from pachyderm.store.objects.prolly_tree import Pages


@dataclass(frozen=True)
class Engine:
    """An open store; the same folder may be open any number of times, in one process or in several.

    Attributes:
        database: the tables.
        blocks, contents: file data.
        pages: the directories of commits.
        hashes: pachd's hashes of directories.
        url_sources: whether clients may make the store read http and https URLs.
    """

    database: Database
    blocks: Blocks
    contents: Contents
    pages: Pages
    hashes: DirectoryHashes
    url_sources: bool = False

    @classmethod
    def open(cls, folder: Path, clock: Callable[[], float] = time.time, url_sources: bool = False) -> Engine:
        """Open the store in a folder, creating it if necessary; one that cannot be written is opened for reading.

        Raises:
            StoreError: the folder is not a store, or has a newer format; or none can be created.
            StorageError: the disk failed, or is full and a new store cannot be created.
        """
        refusal = schema.prepare(folder, int(clock() * 1_000_000), new_id())
        database = Database(folder, clock, refusal)
        blocks = Blocks(database)
        pages = Pages(database)
        return cls(database, blocks, Contents(database, blocks), pages, DirectoryHashes(pages), url_sources)

    def close(self) -> None:
        """Close the store; no thread may be using it."""
        self.database.close()
