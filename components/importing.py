"""Imports a slow module while a stage waits for its files."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading


def import_meanwhile(module: str) -> None:
    """Begin to import a module in a thread of its own; a later import of it waits for the rest.

    TensorFlow takes three seconds of processor time to import, in which files can arrive. Only to be called once there
    is work: a run in which everything is copied needs no TensorFlow.

    Args:
        module: dotted name. An error of its import is raised by the later import, not here.
    """
    if module not in sys.modules:
        threading.Thread(target=_import, args=(module,), name=f"import-{module}").start()


def _import(module: str) -> None:
    # Whatever a module raises is raised again where it is used.
    with contextlib.suppress(Exception):
        importlib.import_module(module)
