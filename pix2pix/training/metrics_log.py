"""What a training says about itself while it runs: lines of JSON, and the same for TensorBoard.

It exists so that a run that was interrupted leaves one history without gaps or repetitions.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pix2pix.tensorflow import tf

Record = dict[str, Any]

NAME = "metrics.jsonl"

_START = '{"step": '
"""What each line begins with."""


class Journal:
    """The history of one run.

    Each line of the file has ``step``; lines of losses have ``epoch``, ``images``, ``seconds``,
    ``images_per_second`` and ``losses``; lines of measurements have ``held_out``.

    Attributes:
        records: all of them, oldest first.
    """

    def __init__(self, work: Path, step: int, writes: bool = True) -> None:
        """Open the history, and forget what lies behind the step from which the run goes on.

        Args:
            work: folder for ``metrics.jsonl`` and, under ``state/tensorboard``, TensorBoard's events.
            step: the last one that counts.
            writes: whether this process is the one that writes.
        """
        path = work / NAME
        self._path = path
        self._events = work / "state" / "tensorboard"
        self._writes = writes
        self._writer: Any = None
        self.records = [record for record in read(path) if record["step"] <= step]
        if not writes:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.part")
        partial.write_text("".join(_line(record) for record in self.records), encoding="utf-8")
        os.replace(partial, path)  # noqa: PTH105 - the atomic rename, by its name

    def add_losses(self, step: int, epoch: float, images: int, seconds: float, losses: dict[str, float]) -> None:
        """Append the mean losses since the line before.

        Args:
            step: the last one that they cover.
            epoch: passes over the training pairs so far.
            images: pairs that were learnt from so far.
            seconds: in the training loop so far.
            losses: by name.
        """
        before = next(
            (record for record in reversed(self.records) if "losses" in record), {"images": 0, "seconds": 0.0}
        )
        pace = (images - before["images"]) / max(1e-9, seconds - before["seconds"])
        counted = {"step": step, "epoch": epoch, "images": images, "seconds": seconds}
        self.add({**counted, "images_per_second": pace, "losses": losses})

    def add(self, record: Record) -> None:
        """Append a record; figures in it that are mappings become curves in TensorBoard."""
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

    def show(self, name: str, png: bytes, size: tuple[int, int], step: int) -> None:
        """Give TensorBoard a picture; size is width and height in pixels."""
        if self._writer is not None:
            content = [str(size[0]).encode(), str(size[1]).encode(), png]
            with self._writer.as_default(step=step):
                tf.summary.write(name, tf.constant(content), metadata=_metadata("images", 3))

    def close(self) -> None:
        """Write out what TensorBoard has not got yet."""
        if self._writer is not None:
            self._writer.close()


def read(path: Path) -> list[Record]:
    """Read a history; a last line that was cut by a crash is left out."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def is_history(path: Path) -> bool:
    """Tell whether a file is a history that a `Journal` wrote; its last line may be cut by a crash."""
    try:
        *lines, cut = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return False
    return cut[: len(_START)] == _START[: len(cut)] and all(map(_is_record, lines))


def _is_record(line: str) -> bool:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(record, dict) and isinstance(record.get("step"), int) and bool({"losses", "held_out"} & {*record})


def _line(record: Record) -> str:
    return json.dumps(record) + "\n"


def _metadata(plugin: str, kind: int) -> Any:
    """What TensorBoard needs to show a value; kind is 1 for scalars and 3 for pictures."""
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = plugin
    metadata.data_class = kind
    return metadata
