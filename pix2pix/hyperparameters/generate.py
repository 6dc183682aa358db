"""Hyperparameters of the stage generate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from pix2pix.hyperparameters.section import Section


@dataclass(frozen=True)
class GenerateParameters(Section):
    """How pictures are translated.

    Attributes:
        engine: what runs the network: ``onnxruntime``, ``tensorflow``, or ``auto`` for ONNX Runtime where the model has
            an ONNX file (``[export] onnx``). ONNX Runtime starts in a tenth of the time and does not use a GPU. Outputs
            of the two differ by one level at most.
        batch_size: pictures that go through the network at once. With ONNX Runtime, equal pictures give equal bytes on
            one kind of CPU whatever it is; with TensorFlow it changes single values by one level at most, and 1
            changes none.
        size: height and width to which pictures are scaled first, pixels, a multiple of the model's 2^depth; 0 means
            the size that the model was trained at, ``"own"`` each picture's own, padded to such a multiple and cropped
            back. Label maps are scaled by nearest neighbour where the model was trained on them.
        aspect_ratio: width / height factor by which the result is stretched, for models trained on squashed pictures.
        workers: threads that decode and encode; 0 means one per core.
    """

    NAME: ClassVar[str] = "generate"

    engine: Literal["auto", "onnxruntime", "tensorflow"] = "auto"
    batch_size: Annotated[int, Meta(ge=1, le=256)] = 8
    size: Annotated[
        Annotated[int, Meta(ge=0, le=4096)] | Literal["own"],
        Meta(description='a whole number from 0 to 4096, or "own"'),
    ] = 0
    aspect_ratio: Annotated[float, Meta(ge=0.1, le=10.0)] = 1.0
    workers: Annotated[int, Meta(ge=0, le=256)] = 0
