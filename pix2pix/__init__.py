"""pix2pix image-to-image translation on plain folders: A|B pairs in, a model out; pictures in, pictures out.

    import pix2pix
    from pathlib import Path

    pix2pix.configure_tensorflow()
    parameters = pix2pix.resolve("train", {"size": 128, "max_steps": 600})
    pix2pix.train(Path("pairs"), Path("work"), parameters)
    pix2pix.export(Path("work"), Path("model"))
    pix2pix.generate(Path("model"), Path("pictures"), Path("generated"))

`__all__` is the public API; everything else is private. Names are imported when they are first used, so that importing
this package imports neither TensorFlow nor anything else that is slow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pix2pix.datasets.batch_convert import Converted
    from pix2pix.datasets.operations import Operation, operate
    from pix2pix.datasets.resize import resize_folder
    from pix2pix.datasets.split import Shares, Split, split_folder
    from pix2pix.errors import HyperparameterError, InputError, PictureError, Pix2PixError, WorkError
    from pix2pix.hyperparameters import (
        ExportParameters,
        GenerateParameters,
        ResizeParameters,
        TrainParameters,
        parse,
        parse_assignments,
        resolve,
    )
    from pix2pix.images.rejections import Rejection
    from pix2pix.inference.evaluate import Evaluation, MeasuredPair, evaluate
    from pix2pix.inference.export import Exported, export
    from pix2pix.inference.generate import Generated, generate
    from pix2pix.inference.translator import Translator
    from pix2pix.progress import Progress
    from pix2pix.tensorflow import TensorFlowSettings, configure_tensorflow
    from pix2pix.training.train import Trained, train

_MODULES = {
    "pix2pix.datasets.batch_convert": ("Converted",),
    "pix2pix.datasets.operations": ("Operation", "operate"),
    "pix2pix.datasets.resize": ("resize_folder",),
    "pix2pix.datasets.split": ("Shares", "Split", "split_folder"),
    "pix2pix.errors": ("HyperparameterError", "InputError", "PictureError", "Pix2PixError", "WorkError"),
    "pix2pix.hyperparameters": (
        "ExportParameters",
        "GenerateParameters",
        "ResizeParameters",
        "TrainParameters",
        "parse",
        "parse_assignments",
        "resolve",
    ),
    "pix2pix.images.rejections": ("Rejection",),
    "pix2pix.inference.evaluate": ("Evaluation", "MeasuredPair", "evaluate"),
    "pix2pix.inference.export": ("Exported", "export"),
    "pix2pix.inference.generate": ("Generated", "generate"),
    "pix2pix.inference.translator": ("Translator",),
    "pix2pix.progress": ("Progress",),
    "pix2pix.tensorflow": ("TensorFlowSettings", "configure_tensorflow"),
    "pix2pix.training.train": ("Trained", "train"),
}
"""Module -> the public names that it defines; the imports above, for type checkers, name the same."""

_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Converted",
    "Evaluation",
    "ExportParameters",
    "Exported",
    "GenerateParameters",
    "Generated",
    "HyperparameterError",
    "InputError",
    "MeasuredPair",
    "Operation",
    "PictureError",
    "Pix2PixError",
    "Progress",
    "Rejection",
    "ResizeParameters",
    "Shares",
    "Split",
    "TensorFlowSettings",
    "TrainParameters",
    "Trained",
    "Translator",
    "WorkError",
    "configure_tensorflow",
    "evaluate",
    "export",
    "generate",
    "operate",
    "parse",
    "parse_assignments",
    "resize_folder",
    "resolve",
    "split_folder",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted({*globals(), *__all__})
