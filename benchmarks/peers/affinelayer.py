"""The training step of affinelayer's own script, ``pix2pix.py``, in the Python with TensorFlow 2.15 that it is given.

The script is for TensorFlow 1, whose interface TensorFlow 2.15 still has with the layers that the script calls. Its
path is in the environment variable ``AFFINELAYER_SCRIPT``.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import tensorflow.compat.v1 as tf

Run = Callable[[], object]


def load_script(path: Path, filters: int, batch: int) -> ModuleType:
    """Return the script as a module. It reads its options when it is imported, and its last statement starts it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body.pop()
    module = ModuleType("affinelayer_pix2pix")
    options = {"mode": "train", "output_dir": "none", "ngf": filters, "ndf": filters, "batch_size": batch}
    arguments, modern = sys.argv, sys.modules["tensorflow"]
    sys.argv = [str(path), *(text for name, value in options.items() for text in (f"--{name}", str(value)))]
    sys.modules["tensorflow"] = tf
    try:
        exec(compile(tree, str(path), "exec"), module.__dict__)
    finally:
        sys.argv, sys.modules["tensorflow"] = arguments, modern
    return module


def step(batch: int = 1, size: int = 256, filters: int = 64) -> Run:
    """Return one training step: both updates and the moving averages of the losses, as the script runs them."""
    if size != 256:
        raise ValueError(f"the script's network is for 256 pixels, and size is {size}")
    script = load_script(Path(os.environ["AFFINELAYER_SCRIPT"]), filters, batch)
    pictures = np.random.default_rng(0).uniform(-1, 1, (2, batch, size, size, 3)).astype(np.float32)
    with tf.Graph().as_default() as graph:
        # Constants would be folded; the script's pictures arrive from a queue.
        inputs, targets = (tf.placeholder(tf.float32, [batch, size, size, 3]) for _ in range(2))
        train = script.create_model(inputs, targets).train
        start = tf.global_variables_initializer()
    session = tf.Session(graph=graph)
    session.run(start)
    return lambda: session.run(train, {inputs: pictures[0], targets: pictures[1]})
