"""Import of slow modules in the background, while a stage waits for its files."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading


def import_meanwhile(module: str) -> None:
    """Start to import a module in another thread; a later import statement waits for it.

    TensorFlow takes three seconds of processor time to import, during which files can arrive. Call this only once
    there is work: a run that copies everything needs no TensorFlow.

    Args:
        module: dotted name. An error in it is raised by the later import statement, not here.
    """
    if module not in sys.modules:
        threading.Thread(target=_import, args=(module,), name=f"import-{module}").start()


def _import(module: str) -> None:
    # The import statement where the module is used raises the error again.
    with contextlib.suppress(Exception):
        importlib.import_module(module)
