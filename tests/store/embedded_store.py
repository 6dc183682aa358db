"""An embedded store for one test, driven through the conformance suite's `Pachd`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pachyderm_sdk import Client
from server_under_test import Pachd

from pachyderm.store.rpc.server import StoreServer


@contextmanager
def store(folder: Path, name: str = "s") -> Iterator[Pachd]:
    """Serve the store `folder/data` during the block."""
    socket = folder / name
    with StoreServer(folder / "data", f"unix:{socket}"):
        yield Pachd(lambda: Client(host="unix", port=str(socket)))


def packs(folder: Path) -> list[Path]:
    return sorted((folder / "data" / "objects" / "packs").iterdir())


def bytes_on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in packs(folder))
