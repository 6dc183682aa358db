"""A commit's files as a new local folder, all or nothing; a large download goes on where it was interrupted."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.client.download import download
from pachyderm.client.file_contents import expected
from pachyderm.client.file_names import decode, local_paths
from pachyderm.client.files import FileEntry
from pachyderm.errors import RequestError

WORTH_KEEPING = (1000, 100_000_000)
"""Files, or bytes, from which on an interrupted download is kept; a smaller one is repeated in seconds."""


def new_folder(target: Path) -> Path:
    """Return the real path of a folder that is to be made, refusing one with contents.

    Raises:
        RequestError: it has contents, is a file, or is the current folder.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RequestError(f"{target} exists and is not an empty folder; give the path of a new folder")
    target = Path(os.path.realpath(target))
    if target == Path.cwd():
        raise RequestError(f"{target} is the current folder, which cannot be replaced; give the path of a new folder")
    return target


def check_out(
    client: Connection,
    commit: Commit,
    entries: Mapping[str, FileEntry],
    target: Path,
    *,
    whole: bool,
    pattern: str | None = None,
    show: Callable[[int, int, str], None] | None = None,
) -> dict[str, str]:
    """Download files into a folder beside `target` and rename it, so that `target` appears whole or not at all.

    If the download is interrupted after `WORTH_KEEPING` files or bytes, the folder stays, and the next download of the
    same commit to the same `target` goes on with it.

    Args:
        client: the connection.
        commit: a finished commit.
        entries: path in the commit -> its entry in the listing.
        target: as `new_folder` returns it.
        whole: whether `entries` is everything that the commit holds.
        pattern: the glob pattern that `entries` match, if there is one.
        show: called as ``show(done, total, path)``.

    Returns:
        the paths in the commit whose decoded forms cannot be local paths -> their local paths.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _partial_folder(target, commit) as partial:
        names = local_paths(entries, str(partial))
        arrived = {path for path, entry in entries.items() if _holds(partial / names[path], entry)}
        _remove_others(partial, {names[path] for path in arrived})
        download(
            client,
            commit.repo,
            commit.id,
            {path: entry for path, entry in entries.items() if path not in arrived},
            partial,
            whole=whole and not arrived,
            pattern=None if arrived else pattern,
            rename=names.__getitem__,
            progress=show and (lambda done, total, path: show(done + len(arrived), total + len(arrived), path)),
        )
        # Until now only its owner could read it.
        partial.chmod(0o777 & ~_umask())
        partial.replace(target)
    return {stored: local for stored, local in names.items() if local != decode(stored.lstrip("/"))}


@contextmanager
def _partial_folder(target: Path, commit: Commit) -> Iterator[Path]:
    """Provide the folder of an earlier download, or an empty one; after an error it is removed unless worth keeping."""
    partial = target.parent / f".{target.name}-{commit.id[:12]}"
    handle = _own_folder(partial)
    if handle is None:  # of another user, or in use by another process
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield partial
    except BaseException:
        sizes = [path.stat().st_size for path in partial.rglob("*") if path.is_file()]
        if handle is None or (len(sizes) < WORTH_KEEPING[0] and sum(sizes) < WORTH_KEEPING[1]):
            shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        if handle is not None:
            os.close(handle)


def _own_folder(folder: Path) -> int | None:
    """Create a folder, or open and lock an existing one; None if it is in use, a link, or somebody else's."""
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if os.fstat(handle).st_uid == os.geteuid():
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
    except OSError:
        pass
    os.close(handle)
    return None


def _holds(local: Path, entry: FileEntry) -> bool:
    """Whether a file holds what a listing states; the content of a file of several chunks is not compared."""
    if local.is_symlink() or not local.is_file() or local.stat().st_size != entry.bytes:
        return False
    return expected(local).hash in (None, entry.hash)


def _remove_others(folder: Path, names: Set[str]) -> None:
    """Remove the files of an earlier download that do not belong to this one."""
    for path in folder.rglob("*"):
        if (path.is_symlink() or path.is_file()) and path.relative_to(folder).as_posix() not in names:
            path.unlink()
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
