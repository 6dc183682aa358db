"""Compares a sample of pictures that are to be prepared with the inputs of a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pix2pix.datasets.resize import resized
from pix2pix.errors import PictureError
from pix2pix.hyperparameters import GenerateParameters, ResizeParameters
from pix2pix.images.fitting import stretched
from pix2pix.images.header import read_file
from pix2pix.images.names import may_be_picture
from pix2pix.inference.suitability import SCALED_LABELS, ModelInputs, SuitabilityCheck

SAMPLED = 24
"""Pictures that are tried before a folder is prepared."""


def sample_warnings(
    inputs: ModelInputs, files: Mapping[str, Path], resize: ResizeParameters, generate: GenerateParameters
) -> tuple[str, ...]:
    """Prepare a sample of pictures as the stages resize and generate would, and compare them with a model's inputs.

    Args:
        inputs: of the model.
        files: name of each file for warnings -> the file; what cannot be read as a picture is left out.
        resize: parameters of the stage resize.
        generate: parameters of the stage generate.
    """
    check = SuitabilityCheck(inputs, scaled=generate.size == 0)
    names = sorted(name for name in files if may_be_picture(name))
    for name in names[:: max(1, -(-len(names) // SAMPLED))]:
        try:
            prepared = np.asarray(resized(read_file(files[name]), resize))
        except PictureError:
            continue
        side = generate.size if isinstance(generate.size, int) else 0
        shape = (side, side) if side else inputs.trained.shape if check.scaled else (resize.size, prepared.shape[1])
        check.add(name, (prepared.shape[0], prepared.shape[1]), stretched(prepared, shape, labels=inputs.labels))
    labels = (SCALED_LABELS,) if inputs.labels and not resize.labels else ()
    return (*check.warnings(), *labels)
