"""Hyperparameters of the stage export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from pix2pix.errors import HyperparameterError
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
        onnx: whether also an ONNX file is written, which `generate` then runs: ``true``, ``false``, or ``"auto"`` for
            all models but those with dropout. It is compared with the SavedModel on 100 made-up pictures first; where
            any value differs by more than one level, ``true`` is an error, and ``"auto"`` leaves the file out. It
            doubles the size of a model.
        version: name of the model's version folder, as TensorFlow Serving expects it.
    """

    NAME: ClassVar[str] = "export"

    weights: Literal["float32", "float16"] = "float32"
    dropout: bool = False
    filetype: Literal["png", "jpeg"] = "png"
    tflite: Literal["none", "float32", "float16", "int8"] = "none"
    onnx: Annotated[bool | Literal["auto"], Meta(description='true, false or "auto"')] = "auto"
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 1

    def check_together(self) -> None:
        """Refuse an ONNX model with dropout, which it cannot hold."""
        if self.onnx is True and self.dropout:
            raise HyperparameterError(
                "onnx = true writes a model without dropout, and dropout = true is given; leave one of them out"
            )
