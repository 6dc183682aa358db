"""Loops of local runs: as many iterations at once as the machine carries, each line of their output in one piece.

`kfp.local` 2.17 runs two iterations at once on any machine, and its threads replace the process's ``print`` by turns:
lines are indented ever deeper and torn apart. They replace the handlers of the root logger by turns, too, and lose or
double the lines on which tasks begin and end.
"""

from __future__ import annotations

import builtins
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from workflows.runners.log_lines import EXECUTOR, INPUT_BEGINS, INPUT_ENDS

MEMORY = 1 << 30
"""Bytes of memory that must be available for each iteration; a shard of the stage generate holds TensorFlow and a
model."""

TAIL = 400
"""Lines of a task's output that are remembered: more than the longest traceback has."""

_INDENT = "    "

_TASK = threading.local()
"""Of each thread: whether it is running a task (``runs``), the end of the task's output (``tail``), and the lines of
the task's input that are not printed yet (``input``): printed at once, no line of another task gets between them."""


def printed_by_task() -> tuple[str, ...]:
    """Return the end of the output of the task that the calling thread ran last."""
    return tuple("".join(getattr(_TASK, "tail", ())).splitlines())


def most_at_once(cores: int | None = None, available: int | None = None) -> int:
    """Return how many iterations run at once, at least 1.

    Args:
        cores: number of processors; by default those that this process may use.
        available: bytes of memory; by default what the machine has available now.
    """
    cores = cores or len(os.sched_getaffinity(0))
    available = psutil.virtual_memory().available if available is None else available
    return max(1, min(cores, available // MEMORY))


@contextmanager
def local_loops(iterations: int) -> Iterator[None]:
    """Let `kfp.local` run loops as this module describes, within the block.

    Args:
        iterations: how many run at once.
    """
    from kfp.local import logging_utils
    from kfp.local.orchestrator.enhanced_dag_orchestrator import ParallelExecutor

    prepare, indent, plain_print = ParallelExecutor.__init__, logging_utils.indented_print, builtins.print
    log = logging_utils.local_logger_context
    outermost = threading.Lock()

    @contextmanager
    def logging_once() -> Iterator[None]:
        # The pipeline's own context surrounds those of all of its tasks.
        if not outermost.acquire(blocking=False):
            yield
            return
        try:
            with log():
                yield
        finally:
            outermost.release()

    def prepared(self: Any, *arguments: Any) -> None:
        prepare(self, *arguments)
        self.conservative_max = self.max_workers = iterations

    @contextmanager
    def indented(num_spaces: int = 4) -> Iterator[None]:  # noqa: ARG001 - the name is kfp's
        _TASK.runs, _TASK.tail, _TASK.input = True, deque(maxlen=TAIL), []
        try:
            yield
        finally:
            plain_print("".join(_TASK.input), end="")
            _TASK.runs = False

    def print_line(*values: object, sep: str | None = " ", end: str | None = "\n", **options: Any) -> None:
        text = (" " if sep is None else sep).join(map(str, values)) + ("\n" if end is None else end)
        if getattr(_TASK, "runs", False):
            _TASK.tail.append(text)
            line = text.rstrip("\n")
            if _TASK.input or (EXECUTOR.match(line) and line.endswith(INPUT_BEGINS)):
                _TASK.input.append(_INDENT + text)
                if line != INPUT_ENDS:
                    return
                text, _TASK.input = "".join(_TASK.input), []
            else:
                text = _INDENT + text
        plain_print(text, end="", **options)

    ParallelExecutor.__init__, logging_utils.indented_print, builtins.print = prepared, indented, print_line
    logging_utils.local_logger_context = logging_once
    try:
        yield
    finally:
        ParallelExecutor.__init__, logging_utils.indented_print, builtins.print = prepare, indent, plain_print
        logging_utils.local_logger_context = log
