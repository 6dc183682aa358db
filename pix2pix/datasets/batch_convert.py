"""Conversion of a folder: one PNG from each picture, under the same path in another folder."""

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
class Converted:
    """Result of a conversion.

    Attributes:
        written: input path -> output path, both relative and in POSIX form, in byte order of the inputs.
        rejected: files that were left out, in byte order.
    """

    written: dict[str, str]
    rejected: tuple[Rejection, ...]


def convert_folder(
    source: Path,
    target: Path,
    convert: Callable[[str], Image.Image],
    *,
    only: Collection[str] | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> Converted:
    """Write the conversion of each picture; a picture that is refused is rejected and does not stop the others.

    Args:
        source: folder with pictures, however deep.
        target: folder for the results; created if missing, files in it are replaced.
        convert: called with a path relative to `source`, from several threads; raises PictureError to refuse.
        only: relative paths of the files to convert; names are still assigned from the whole folder. None means all.
        workers: threads; None means one per core.
        progress: called after each picture.

    Raises:
        InputError: `source` is missing or has no pictures, a path of `only` is not in it, or its pictures would be
            overwritten.
        OSError: `target` cannot be written.
    """
    check_apart(source, target)
    listing = survey(source) if only is not None else survey(source).required()
    missing = sorted(set(only or ()) - {*listing.pictures, *(rejection.path for rejection in listing.left_out)})
    if missing:
        raise InputError(f"{source} has no picture {missing[0]!r}; specify pictures that are in it")
    outputs, refused = assign_outputs(listing.pictures)
    check_spared(source, target, outputs.values())
    chosen = [path for path in outputs if only is None or path in only]

    def work(path: str) -> Rejection | None:
        try:
            picture = convert(path)
        except PictureError as error:
            return Rejection(path, error.code, error.reason)
        save_png(picture, target / outputs[path])
        return None

    results = in_threads(work, chosen, workers, progress)
    rejected = {rejection.path: rejection for rejection in results if rejection is not None}
    for rejection in (*refused, *listing.left_out):
        if only is None or rejection.path in only:
            rejected[rejection.path] = rejection
    return Converted(
        {path: outputs[path] for path in chosen if path not in rejected},
        tuple(rejected[path] for path in sorted(rejected, key=byte_order)),
    )
