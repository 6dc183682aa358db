"""Hyperparameters of the stage export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from pix2pix.hyperparameters.section import Section


@dataclass(frozen=True)
class ExportParameters(Section):
    """How a checkpoint becomes a model to serve.

    Attributes:
        weights: ``float32``, or ``float16``: half the size on disk; computation stays float32.
        dropout: whether dropout stays on, as the paper does at test time. The mask is fixed, so that one picture always
            gives one result.
        filetype: ``png`` or ``jpeg``, for the signatures that return encoded pictures.
        tflite: ``none``, or also a TensorFlow Lite file for one picture of the training size with ``float32``,
            ``float16`` or ``int8`` weights.
        version: name of the model's version folder, as TensorFlow Serving expects it.
    """

    NAME: ClassVar[str] = "export"

    weights: Literal["float32", "float16"] = "float32"
    dropout: bool = False
    filetype: Literal["png", "jpeg"] = "png"
    tflite: Literal["none", "float32", "float16", "int8"] = "none"
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 1
