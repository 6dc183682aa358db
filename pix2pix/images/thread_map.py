"""A map over many pictures in threads, with results in the order of the pictures.

Threads suffice: decoding, scaling and encoding release Python's global lock, and threads start at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from pix2pix.progress import Progress, silent

T = TypeVar("T")
R = TypeVar("R")

MAX_THREADS = 16
"""Default upper limit of threads: each may hold several copies of a picture of 50 megapixels."""


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(
    work: Callable[[T], R],
    items: Sequence[T],
    workers: int | None = None,
    progress: Progress = silent,
) -> list[R]:
    """Call `work` on each item, in threads.

    Args:
        work: called from several threads at once.
        items: arguments, in the order of the results.
        workers: threads; None or 0 means one per core, at most `MAX_THREADS`.
        progress: called after each item.

    Returns:
        the results, in the order of `items` whatever the number of threads.

    Raises:
        Exception: what `work` raised for the first item, in the order of `items`, that failed; items that have not
            started by then are skipped.
    """
    progress(0, len(items), "")
    pool = ThreadPoolExecutor(max_workers=workers or min(cores(), MAX_THREADS))
    futures: list[Future[R]] = [pool.submit(work, item) for item in items]
    try:
        results: list[R] = []
        for future in futures:
            results.append(future.result())
            progress(len(results), len(items), "")
        return results
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
