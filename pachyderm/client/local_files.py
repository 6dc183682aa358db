"""Local files and folders to put, as paths in a commit."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pachyderm.client.file_names import encode
from pachyderm.errors import RequestError


def folder_of(prefix: str) -> str:
    """Return the folder in the repo that a prefix names, encoded like file names, with a slash at both ends.

    Raises:
        RequestError: the prefix contains ``..``.
    """
    parts = [part for part in prefix.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise RequestError(f"the prefix {prefix} contains '..'; give the path of a folder in the repo")
    return "/".join(["", *(encode(part) for part in parts), ""])


def collect(sources: Iterable[str | os.PathLike[str]], folder: str, store: Path) -> tuple[dict[str, Path], int]:
    """Map paths in the commit to local files, leaving out the embedded store's, and count the encoded names.

    Args:
        sources: files and folders; the contents of a folder keep their relative paths.
        folder: folder in the repo, as `folder_of` returns it.
        store: real path of the embedded store.

    Raises:
        RequestError: a source is missing, empty or unreadable, or two files would get one path.
    """
    files: dict[str, Path] = {}
    encoded = 0
    for argument in sources:
        source = Path(argument)
        if not os.fspath(argument) or not source.exists():
            raise RequestError(f"{os.fspath(argument) or 'an empty name'} does not exist")
        entries = list(_walk(source, store))
        if not entries:
            raise RequestError(f"the folder {source} contains no files")
        for relative, local in entries:
            name = encode(relative)
            path = folder + name
            if path in files:
                if not files[path].samefile(local):
                    both = f"{local} and {files[path]} would both become {path}"
                    raise RequestError(f"{both}; put them separately, with different --prefix")
                continue
            encoded += name != relative
            files[path] = local
    return files, encoded


def _walk(source: Path, store: Path) -> Iterator[tuple[str, Path]]:
    """Yield the relative path and the path of each file in a folder, or of a single file."""
    if source.is_file():
        yield source.name, source
        return
    files: list[Path] = []
    real = source.resolve()
    folders: list[tuple[Path, tuple[Path, ...]]] = [(source, (real,))]
    while folders:
        folder, above = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            # With --mirror an unreadable folder would otherwise count as deleted.
            raise RequestError(
                f"the folder {folder} cannot be read: {error.strerror}; change its permissions"
            ) from error
        for path in (folder / entry.name for entry in entries):
            target = _target(path, real, above) if path.is_symlink() else above[-1] / path.name
            if not path.is_dir():
                files.append(path)
            elif target != store:
                folders.append((path, (*above, target)))
    for path in sorted(files):
        if not path.is_file():
            raise RequestError(f"{path} is not a regular file; remove it from the folder")
        if not os.access(path, os.R_OK):
            raise RequestError(f"{path} cannot be read; change its permissions")
        yield path.relative_to(source).as_posix(), path


def _target(link: Path, source: Path, above: tuple[Path, ...]) -> Path:
    """Return what a link leads to, refusing one out of the source or into itself.

    Args:
        link: a symbolic link.
        source: real path of the folder that is put.
        above: real paths of the folders that the link was reached through.
    """
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise RequestError(f"{link} is a link that leads nowhere; remove it, or put a copy in its place") from error
    if not target.is_relative_to(source):
        raise RequestError(f"{link} is a link to {target}, outside {source}; remove it, or put a copy in its place")
    if target in above:
        raise RequestError(f"{link} is a link to {target}, a folder that contains it; remove the link")
    return target
