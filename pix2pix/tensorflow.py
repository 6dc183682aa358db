"""Process-wide settings for TensorFlow, to be made before it is imported."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import logging
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

logger = logging.getLogger(__name__)

Tensor = Any
"""A `tf.Tensor`; TensorFlow ships no types that mypy can check."""

Variable = Any
"""A `tf.Variable`."""

ENVIRONMENT = {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
"""Environment variable -> its default. oneDNN's convolutions are otherwise off unless the CPU has VNNI."""

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8
"""Parameters of mallopt(3), from glibc's malloc.h."""

_STARTUP_MESSAGES = re.compile(
    rb"absl::InitializeLog|oneDNN custom operations|cudart_stub|cuInit|cpu_feature_guard|rebuild Tensor"
)


@dataclass(frozen=True)
class TensorFlowSettings:
    """The settings of this process.

    Attributes:
        keeps_freed_memory: whether glibc keeps freed memory instead of returning it to the kernel.
        ineffective: environment variables of `ENVIRONMENT` that were unset when TensorFlow was imported; their defaults
            come too late.
    """

    keeps_freed_memory: bool
    ineffective: tuple[str, ...]


@cache
def configure_tensorflow() -> TensorFlowSettings:
    """Make the settings that training and generation are fast with. Imports nothing; call it once at the start.

    Variables that are already set keep their values, and ``PIX2PIX_MALLOC=0`` leaves glibc alone. The messages that
    TensorFlow prints to standard error while it is imported are dropped; anything else is passed on.

    Returns:
        the settings; those that came too late are also logged as a warning. Later calls change nothing.
    """
    too_late = "tensorflow" in sys.modules
    unset = tuple(name for name in ENVIRONMENT if name not in os.environ)
    for name in unset:
        os.environ[name] = ENVIRONMENT[name]
    if not too_late:
        sys.meta_path.insert(0, _QuietImport())
    settings = TensorFlowSettings(_keep_freed_memory(), unset if too_late else ())
    if settings.ineffective:
        logger.warning(
            "TensorFlow was imported before configure_tensorflow() was called; without effect: %s. Call it first",
            ", ".join(f"{name}={ENVIRONMENT[name]}" for name in settings.ineffective),
        )
    return settings


def _keep_freed_memory() -> bool:
    """Let glibc keep freed memory, in one arena; return whether it accepted every setting."""
    # By default glibc returns the memory of every gradient to the kernel after each step, and the next step faults it
    # in again: half of the time of a step on a CPU.
    if platform.libc_ver()[0] != "glibc" or os.environ.get("PIX2PIX_MALLOC") == "0":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**28), (_M_ARENA_MAX, 1))
    return 0 not in [mallopt(name, value) for name, value in settings]


class _QuietImport(MetaPathFinder):
    """Drops TensorFlow's start-up messages from standard error during its import."""

    # They are printed before absl's logging is initialized, so no log level applies to them (seen in 2.21).
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Find TensorFlow by the other finders, and wrap its loader."""
        if fullname != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_quietly(module: Any) -> None:
                with _without_startup_messages():
                    load(module)
                    module.config.list_physical_devices()  # searches for GPUs, and prints what it misses

            spec.loader.exec_module = load_quietly  # type: ignore[method-assign]
        return spec


@contextlib.contextmanager
def _without_startup_messages() -> Iterator[None]:
    """Hold back what native code writes to standard error, then pass on all lines but the start-up messages."""
    with tempfile.TemporaryFile() as buffer:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(buffer.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            buffer.seek(0)
            for line in buffer:
                if not _STARTUP_MESSAGES.search(line):
                    os.write(2, line)
