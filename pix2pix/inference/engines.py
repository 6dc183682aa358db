"""Engines that run the network of an exported model: ONNX Runtime and TensorFlow.

ONNX Runtime is loaded in a tenth of TensorFlow's time. It computes each picture by itself, with a number of threads
that the picture's size alone decides, so that the bytes of an output do not depend on the other pictures of a batch,
their order or the number of cores. TensorFlow uses a GPU where there is one, and runs models with dropout.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pix2pix.errors import HyperparameterError, InputError
from pix2pix.images.codec import Pixels
from pix2pix.images.thread_map import cores
from pix2pix.inference.saved_model import ONNX, TFLITE, VARIABLES

ONNX_RUNTIME, TENSORFLOW = "onnxruntime", "tensorflow"
"""Engines, by the name of their package."""

TITLES = {ONNX_RUNTIME: "ONNX Runtime", TENSORFLOW: "TensorFlow"}
"""Engine -> its name in prose."""

LARGE_PIXELS = 2**19
"""Pixels above which several threads compute a picture together."""
LARGE_THREADS = 8
"""Threads that do: on any machine as many, since their number decides where a row of pixels is divided, and with it how
sums are rounded."""


@dataclass(frozen=True)
class ModelEngine:
    """A loaded network.

    Attributes:
        name: of the package, `ONNX_RUNTIME` or `TENSORFLOW`.
        version: of the package.
        translate: uint8 ``[N, H, W, 3]`` to uint8 ``[N, H, W, 3 or 1]``, H and W any.
        one_by_one: whether each picture is computed by itself; otherwise the size of a batch decides how sums are
            rounded, and each new size costs a trace.
    """

    name: str
    version: str
    translate: Callable[[Pixels], Pixels]
    one_by_one: bool


def engine_of(folder: Path, wanted: str) -> str:
    """Return the engine of a model, which need not be installed.

    Args:
        folder: a model's version.
        wanted: ``auto`` for ONNX Runtime where the model has an ONNX file and TensorFlow where it has none, or an
            engine.

    Raises:
        HyperparameterError: ONNX Runtime is wanted, and the model has no ONNX file.
    """
    has_onnx = (folder / ONNX).is_file()
    if wanted == ONNX_RUNTIME and not has_onnx:
        raise HyperparameterError(
            f'engine = "{ONNX_RUNTIME}" cannot run the model {folder}, which has no {ONNX.as_posix()}; set engine ='
            f' "auto" or "{TENSORFLOW}", or export the model again with onnx = true'
        )
    return chosen(wanted, has_onnx)


def chosen(wanted: str, has_onnx: bool) -> str:
    """Return the engine of a model that has an ONNX file or not; `wanted` is ``auto`` or an engine."""
    return (ONNX_RUNTIME if has_onnx else TENSORFLOW) if wanted == "auto" else wanted


def reads(engine: str, path: str) -> bool:
    """Whether an engine needs a file of a model; it is loaded without the others, which are nearly half of it.

    Args:
        engine: its name.
        path: relative to the version's folder.
    """
    if path == TFLITE.as_posix():
        return False
    if path == ONNX.as_posix():
        return engine == ONNX_RUNTIME
    return engine == TENSORFLOW or not path.startswith(f"{VARIABLES}/")


def load_engine(folder: Path, name: str, multiple: int, together: bool) -> ModelEngine:
    """Load a model.

    Args:
        folder: its version, which has been compared with its manifest.
        name: of the engine, as `engine_of` returns it.
        multiple: of which height and width have to be, pixels; other pictures are padded by their last row and column.
        together: whether the pictures of a batch influence each other (`norm` "batch").

    Raises:
        HyperparameterError: the engine is not installed.
        InputError: the model is damaged.
    """
    try:
        if name == TENSORFLOW:
            return ModelEngine(name, version(name), _tensorflow_network(folder), one_by_one=False)
        network = _OnnxNetwork(folder / ONNX, multiple, together)
        return ModelEngine(name, version(name), network, one_by_one=not together)
    except ImportError as error:
        other = TENSORFLOW if name == ONNX_RUNTIME else ONNX_RUNTIME
        raise HyperparameterError(
            f"the model {folder} needs the package {name}, which cannot be imported ({error}); install it, or set"
            f' engine = "{other}"'
        ) from error
    except Exception as error:  # either raises anything on a truncated or changed model: IndexError, ...
        raise InputError(f"the model {folder} is damaged ({type(error).__name__}); export it again") from error


def _tensorflow_network(folder: Path) -> Callable[[Pixels], Pixels]:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    image = loaded.signatures["image"]

    def translate(pictures: Pixels, _loaded: Any = loaded) -> Pixels:
        # The signature does not keep the loaded object, and with it the variables, alive.
        return np.asarray(image(image=tf.constant(pictures))["image"])

    return translate


class _OnnxNetwork:
    """An ONNX model in ONNX Runtime."""

    def __init__(self, model: Path, multiple: int, together: bool) -> None:
        self._multiple, self._together = multiple, together
        with model.open("rb") as file:
            # A mapping, since the file may be removed before the first large picture asks for another session.
            self._content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._small = _session(str(model), threads=1)
        self._large: Any = None
        self._loading = threading.Lock()
        self._pool = ThreadPoolExecutor(cores(), "network")

    def __call__(self, pictures: Pixels) -> Pixels:
        height, width = pictures.shape[1:3]
        edges = [(0, 0), (0, -height % self._multiple), (0, -width % self._multiple), (0, 0)]
        padded = np.pad(pictures, edges, mode="edge")
        if self._together:
            return _run(self._small, padded)[:, :height, :width]
        large = padded.shape[1] * padded.shape[2] > LARGE_PIXELS
        run = partial(_run, self._large_session() if large else self._small)
        one_by_one = np.split(padded, len(padded))
        side_by_side = len(padded) > 1 and not large
        translated = list(self._pool.map(run, one_by_one) if side_by_side else map(run, one_by_one))
        return np.concatenate(translated)[:, :height, :width]

    def _large_session(self) -> Any:
        """Return the session for large pictures. It keeps the weights in a form of its own, so that few load it."""
        with self._loading:
            if self._large is None:
                self._large = _session(bytes(self._content), LARGE_THREADS)
            return self._large


def _run(session: Any, pictures: Pixels) -> Pixels:
    (translated,) = session.run(None, {"image": pictures})
    return np.asarray(translated)


def _session(model: str | bytes, threads: int) -> Any:
    """Load a model from its path, or from its content, which the session then keeps."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors; warnings are about its own choices
    # It would reserve the memory for a size of pictures at once, which is half as much again.
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
