"""A commit's files as a new local folder, all or nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.client.download import download
from pachyderm.client.file_names import decode, local_paths
from pachyderm.client.files import FileEntry
from pachyderm.errors import RequestError


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
    show: Callable[[int, int, str], None] | None = None,
) -> dict[str, str]:
    """Download files into a folder beside `target` and rename it, so that `target` appears whole or not at all.

    Args:
        client: the connection.
        commit: a finished commit.
        entries: path in the commit -> its entry in the listing.
        target: as `new_folder` returns it.
        whole: whether `entries` is everything that the commit holds.
        show: called as ``show(done, total, path)``.

    Returns:
        the paths in the commit whose decoded forms cannot be local paths -> their local paths.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        names = local_paths(entries, str(partial))
        download(
            client,
            commit.repo,
            commit.id,
            entries,
            partial,
            whole=whole,
            rename=names.__getitem__,
            progress=show,
        )
        # mkdtemp makes a folder that only its owner can read.
        partial.chmod(0o777 & ~_umask())
        partial.replace(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return {stored: local for stored, local in names.items() if local != decode(stored.lstrip("/"))}


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
