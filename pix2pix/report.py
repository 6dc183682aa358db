"""report.html of a training: one file, nothing loaded from anywhere.

It exists so that a run can be judged from a phone, in print or in a mail, without TensorBoard or a server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pix2pix.hyperparameters import TrainParameters


def write_report(
    work: Path,
    parameters: TrainParameters,
    records: Sequence[Mapping[str, Any]],
    steps: Sequence[int],
    facts: Mapping[str, str],
) -> None:
    """Write ``report.html``."""
