"""The metrics of a training over time, as JSON lines and for TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec

from pix2pix.files import write_atomically

Record = dict[str, Any]

FILE_NAME = "metrics.jsonl"

_START = '{"step": '
"""The beginning of each line."""


class _Entry(msgspec.Struct):
    """The fields of a record that others read; `MetricsLog` describes them."""

    step: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    epoch: float = 0.0
    images: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    seconds: float = 0.0
    images_per_second: float = 0.0
    losses: dict[str, float] = {}
    held_out: dict[str, float] = {}


class MetricsLog:
    """The metrics of one run, without gaps or repetitions if it was interrupted.

    Each record has ``step``; records of losses also have ``epoch``, ``images``, ``seconds``, ``images_per_second`` and
    ``losses``, records of evaluations ``held_out``.

    Attributes:
        records: all records, oldest first.
    """

    def __init__(self, work: Path, step: int, writes: bool = True) -> None:
        """Open the log, and remove the records of steps after the one from which the run is resumed.

        Args:
            work: folder for ``metrics.jsonl`` and, under ``state/tensorboard``, TensorBoard's events.
            step: from which the run is resumed.
            writes: whether this process writes.
        """
        path = work / FILE_NAME
        self._path = path
        self._events = work / "state" / "tensorboard"
        self._writes = writes
        self._writer: Any = None
        self.records = [record for record in read(path) if record["step"] <= step]
        if not writes:
            return
        write_atomically(path, "".join(_line(record) for record in self.records).encode())

    def add_losses(self, step: int, epoch: float, images: int, seconds: float, losses: dict[str, float]) -> None:
        """Append the mean losses since the previous record of losses.

        Args:
            step: the last one covered.
            epoch: passes over the training pairs so far.
            images: pairs learnt from so far.
            seconds: spent in the training loop so far.
            losses: name -> value.
        """
        previous = next(
            (record for record in reversed(self.records) if "losses" in record), {"images": 0, "seconds": 0.0}
        )
        rate = (images - previous["images"]) / max(1e-9, seconds - previous["seconds"])
        counters = {"step": step, "epoch": epoch, "images": images, "seconds": seconds}
        self.add({**counters, "images_per_second": rate, "losses": losses})

    def add(self, record: Record) -> None:
        """Append a record; its losses and held-out metrics become curves in TensorBoard."""
        import tensorflow as tf  # not above: pages read a log without it

        self.records.append(record)
        if not self._writes:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(record))
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self._events))
        with self._writer.as_default(step=record["step"]):
            for group in ("losses", "held_out"):
                for name, value in record.get(group, {}).items():
                    tf.summary.write(
                        f"{group}/{name}", tf.constant(value, tf.float32), metadata=_metadata("scalars", 1)
                    )

    def add_picture(self, name: str, png: bytes, size: tuple[int, int], step: int) -> None:
        """Add a picture for TensorBoard alone; `size` is width and height, pixels."""
        import tensorflow as tf

        if self._writer is not None:
            content = [str(size[0]).encode(), str(size[1]).encode(), png]
            with self._writer.as_default(step=step):
                tf.summary.write(name, tf.constant(content), metadata=_metadata("images", 3))

    def close(self) -> None:
        """Flush TensorBoard's events."""
        if self._writer is not None:
            self._writer.close()


def read(path: Path) -> list[Record]:
    """Read the records of a file, up to a line that a crash truncated."""
    return parse(path.read_bytes()) if path.exists() else []


def parse(content: bytes) -> list[Record]:
    """Parse the content of a log, up to a line that a crash truncated or that is not a record."""
    records = []
    for line in content.splitlines():
        record = _record(line)
        if record is None:
            break
        records.append(record)
    return records


def is_metrics_log(path: Path) -> bool:
    """Return whether a file was written by a `MetricsLog`; a crash may have truncated its last line."""
    try:
        *lines, last = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return False
    return last[: len(_START)] == _START[: len(last)] and all(_record(line.encode()) is not None for line in lines)


def _record(line: bytes) -> Record | None:
    """Parse a line; None if it is not a record."""
    try:
        record: Record = json.loads(line)
        # JSON of Python may hold NaN and infinity, which the decoder of msgspec refuses.
        msgspec.convert(record, _Entry)
    except (ValueError, RecursionError):  # of msgspec, too: ValidationError is a ValueError
        return None
    return record if {"losses", "held_out"} & {*record} else None


def _line(record: Record) -> str:
    return json.dumps(record) + "\n"


def _metadata(plugin: str, kind: int) -> Any:
    """Return the metadata by which TensorBoard shows a value; `kind` is 1 for scalars and 3 for pictures."""
    import tensorflow as tf

    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = plugin
    metadata.data_class = kind
    return metadata
