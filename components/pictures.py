"""Carries pictures between a commit, whose paths are absolute, and the folders that `pix2pix` reads and writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from pachyderm.client.download import download
from pachyderm.client.files import FileEntry
from pachyderm.output.stage import StageContext
from pachyderm.record.stage_record import Rejected
from pix2pix.images.names import assign_outputs, may_be_picture
from pix2pix.images.rejections import CODES, NOT_A_PICTURE, Rejection


def assign(paths: Collection[str]) -> tuple[Mapping[str, str], tuple[Rejected, ...]]:
    """Assign output names to absolute input paths (see `pix2pix.images.names`); other files get none."""
    relative = [path.lstrip("/") for path in paths]
    outputs, rejected = assign_outputs(path for path in relative if may_be_picture(path))
    others = [Rejection(path, NOT_A_PICTURE, CODES[NOT_A_PICTURE]) for path in relative if not may_be_picture(path)]
    return {f"/{path}": f"/{output}" for path, output in outputs.items()}, as_rejected((*rejected, *others))


def as_rejected(rejections: Iterable[Rejection]) -> tuple[Rejected, ...]:
    """Rejections of a folder as rejections of a commit."""
    return tuple(Rejected(f"/{one.path}", one.code, one.reason) for one in rejections)


def fetch(job: StageContext, repo: str, only: Collection[str] | None = None) -> Path:
    """Bring an input commit, or only some of its files, into a folder of the attempt."""
    source = job.inputs[repo]
    wanted: Mapping[str, FileEntry] = source.files if only is None else {path: source.files[path] for path in only}
    folder = job.scratch / repo
    download(
        job.client,
        repo,
        source.commit.id,
        wanted,
        folder,
        whole=2 * len(wanted) > len(source.files),
        progress=job.progress,
    )
    return folder


def made_files(folder: Path, leave_out: Collection[str] = ()) -> dict[str, Path]:
    """The files below a folder by the absolute path that they get in the commit.

    Args:
        folder: what the work wrote.
        leave_out: names directly below `folder` that are not published.
    """
    return {
        f"/{path.relative_to(folder).as_posix()}": path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in leave_out
    }
