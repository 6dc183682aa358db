"""Sets up the process for TensorFlow on a CPU, then imports it; every module here takes `tf` from this one.

It exists because two defaults cost half of the speed. oneDNN's convolutions are off unless the CPU has VNNI, and glibc
gives the memory of every gradient back to the kernel after each step, so that the next one faults it in again. Both are
decided before TensorFlow is imported. ``PIX2PIX_MALLOC=0`` leaves glibc alone; a value of ``TF_ENABLE_ONEDNN_OPTS``
that is already set stays. TensorFlow's own start-up chatter is left out of standard error; anything else is passed on.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

__all__ = ["Tensor", "Variable", "fused", "keeps_freed_memory", "tf"]

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8
"""Names of glibc's malloc.h."""
_CHATTER = re.compile(
    rb"absl::InitializeLog|oneDNN custom operations|cudart_stub|cuInit|cpu_feature_guard|rebuild Tensor"
)


def _keep_freed_memory() -> bool:
    """Let glibc keep what is freed, in one arena; returns whether it agreed."""
    if platform.libc_ver()[0] != "glibc" or os.environ.get("PIX2PIX_MALLOC") == "0":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**28), (_M_ARENA_MAX, 1))
    return 0 not in [mallopt(name, value) for name, value in settings]


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Hold back what native code writes to standard error, then pass on the lines that are no chatter."""
    with tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        real = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            os.close(real)
            held.seek(0)
            for line in held:
                if not _CHATTER.search(line):
                    os.write(2, line)


os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
keeps_freed_memory = _keep_freed_memory()
"""Whether glibc was told to keep freed memory."""

with _without_chatter():
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"remapping": False})
    tf.config.list_physical_devices()  # looks for CUDA, and says so


@contextlib.contextmanager
def fused() -> Iterator[None]:
    """Have Grappler fuse what runs in the block: a normalisation and its rectifier are then one pass of oneDNN.

    Not for training: where a gradient needs a bias and its rectifier, Grappler fails to fuse them and says so; for the
    rest it brings nothing there.
    """
    tf.config.optimizer.set_experimental_options({"remapping": True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"remapping": False})


Tensor = Any
"""A `tf.Tensor`; TensorFlow ships no types that mypy could check."""

Variable = Any
"""A `tf.Variable`."""
