"""pix2pix image-to-image translation on plain folders: A|B pairs in, a model out; pictures in, pictures out.

    import pix2pix

    pix2pix.pairs("photos", "pairs", "edges", size=128)
    training = pix2pix.train("pairs", "work", size=128, max_steps=2000)
    model = training.export("model")  # later: pix2pix.load("model")
    model("drawing.png").save("picture.png")
    pix2pix.generate(model, "drawings", "pictures")

`__all__` is the public API; everything else is private. Names are imported when they are first used, so that importing
this package imports neither TensorFlow nor anything else that is slow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pix2pix.api.folders import evaluate, generate, pairs, resize, split
    from pix2pix.api.model import Model, load
    from pix2pix.api.training import Training, export, train
    from pix2pix.datasets.batch_convert import Converted
    from pix2pix.datasets.split import Split
    from pix2pix.errors import HyperparameterError, InputError, PictureError, Pix2PixError, WorkError
    from pix2pix.hyperparameters import TrainParameters
    from pix2pix.images.rejections import Rejection
    from pix2pix.inference.evaluate import Evaluation, MeasuredPair
    from pix2pix.inference.generate import Generated
    from pix2pix.progress import Progress

_MODULES = {
    "pix2pix.api.folders": ("evaluate", "generate", "pairs", "resize", "split"),
    "pix2pix.api.model": ("Model", "load"),
    "pix2pix.api.training": ("Training", "export", "train"),
    "pix2pix.datasets.batch_convert": ("Converted",),
    "pix2pix.datasets.split": ("Split",),
    "pix2pix.errors": ("HyperparameterError", "InputError", "PictureError", "Pix2PixError", "WorkError"),
    "pix2pix.hyperparameters": ("TrainParameters",),
    "pix2pix.images.rejections": ("Rejection",),
    "pix2pix.inference.evaluate": ("Evaluation", "MeasuredPair"),
    "pix2pix.inference.generate": ("Generated",),
    "pix2pix.progress": ("Progress",),
}
"""Module -> the public names that it defines; the imports above, for type checkers, name the same."""

_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Converted",
    "Evaluation",
    "Generated",
    "HyperparameterError",
    "InputError",
    "MeasuredPair",
    "Model",
    "PictureError",
    "Pix2PixError",
    "Progress",
    "Rejection",
    "Split",
    "TrainParameters",
    "Training",
    "WorkError",
    "evaluate",
    "export",
    "generate",
    "load",
    "pairs",
    "resize",
    "split",
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
