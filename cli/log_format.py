"""Formats log records for people."""

from __future__ import annotations

import logging

from pachyderm.dag.short_ids import short_ids
from pix2pix.escaping import EscapingFormatter


class ShorteningFormatter(EscapingFormatter):
    """Formats a log record as an escaped message with short ids."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message."""
        return short_ids(super().format(record))
