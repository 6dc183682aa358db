"""A model that is called with a picture and returns its translation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from PIL import Image

from pix2pix.api.picture_input import to_batch, to_like
from pix2pix.errors import InputError
from pix2pix.hyperparameters import GenerateParameters, TrainParameters
from pix2pix.images.codec import Pixels
from pix2pix.images.fitting import stretched
from pix2pix.inference.saved_model import find_version
from pix2pix.inference.suitability import ModelInputs
from pix2pix.pages.rendering import render
from pix2pix.tensorflow import configure_tensorflow

if TYPE_CHECKING:
    from pix2pix.inference.translator import Translator

ModelSize = int | Literal["own"]
"""Side to which a picture is scaled before it is translated, pixels; 0 is the model's, ``"own"`` the picture's."""


def load(path: str | os.PathLike[str], *, engine: str = "auto") -> Model:
    """Load a model.

    Args:
        path: folder that `Training.export` or `pix2pix export` wrote, or one version in it; the newest version is
            loaded.
        engine: ``"onnxruntime"``, ``"tensorflow"``, or ``"auto"`` for ONNX Runtime where the model has an ONNX file.

    Raises:
        InputError: the model is missing, damaged, of another version of this program, or was not exported by it.
        HyperparameterError: the engine is unknown or not installed, or cannot run the model.
    """
    GenerateParameters.convert("engine", engine)
    configure_tensorflow()
    from pix2pix.inference.translator import Translator

    folder = find_version(Path(path))
    return Model(folder, Translator(folder, engine))


class Model:
    """A loaded model; call it with a picture. `pix2pix.load` and `Training.export` return one.

    Attributes:
        folder: the version's folder.
        parameters: hyperparameters of its training.
        metrics: of its checkpoint: held-out ``l1`` ([-1, 1]), ``psnr`` (dB) and ``ssim``, and the last losses.
        step: of its checkpoint.
    """

    def __init__(self, folder: Path, translator: Translator) -> None:
        self.folder = folder
        self._translator = translator
        self.parameters: TrainParameters = translator.trained
        self.metrics: dict[str, float] = dict(translator.options.get("metrics", {}))
        self.step = int(translator.options.get("step", 0))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures that the model was trained on, pixels."""
        return self.parameters.shape

    @overload
    def __call__(self, picture: Pixels, *, size: ModelSize | None = None) -> Pixels: ...
    @overload
    def __call__(
        self, picture: str | os.PathLike[str] | Image.Image, *, size: ModelSize | None = None
    ) -> Image.Image: ...
    def __call__(self, picture: Any, *, size: ModelSize | None = None) -> Any:
        """Translate one picture, or a batch.

        A path or a PIL image is prepared as `generate` prepares files: turned upright, converted to sRGB and scaled to
        the size that the model was trained at. An array is taken as pixels that are ready, and keeps its size.

        Args:
            picture: a path, a PIL image, or a uint8 array ``[H, W]`` (grey), ``[H, W, 3]`` or ``[N, H, W, 3]`` in sRGB.
            size: side to which pictures are scaled first, pixels; 0 is the size of the training, ``"own"`` keeps each
                picture's. None is 0 for a path or PIL image, and ``"own"`` for an array.

        Returns:
            for a path or PIL image, a PIL image in mode RGB, or L from a model of one output channel. For an array, a
            uint8 array ``[H, W, 3]`` or ``[N, H, W, 3]``, without the last axis from a model of one output channel.

        Raises:
            InputError: anything else than the pictures above, no pixels or too many, or a size that does not fit.
            PictureError: a picture that cannot be decoded.
        """
        own = "own" if isinstance(picture, np.ndarray) else 0
        target = self._target_size(own if size is None else size)
        batch = to_batch(picture)
        return to_like(self._translator(batch if target is None else self._scaled(batch, target)), picture)

    def _target_size(self, size: Any) -> tuple[int, int] | None:
        """Return height and width to scale to; None keeps a picture's own."""
        if isinstance(size, str) and size == "own":
            return None
        multiple = self._translator.multiple
        if isinstance(size, bool) or not isinstance(size, int) or size < 0 or size > 4096 or size % multiple:
            raise InputError(
                f"size = {size!r} cannot be used; allowed: multiples of {multiple} up to 4096, 0 for the size of the"
                ' training, or "own" for each picture\'s own size'
            )
        return (size, size) if size else self.size

    def _scaled(self, batch: Pixels, shape: tuple[int, int]) -> Pixels:
        """Scale a batch to height and width as training scaled the model's inputs."""
        labels = ModelInputs.of(self._translator.options).labels
        return np.stack([stretched(pixels, shape, labels=labels) for pixels in batch])

    def __repr__(self) -> str:
        height, width = self.size
        return f"<pix2pix.Model {self.folder}: {width} x {height} pixels, step {self.step:,}>"

    def _repr_html_(self) -> str:
        """Describe the model in a notebook: size, training and metrics."""
        return render("pix2pix.api", "model.html", model=self)
