"""Import of slow modules in the background, while a stage waits for its files."""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
import threading
from collections.abc import Iterator

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def imported_meanwhile(module: str, library: str = "TensorFlow") -> Iterator[None]:
    """Import a module in another thread while the block runs; the block's end waits for the import.

    TensorFlow takes three seconds of processor time to import, during which files can arrive. Use this only if there is
    work: a run that copies everything needs no TensorFlow.

    Args:
        module: dotted name. An import error is raised by the import statement after the block, not here.
        library: name of what takes the time, for the log.
    """
    if module not in sys.modules:
        logger.info("loading %s", library)
    thread = threading.Thread(target=_import, args=(module,), name=f"import-{module}")
    thread.start()
    try:
        yield
    finally:
        # An import statement that meets an import which is under way in another thread, and which then fails, returns
        # the half-initialized module instead of the error (CPython 3.11).
        thread.join()


def _import(module: str) -> None:
    # A failed import leaves no entry in sys.modules: the import statement where the module is used raises the error.
    with contextlib.suppress(Exception):
        importlib.import_module(module)
