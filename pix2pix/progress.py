"""How long work tells how far it is.

It exists so that the model's floor can report progress without knowing a terminal, a log or Kubeflow.
"""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, note)``: units done so far, units in all (0 when unknown), a short note such as
``"L1 0.081"``. Called often; the receiver thins out."""


def silent(done: int, total: int, note: str) -> None:
    """Tell nobody."""
