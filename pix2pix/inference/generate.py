"""Translates a folder of pictures with an exported model.

One process: threads decode and encode around a network that takes batches. Pictures do not influence each other, except
with `norm` "batch". With ONNX Runtime, on one kind of CPU, equal pictures give equal bytes, whatever the batch, the
order and the number of cores. TensorFlow chooses the order of its sums by the shape of a batch, the number of cores and
the kind of CPU, so a value of an output can be rounded to the neighbouring level; with `batch_size` 1 the shape of a
picture alone decides. Outputs that the same model and engine made from the same input are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from pix2pix.errors import HyperparameterError, PictureError
from pix2pix.files import reporting_full_disk
from pix2pix.hyperparameters import GenerateParameters
from pix2pix.images.codec import Pixels, Rejection, decode_bytes, encode_png
from pix2pix.images.fitting import stretched
from pix2pix.images.folders import check_apart, check_spared, survey
from pix2pix.images.header import read_file
from pix2pix.images.names import assign_outputs
from pix2pix.images.png.text import ENGINE, INPUT, MODEL, OPTIONS_USED, read_text
from pix2pix.images.rejections import TOO_LARGE
from pix2pix.images.thread_map import cores
from pix2pix.inference.batching import ReadyPicture, batches, stack_padded
from pix2pix.inference.saved_model import find_version
from pix2pix.inference.suitability import ModelInputs, SuitabilityCheck
from pix2pix.inference.translator import MAX_PIXELS, Translator
from pix2pix.pages.gallery import write_gallery
from pix2pix.progress import Progress, silent

T = TypeVar("T")


@dataclass(frozen=True)
class Generated:
    """The outcome of a generation.

    Attributes:
        written: input -> output, relative to their folders, of the pictures made now.
        kept: the same, of pictures that this model and engine had already made from this input.
        rejected: inputs that were left out.
        warnings: about inputs of another size or kind than the model's; they were translated all the same.
    """

    written: dict[str, str]
    kept: dict[str, str]
    rejected: tuple[Rejection, ...]
    warnings: tuple[str, ...]


def generate(
    model: Path,
    source: Path,
    target: Path,
    parameters: GenerateParameters | None = None,
    *,
    only: Collection[str] | None = None,
    text: Mapping[str, str] | None = None,
    complete: bool = True,
    progress: Progress = silent,
) -> Generated:
    """Translate the pictures of a folder.

    Args:
        model: folder with versions of a model, or one version.
        source: folder of pictures, of any kind that `pix2pix.images.codec` reads.
        target: folder for the outputs and their page ``index.html``; created if missing.
        parameters: see `pix2pix.hyperparameters`.
        only: inputs to translate, relative to `source`; None means all.
        text: further metadata for each output (see `pix2pix.images.png.text`).
        complete: whether a file of the model that its engine does not read may not be missing either.
        progress: called after each picture that needs no work, and after each batch.

    Raises:
        InputError: no pictures, no model, a size that does not fit the model, or a `target` in which outputs would
            become inputs or overwrite them.
        HyperparameterError: an engine that is not installed, or cannot run the model.
        WorkError: no space left; what was written stays and is not made again.
    """
    options = parameters or GenerateParameters()
    check_apart(source, target)
    listing = survey(source).required()
    names, collisions = assign_outputs(listing.pictures)
    check_spared(source, target, names.values())
    chosen = {path: name for path, name in names.items() if only is None or path in only}
    left_out = [file for file in (*collisions, *listing.left_out) if only is None or file.path in only]
    find_version(model)  # a missing model is refused before anything is reported
    progress(0, len(chosen), "loading the model")
    translator = Translator(model, options.engine, complete=complete)
    shape = _shape(options.size, translator)
    check = SuitabilityCheck(ModelInputs.of(translator.options), scaled=options.size == 0)
    tally = _Tally(chosen, progress)
    workers = options.workers or cores()
    with reporting_full_disk(str(target)), ThreadPoolExecutor(workers, "pictures") as pool:
        engine = f"{translator.engine.name} {translator.engine.version}"
        made_by = {MODEL: translator.digest, ENGINE: engine, OPTIONS_USED: _options_used(options, shape)}
        metadata = {**made_by, **(text or {})}
        reader = _Reader(source, target, chosen, metadata, shape, check)
        writer = _Writer(pool, target, chosen, options)
        results = _read_ahead(pool, reader, list(chosen), workers + options.batch_size)
        for batch in batches(tally.ready(results), options.batch_size, MAX_PIXELS, 2 * MAX_PIXELS):
            full = 1 if translator.engine.one_by_one else options.batch_size
            outputs = translator(stack_padded(batch, full, MAX_PIXELS))
            for picture, pixels in zip(batch, outputs, strict=False):  # the padding has no picture
                writer.write(picture, pixels)
            tally.add_written(batch)
        writer.finish()
    written, kept = tally.outputs(tally.written), tally.outputs(tally.kept)
    rejected = (*left_out, *tally.rejected)
    write_gallery(target, source, tally.outputs({*written, *kept}), rejected)
    return Generated(written, kept, rejected, check.warnings())


def _shape(size: int | str, translator: Translator) -> tuple[int, int] | None:
    """Return the height and width to which inputs are scaled; None keeps those of each."""
    if isinstance(size, str):
        return None
    if size % translator.multiple:
        raise HyperparameterError(
            f"size = {size} does not fit the model; allowed: multiples of {translator.multiple}, 0 for the size that it"
            ' was trained at, or "own" for each picture\'s own size'
        )
    return (size, size) if size else translator.trained.shape


def _options_used(options: GenerateParameters, shape: tuple[int, int] | None) -> str:
    """Return the options that shape an output, as text."""
    return json.dumps({"size": shape or options.size, "aspect_ratio": options.aspect_ratio})


class _Reader:
    """Reads inputs, on several threads."""

    def __init__(
        self,
        source: Path,
        target: Path,
        names: Mapping[str, str],
        text: Mapping[str, str],
        shape: tuple[int, int] | None,
        check: SuitabilityCheck,
    ) -> None:
        self._source, self._target, self._names, self._text = source, target, names, text
        self._shape, self._check = shape, check

    def __call__(self, path: str) -> ReadyPicture | Rejection | None:
        """Read one input; None if its output is up to date."""
        try:
            data = read_file(self._source / path)
            text = {**self._text, INPUT: hashlib.sha256(data).hexdigest()}
            if read_text(self._target / self._names[path]) == text:
                return None
            decoded = decode_bytes(data)
            prepared = prepare(decoded, self._shape, self._check.inputs.labels)
        except PictureError as error:
            return Rejection(path, error.code, error.reason)
        self._check.add(path, (decoded.shape[0], decoded.shape[1]), prepared)
        return ReadyPicture(path, text, prepared)


class _Writer:
    """Writes outputs in the background, as many at once as the network makes in two batches."""

    def __init__(
        self, pool: ThreadPoolExecutor, target: Path, names: Mapping[str, str], options: GenerateParameters
    ) -> None:
        self._pool, self._target, self._names = pool, target, names
        self._ratio, self._limit = options.aspect_ratio, 2 * options.batch_size
        self._pending: deque[Future[None]] = deque()

    def write(self, picture: ReadyPicture, pixels: Pixels) -> None:
        """Write the output of a picture; an error of an earlier one is raised here or by `finish`."""
        self._pending.append(self._pool.submit(self._encode, picture, pixels))
        while len(self._pending) > self._limit:
            self._pending.popleft().result()

    def finish(self) -> None:
        """Wait until everything is written."""
        while self._pending:
            self._pending.popleft().result()

    def _encode(self, picture: ReadyPicture, pixels: Pixels) -> None:
        encode_png(_stretch(pixels, self._ratio), self._target / self._names[picture.path], picture.text)


class _Tally:
    """Sorts inputs by what becomes of them, and reports the progress."""

    def __init__(self, names: Mapping[str, str], progress: Progress) -> None:
        self._names, self._progress = names, progress
        self.written: set[str] = set()
        self.kept: set[str] = set()
        self.rejected: list[Rejection] = []

    def ready(self, results: Iterable[ReadyPicture | Rejection | None]) -> Iterator[ReadyPicture]:
        """Pass on what needs translation; `results` are in the order of the names."""
        for path, result in zip(self._names, results, strict=True):
            if isinstance(result, ReadyPicture):
                yield result
                continue
            if result is None:
                self.kept.add(path)
            else:
                self.rejected.append(result)
            self._report()

    def add_written(self, batch: Sequence[ReadyPicture]) -> None:
        """Count the pictures of a batch as written."""
        self.written.update(picture.path for picture in batch)
        self._report()

    def outputs(self, paths: Collection[str]) -> dict[str, str]:
        """Return input -> output of some inputs, in the order of the names."""
        return {path: name for path, name in self._names.items() if path in paths}

    def _report(self) -> None:
        self._progress(len(self.written) + len(self.kept) + len(self.rejected), len(self._names), "")


def _read_ahead(pool: ThreadPoolExecutor, read: Callable[[str], T], paths: Sequence[str], limit: int) -> Iterator[T]:
    """Return the results of `read` in order; at most `limit` of them are read ahead of the network."""
    pending: deque[Future[T]] = deque()
    for path in paths:
        pending.append(pool.submit(read, path))
        if len(pending) > limit:
            yield pending.popleft().result()
    for future in pending:
        yield future.result()


def prepare(pixels: Pixels, shape: tuple[int, int] | None, labels: bool) -> Pixels:
    """Scale an input to height and width as training scaled the model's inputs; None keeps its size."""
    if shape:
        return stretched(pixels, shape, labels=labels)
    height, width = pixels.shape[:2]
    if height * width > MAX_PIXELS:
        reason = f"{width}x{height} is more than the {MAX_PIXELS:,} pixels that are translated at once"
        raise PictureError(TOO_LARGE, f"{reason}; resize it")
    return pixels


def _stretch(pixels: Pixels, ratio: float) -> Pixels:
    """Multiply the width of an output by `ratio`."""
    if ratio == 1:
        return pixels
    height, width, channels = pixels.shape
    picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    return np.asarray(picture.resize((max(1, round(width * ratio)), height), Image.Resampling.BICUBIC))
