"""Transfer of files between commits, whose paths are absolute, and the folders that `pix2pix` reads and writes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from pachyderm.client.download import download
from pachyderm.client.files import FileEntry
from pachyderm.output.stage import StageContext


def fetch(job: StageContext, repo: str, only: Collection[str] | None = None) -> Path:
    """Download an input commit, or some of its files, into a folder of the attempt.

    Args:
        job: the output commit's work.
        repo: input repo.
        only: absolute paths; None means all files.

    Returns:
        the folder.
    """
    source = job.inputs[repo]
    files: Mapping[str, FileEntry] = source.files if only is None else {path: source.files[path] for path in only}
    folder = job.scratch / repo
    wanted, size = (sum(file.bytes for file in part.values()) for part in (files, source.files))
    download(
        job.client,
        repo,
        source.commit.id,
        files,
        folder,
        whole=2 * len(files) > len(source.files) and 2 * wanted > size,
        progress=job.progress,
    )
    return folder


def files_below(folder: Path, leave_out: Collection[str] = ()) -> dict[str, Path]:
    """Map the path that each file below a folder gets in the commit to the file.

    Args:
        folder: what the work wrote.
        leave_out: names directly below `folder` that are not published.
    """
    return {
        f"/{path.relative_to(folder).as_posix()}": path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in leave_out
    }
