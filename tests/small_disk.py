"""Real file systems for tests: a small one that can be filled, and a read-only view of a folder; both take root."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, megabytes: float) -> Iterator[Path]:
    """Mount a file system of this size at a new folder during the block; skip the test where that is not allowed."""
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={round(megabytes * 1024)}k", "none", str(folder))
    try:
        yield folder
    finally:
        _unmount(folder)


def enlarge(folder: Path, megabytes: float) -> None:
    """Change the size of the file system that `small_disk` mounted at a folder."""
    _mount("-o", f"remount,size={round(megabytes * 1024)}k", str(folder))


@contextmanager
def read_only(folder: Path, view: Path) -> Iterator[Path]:
    """Mount a folder at a second, new path during the block, where nothing can be written."""
    view.mkdir()
    _mount("--bind", str(folder), str(view))
    try:
        _mount("-o", "remount,ro,bind", str(view))
        yield view
    finally:
        _unmount(view)


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this test needs root, to mount a file system: {done.stderr.strip()}")


def _unmount(folder: Path) -> None:
    # Lazily: a test that fails may have left a file open, which must not keep the mount for ever.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Use up all space of the file system of a folder; return the file that has it."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return filler
