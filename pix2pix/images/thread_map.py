"""Does one thing to many pictures in threads, and gives the results in the order of the pictures.

It exists so that every picture tool has the same ``--workers``, the same progress and the same behaviour on failure.
Threads and not processes: decoding, scaling and encoding run outside of Python's lock, and threads start at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from pix2pix.progress import Progress, silent

T = TypeVar("T")
R = TypeVar("R")

MOST = 16
"""Threads at most unless the caller says otherwise: each may hold a picture of 50 megapixels several times over."""


def cores() -> int:
    """Count the processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(
    work: Callable[[T], R],
    items: Sequence[T],
    workers: int | None = None,
    progress: Progress = silent,
) -> list[R]:
    """Call `work` on each item.

    Args:
        work: called from several threads at once.
        items: in the order of the results.
        workers: threads; None or 0 means one per core, `MOST` at most.
        progress: told after each item.

    Returns:
        what `work` returned, in the order of `items` whatever the number of threads.

    Raises:
        Exception: what `work` raised for the first item that it failed on, in the order of `items`; those that have not
            begun by then are left undone.
    """
    progress(0, len(items), "")
    pool = ThreadPoolExecutor(max_workers=workers or min(cores(), MOST))
    futures: list[Future[R]] = [pool.submit(work, item) for item in items]
    try:
        results: list[R] = []
        for future in futures:
            results.append(future.result())
            progress(len(results), len(items), "")
        return results
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
