"""`pix2pix store backup` and `restore`: a store as one file, consistent although others write to it meanwhile.

The file is a tar archive: `backup.json`, `store.db`, and the packs that the tables name. Packs never change, so a
snapshot of the tables and the packs that it names are one state of the store.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sqlite3
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from pachyderm.errors import StorageError, StoreError
from pachyderm.store import private_files
from pachyderm.store.database import connections, schema
from pachyderm.store.database.schema import DATABASE, sync_folder, translated_errors
from pachyderm.store.maintenance.fsck import StoreProblem, check
from pachyderm.store.objects.engine import Engine

MANIFEST = "backup.json"
PACK = re.compile(r"packs/[0-9a-f]{32}\.pack")
ATTEMPTS = 5
"""Snapshots that are tried if a collection removes packs while they are copied; the last keeps writers out."""


@dataclass(frozen=True)
class Backup:
    """What a backup holds.

    Attributes:
        commits, packs: numbers.
        bytes: size of the file.
    """

    commits: int
    packs: int
    bytes: int


def backup(
    folder: Path, file: Path, progress: Callable[[int, int, str], None], clock: Callable[[], float] = time.time
) -> Backup:
    """Write a store to a file, which appears whole or not at all.

    Args:
        folder: the store; others may write to it.
        file: a new file.
        progress: called as ``progress(packs copied, packs, name)``.
        clock: seconds since 1970.

    Raises:
        StoreError: the folder does not hold a store, or the file exists.
        StorageError: a disk is full or failed.
    """
    if not (folder / DATABASE).exists():
        raise StoreError(f"no store found in {folder}; name the folder of one with --store")
    if file.exists():
        raise StoreError(f"{file} exists; name a new file")
    engine = Engine.open(folder, clock)
    part, snapshot = (file.with_name(f".{file.name}{ending}") for ending in (".part", ".db"))
    try:
        with translated_errors(file):
            for attempt in range(ATTEMPTS):
                with _alone(folder, clock) if attempt == ATTEMPTS - 1 else nullcontext():
                    made = _write(engine, file, part, snapshot, progress)
                if made is not None:
                    return made
        raise StorageError(f"{folder} was collected again and again while it was copied; run the backup again")
    finally:
        engine.close()
        for path in (
            part,
            snapshot,
            *(snapshot.with_name(snapshot.name + end) for end in ("-wal", "-shm", "-journal")),
        ):
            path.unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path, clock: Callable[[], float]) -> Iterator[None]:
    """Keep writers, and with them collections, waiting."""
    # With a connection of its own, since SQLite copies nothing through the one that holds the write transaction.
    with closing(Engine.open(folder, clock)) as other, other.database.writing():
        yield


def _write(
    engine: Engine, file: Path, part: Path, snapshot: Path, progress: Callable[[int, int, str], None]
) -> Backup | None:
    """Write the file; return None if a collection removed a pack that the snapshot names."""
    for path in (part, snapshot):
        path.unlink(missing_ok=True)
    private_files.create(snapshot).close()
    with closing(sqlite3.connect(snapshot)) as copy:
        engine.database.connection().backup(copy)
        packs = copy.execute("SELECT name, size FROM packs ORDER BY id").fetchall()
        (commits,) = copy.execute("SELECT count(*) FROM commits").fetchone()
    manifest = {"format": schema.VERSION, "commits": commits, "packs": len(packs)}
    with private_files.create(part) as stream, tarfile.open(fileobj=stream, mode="w") as archive:
        _add(archive, MANIFEST, io.BytesIO(json.dumps(manifest).encode()), len(json.dumps(manifest)))
        with snapshot.open("rb") as source:
            _add(archive, DATABASE, source, snapshot.stat().st_size)
        for number, (name, _) in enumerate(packs):
            progress(number, len(packs), name)
            pack = _opened(engine, name)
            if pack is None:
                return None
            with pack as source:
                _add(archive, f"packs/{name}", source, os.fstat(source.fileno()).st_size)
        progress(len(packs), len(packs), "")
        archive.close()
        stream.flush()
        os.fsync(stream.fileno())
    part.rename(file)
    sync_folder(file.parent)
    return Backup(commits, len(packs), file.stat().st_size)


def _opened(engine: Engine, name: str) -> io.BufferedReader | None:
    """Open a pack that the snapshot names; None if it has just been collected."""
    try:
        return (engine.blocks.packs / name).open("rb")
    except FileNotFoundError as error:
        if engine.database.connection().execute("SELECT 1 FROM packs WHERE name=?", (name,)).fetchone() is None:
            return None
        raise StoreError(
            f"the pack {name} is lost; run `pix2pix store fsck`, and put the files that it names again with --resend"
        ) from error


def _add(archive: tarfile.TarFile, name: str, source: io.BufferedIOBase, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, private_files.FILE_MODE
    archive.addfile(member, source)


def restore(
    file: Path, folder: Path, progress: Callable[[int, int, str], None], clock: Callable[[], float] = time.time
) -> tuple[Backup, list[StoreProblem]]:
    """Make a store of a backup, and check it.

    Until it is complete, every command refuses the folder. A restore that was interrupted is begun again.

    Args:
        file: written by `backup`.
        folder: an empty or new folder, or one that an interrupted restore has left.
        progress: called as ``progress(packs copied, packs, name)``.
        clock: seconds since 1970.

    Returns:
        what was restored, and the problems that the store had when it was backed up.

    Raises:
        StoreError: the file is not a whole backup or has a newer format, or the folder holds something.
        StorageError: a disk is full or failed.
    """
    with translated_errors(folder), _reading(file) as archive:
        manifest = _manifest(file, archive)
        with _restoring(folder) as marker:
            restored = _extract(file, archive, manifest, folder, progress)
            marker.unlink()
            sync_folder(folder)
    return Backup(manifest["commits"], restored, file.stat().st_size), check(folder, clock=clock)


@contextmanager
def _reading(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(file, "r:") as archive:
            yield archive
    except (tarfile.TarError, EOFError) as error:
        raise StoreError(f"{file} is not a whole backup of a store ({error}); name another one") from error
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        if error.filename != str(file):
            raise
        raise StoreError(f"{file} cannot be read: {error.strerror}; name a backup") from error


def _manifest(file: Path, archive: tarfile.TarFile) -> dict[str, int]:
    member = archive.next()
    stream = archive.extractfile(member) if member is not None and member.name == MANIFEST else None
    try:
        manifest = json.loads(stream.read(10_000)) if stream is not None else {}
        found = {name: int(manifest[name]) for name in ("format", "commits", "packs")}
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{file} is not a backup of a store; name a file that `store backup` wrote") from error
    if found["format"] > schema.VERSION:
        raise StoreError(f"{file} has format {found['format']}, newer than this program's; use a newer pix2pix")
    return found


@contextmanager
def _restoring(folder: Path) -> Iterator[Path]:
    """Mark a folder as being restored; what an interrupted restore left there is removed first."""
    marker = folder / schema.RESTORING
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise StoreError(f"{folder} is not empty; restore into a new folder, and name it with --store")
    private_files.make_folder(folder)
    if marker.exists() and not private_files.remove_abandoned(marker):
        raise StoreError(f"{folder} is being restored by another process; wait for its end")
    with private_files.create(marker):
        sync_folder(folder)
        shutil.rmtree(folder / "objects", ignore_errors=True)
        for path in folder.glob(f"{DATABASE}*"):
            if path != marker:
                path.unlink()
        yield marker


def _extract(
    file: Path,
    archive: tarfile.TarFile,
    manifest: dict[str, int],
    folder: Path,
    progress: Callable[[int, int, str], None],
) -> int:
    """Write the tables and the packs; return the number of packs."""
    schema.make_pack_folders(folder)
    packs = 0
    while (member := archive.next()) is not None:
        source = archive.extractfile(member) if member.isreg() else None
        if source is None or not (member.name == DATABASE or PACK.fullmatch(member.name)):
            raise StoreError(
                f"{file} contains {member.name[:100]!r}, which does not belong in a backup; name another file"
            )
        target = folder / DATABASE if member.name == DATABASE else folder / "objects" / member.name
        with private_files.create(target) as stream:
            shutil.copyfileobj(source, stream, 1 << 20)
            stream.flush()
            os.fsync(stream.fileno())
        packs += member.name != DATABASE
        progress(packs, manifest["packs"], member.name)
    if packs != manifest["packs"] or not (folder / DATABASE).exists():
        raise StoreError(f"{file} is not a whole backup: it has {packs} of {manifest['packs']} packs; name another one")
    sync_folder(folder / "objects" / "packs")
    with closing(connections.connect(folder / DATABASE)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return packs
