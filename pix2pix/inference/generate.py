"""Translates a folder of pictures with an exported model: one process, batches, threads around the network.

No picture influences another, except by `norm` "batch". TensorFlow chooses the order of its sums by the shape of a
batch, the number of cores and the kind of CPU: a value of a result can be rounded to the neighbouring level.
With `batch_size` 1 the shape of a
picture alone decides, and on one machine equal pictures give equal bytes. What the same model made from the same
picture before is not made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pix2pix.errors import HyperparameterError, InputError, PictureError
from pix2pix.hyperparameters import GenerateParameters, TrainParameters, resolve
from pix2pix.images.codec import Pixels, Rejection, decode_bytes, encode_png
from pix2pix.images.folders import check_apart, check_spared, survey
from pix2pix.images.header import read_file
from pix2pix.images.names import assign_outputs
from pix2pix.images.png.text import INPUT, MODEL, OPTIONS_USED, read_text
from pix2pix.images.rejections import TOO_LARGE
from pix2pix.images.thread_map import cores
from pix2pix.inference.export import OPTIONS, find_version
from pix2pix.pages.gallery import write_gallery
from pix2pix.progress import Progress, silent
from pix2pix.tensorflow import fused, tf
from pix2pix.training.checkpoints import full_disk_told

logger = logging.getLogger(__name__)


LARGEST = 2**24
"""Pixels of a picture or of a batch that the network is given at most; more would need tens of gigabytes."""

MOST_WAITING = 2 * LARGEST
"""Pixels that wait for others of their size at most; three bytes each."""


@dataclass(frozen=True)
class Generated:
    """What a generation did.

    Attributes:
        written: input -> output, relative to their folders, of pictures made now.
        kept: the same, of pictures that were there already, made by this model from this input.
        rejected: inputs that were left out.
    """

    written: dict[str, str]
    kept: dict[str, str]
    rejected: tuple[Rejection, ...]


class Translator:
    """A loaded model.

    Attributes:
        options: the content of its ``assets.extra/pix2pix.json``.
        trained: the hyperparameters of its training.
        digest: SHA-256 of these options, which name the checkpoint's own.
        multiple: what height and width are padded to, pixels.
    """

    def __init__(self, model: Path) -> None:
        """Load a model's newest version.

        Raises:
            InputError: no model of ours, or a damaged one.
        """
        folder = find_version(model)
        try:
            self.options: dict[str, Any] = json.loads((folder / OPTIONS).read_text(encoding="utf-8"))
            self.trained: TrainParameters = resolve("train", self.options["train"])
            self._loaded = tf.saved_model.load(str(folder))
            self._image = self._loaded.signatures["image"]
        except Exception as error:  # TensorFlow raises anything on a cut or changed SavedModel: IndexError, ...
            raise InputError(f"the model {folder} is damaged ({type(error).__name__}); export it again") from error
        self.multiple = 2**self.trained.levels
        self.digest = hashlib.sha256(json.dumps(self.options, sort_keys=True).encode()).hexdigest()

    def __call__(self, pictures: Pixels) -> Pixels:
        """Translate a batch: uint8 ``[N, H, W, 3]`` to ``[N, H, W, 3 or 1]``."""
        with fused():
            return np.asarray(self._image(image=tf.constant(pictures))["image"])


def generate(
    model: Path,
    source: Path,
    target: Path,
    parameters: GenerateParameters | None = None,
    *,
    only: Collection[str] | None = None,
    text: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> Generated:
    """Translate pictures.

    Args:
        model: folder with versions of a model, or one version.
        source: folder of pictures of any kind that `pix2pix.images.codec` reads.
        target: folder for the results, made if it is missing; it also gets ``index.html``.
        parameters: see `pix2pix.hyperparameters`.
        only: inputs to translate, relative to `source`; None means all.
        text: what each result says of itself besides (see `pix2pix.images.png.text`).
        progress: told after each picture.

    Raises:
        InputError: no pictures, no model, a size that does not fit the model, or a `target` in which results would
            become inputs or overwrite them.
        WorkError: no space left; what was written stays and is not made again.
    """
    options = parameters or GenerateParameters()
    check_apart(source, target)
    listing = survey(source).required()
    names, rejected = assign_outputs(listing.pictures)
    rejected = (*rejected, *listing.left_out)
    check_spared(source, target, names.values())
    if only is not None:
        names = {path: names[path] for path in names if path in only}
        rejected = tuple(r for r in rejected if r.path in only)
    translator = Translator(model)
    if options.size % translator.multiple:
        raise HyperparameterError(
            f"size = {options.size} does not fit the model; allowed: multiples of {translator.multiple}, or 0 for each"
            " picture's own size"
        )
    used = json.dumps({"size": options.size, "aspect_ratio": options.aspect_ratio})
    trained = translator.trained
    # As training scaled the model's inputs: of a pair, A alone may be a label map, and colorization has photographs.
    labels = trained.labels and trained.direction == "AtoB" and not trained.lab_colorization
    workers = options.workers or cores()
    written: dict[str, str] = {}
    kept: dict[str, str] = {}
    bad: list[Rejection] = []

    def read(path: str) -> tuple[str, dict[str, str], Pixels | None] | Rejection:
        """Read one input; no pixels where its result is there already."""
        try:
            data = read_file(source / path)
            made_from = hashlib.sha256(data).hexdigest()
            said = {MODEL: translator.digest, INPUT: made_from, OPTIONS_USED: used, **(text or {})}
            if read_text(target / names[path]) == said:
                return path, said, None
            return path, said, _prepare(decode_bytes(data), options.size, labels)
        except PictureError as error:
            return Rejection(path, error.code, error.reason)

    def write(path: str, text: dict[str, str], pixels: Pixels) -> None:
        encode_png(_stretch(pixels, options.aspect_ratio), target / names[path], text)

    with full_disk_told(str(target)), ThreadPoolExecutor(workers, "pictures") as pool:
        writing: deque[Future[None]] = deque()
        for batch in _batches(_ahead(pool, read, list(names), workers + options.batch_size), options.batch_size):
            ready = []
            for one in batch:
                if isinstance(one, Rejection):
                    bad.append(one)
                elif one[2] is None:
                    kept[one[0]] = names[one[0]]
                else:
                    ready.append(one)
            if ready:
                outputs = translator(_padded([pixels for _, _, pixels in ready], options.batch_size))
                for (path, said, _), pixels in zip(ready, outputs, strict=False):
                    writing.append(pool.submit(write, path, said, pixels))
                    written[path] = names[path]
            while len(writing) > 2 * options.batch_size:
                writing.popleft().result()
            progress(len(written) + len(kept) + len(bad), len(names), "")
        for future in writing:
            future.result()
    order = list(names)
    written, kept = ({path: d[path] for path in order if path in d} for d in (written, kept))
    left_out = (*rejected, *sorted(bad, key=lambda r: order.index(r.path)))
    write_gallery(target, source, {path: names[path] for path in order if path in written or path in kept}, left_out)
    return Generated(written, kept, left_out)


def _ahead(pool: ThreadPoolExecutor, read: Any, paths: list[str], most: int) -> Iterator[Any]:
    """Results of `read` in order, at most so many read ahead of the network."""
    waiting: deque[Future[Any]] = deque()
    for path in paths:
        waiting.append(pool.submit(read, path))
        if len(waiting) > most:
            yield waiting.popleft().result()
    for future in waiting:
        yield future.result()


def _batches(results: Iterator[Any], size: int) -> Iterator[list[Any]]:
    """Group pictures of one size; what needs no network goes through at once, and not too many pixels wait."""
    open_batches: dict[tuple[int, ...], list[Any]] = {}
    for result in results:
        if isinstance(result, Rejection) or result[2] is None:
            yield [result]
            continue
        shape = result[2].shape
        batch = open_batches.setdefault(shape, [])
        batch.append(result)
        if len(batch) == _most(shape, size):
            yield open_batches.pop(shape)
        while sum(len(open_batches[one]) * math.prod(one[:2]) for one in open_batches) > MOST_WAITING:
            yield open_batches.pop(max(open_batches, key=lambda one: len(open_batches[one])))
    yield from open_batches.values()


def _most(shape: tuple[int, ...], size: int) -> int:
    """How many pictures of a shape make a batch: `size`, or as many as the network is given pixels at most."""
    return max(1, min(size, LARGEST // math.prod(shape[:2])))


def _padded(pictures: list[Pixels], size: int) -> Pixels:
    """Stack pictures of one shape, the last repeated up to a full batch.

    The network then sees one batch of each shape, whatever lies in the folder: how many are in a batch decides how sums
    are rounded, and each new shape costs a trace. A picture's place in the batch can still decide a rounding.
    """
    return np.stack([*pictures, *[pictures[-1]] * (_most(pictures[0].shape, size) - len(pictures))])


def _prepare(pixels: Pixels, size: int, labels: bool) -> Pixels:
    if size:
        way = Image.Resampling.NEAREST if labels else Image.Resampling.BICUBIC
        return np.asarray(Image.fromarray(pixels).resize((size, size), way))
    if pixels.shape[0] * pixels.shape[1] > LARGEST:
        reason = f"{pixels.shape[1]}x{pixels.shape[0]} is more than the {LARGEST:,} pixels that are translated at once"
        raise PictureError(TOO_LARGE, f"{reason}; resize it")
    return pixels


def _stretch(pixels: Pixels, ratio: float) -> Pixels:
    if ratio == 1:
        return pixels
    height, width, channels = pixels.shape
    picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    return np.asarray(picture.resize((max(1, round(width * ratio)), height), Image.Resampling.BICUBIC))
