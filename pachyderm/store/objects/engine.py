"""What every part of the store works with: the tables, the blocks, the contents and the pages of one folder.

It exists so that a part says `engine` and not five names.
"""

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
from pachyderm.store.objects.pages import Pages
from pachyderm.store.objects.trees import FolderHashes


@dataclass(frozen=True)
class Engine:
    """One open folder; any number of them may be open at once, in one process or in several.

    Attributes:
        database, blocks, contents, pages, hashes: what is in the folder.
        url_sources: whether clients may have the store read http and https URLs.
    """

    database: Database
    blocks: Blocks
    contents: Contents
    pages: Pages
    hashes: FolderHashes
    url_sources: bool = False

    @classmethod
    def open(cls, folder: Path, clock: Callable[[], float] = time.time, url_sources: bool = False) -> Engine:
        """Open a store's folder, or make one.

        Raises:
            StoreError: the folder is no store, of another version, or cannot be written.
            StorageError: the disk is full or failed.
        """
        schema.prepare(folder, int(clock() * 1_000_000), new_id())
        database = Database(folder, clock)
        blocks = Blocks(database)
        pages = Pages(database)
        return cls(database, blocks, Contents(database, blocks), pages, FolderHashes(pages), url_sources)

    def close(self) -> None:
        """Let go of the folder; the threads that used the engine must be over."""
        self.database.close()
