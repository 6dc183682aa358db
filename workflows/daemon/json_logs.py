"""JSON log lines that name the commit set, pipeline and run that they concern."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import TextIO

from pachyderm.queue.decisions import stamp

CONTEXT_FIELDS = ("commit_set", "pipeline", "run")
"""Fields that a record may carry besides its message."""


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON.

    Args:
        wall: seconds since 1970.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        super().__init__()
        self._wall = wall

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of JSON."""
        line = {
            "time": stamp(self._wall()),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: getattr(record, name) for name in CONTEXT_FIELDS if getattr(record, name, "")},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        # Of the control characters, JSON leaves DEL alone.
        return json.dumps(line).replace("\x7f", r"\u007f")


def log_json(stream: TextIO, wall: Callable[[], float]) -> None:
    """Log everything from INFO on as JSON lines; this replaces the handlers that were set up before."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(wall))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
