"""Writes each log record as one JSON object on one line, with the commit set, pipeline and run that it is about.

It exists so that a cluster's log search can follow one commit set through the trigger.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import TextIO

from pachyderm.queue.decisions import stamp

NAMED = ("commit_set", "pipeline", "run")
"""The fields that a record may carry besides its text."""


class JsonLines(logging.Formatter):
    """Formats a record as JSON.

    Args:
        wall: seconds since 1970.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        super().__init__()
        self._wall = wall

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        line = {
            "time": stamp(self._wall()),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: getattr(record, name) for name in NAMED if getattr(record, name, "")},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_json(stream: TextIO, wall: Callable[[], float]) -> None:
    """Log everything from INFO on as JSON lines, instead of what was set up before."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(wall))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
