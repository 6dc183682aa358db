"""Makes one PNG from each picture of a folder, under the same path in another folder."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pix2pix.errors import InputError, PictureError
from pix2pix.images.codec import save_png
from pix2pix.images.folders import check_apart, check_spared, survey
from pix2pix.images.names import assign_outputs, byte_order
from pix2pix.images.rejections import Rejection
from pix2pix.images.thread_map import in_threads
from pix2pix.progress import Progress, silent


@dataclass(frozen=True)
class Mirrored:
    """What became of a folder's pictures.

    Attributes:
        written: input path -> output path, both relative and in posix form, in byte order of the inputs.
        rejected: files that were left out, in byte order.
    """

    written: dict[str, str]
    rejected: tuple[Rejection, ...]


def mirror(
    source: Path,
    target: Path,
    make: Callable[[str], Image.Image],
    *,
    only: Collection[str] | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> Mirrored:
    """Write what `make` makes of each picture; one that it refuses is rejected and does not stop the others.

    Args:
        source: folder with pictures, however deep.
        target: folder for the results; made if missing, files in it are replaced.
        make: given a path relative to `source`; called from several threads; raises PictureError to refuse.
        only: relative paths of the files to do; names are still assigned from the whole folder. None: all.
        workers: threads; None means one per core.
        progress: told after each picture.

    Raises:
        InputError: `source` is missing or without pictures, lacks a path of `only`, or its pictures would be
            overwritten.
        OSError: `target` cannot be written.
    """
    check_apart(source, target)
    listing = survey(source) if only is not None else survey(source).required()
    missing = sorted(set(only or ()) - {*listing.pictures, *(each.path for each in listing.left_out)})
    if missing:
        raise InputError(f"{source} has no picture {missing[0]!r}; name pictures that are in it")
    outputs, refused = assign_outputs(listing.pictures)
    check_spared(source, target, outputs.values())
    chosen = [path for path in outputs if only is None or path in only]

    def work(path: str) -> Rejection | None:
        try:
            picture = make(path)
        except PictureError as error:
            return Rejection(path, error.code, error.reason)
        save_png(picture, target / outputs[path])
        return None

    failed = {each.path: each for each in in_threads(work, chosen, workers, progress) if each is not None}
    others = (*refused, *listing.left_out)
    failed |= {each.path: each for each in others if only is None or each.path in only}
    return Mirrored(
        {path: outputs[path] for path in chosen if path not in failed},
        tuple(failed[path] for path in sorted(failed, key=byte_order)),
    )
