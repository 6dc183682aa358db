"""Escapes control characters in text for people: terminals act on them, and bidi controls change what a line shows."""

from __future__ import annotations

import logging
import sys

_NAMED = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}
_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SEPARATORS = (0x2028, 0x2029)
_ESCAPES = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))},
    **{code: f"\\u{code:04x}" for code in (*_BIDI, *_SEPARATORS)},
    **{ord(character): escape for character, escape in _NAMED.items()},
}
_ESCAPES_WITHIN_LINES = {code: escape for code, escape in _ESCAPES.items() if code != ord("\n")}

INDENT = "    "
"""Before the second and later lines of a message, so that none can pass for a message of its own."""


def escape(text: str) -> str:
    r"""Escape all control characters: C0, DEL, C1, bidi controls and line separators, e.g. ESC as ``\x1b``.

    The result is one line. Backslashes stay as they are, so it is for reading, not for decoding.
    """
    # `isprintable` is one pass in C and true for nearly all text; it is false for all that is escaped, among others.
    return text if text.isprintable() else text.translate(_ESCAPES)


def escape_lines(text: str) -> str:
    """Escape all control characters but line feeds, in text that was laid out in lines."""
    return text if text.isprintable() else text.translate(_ESCAPES_WITHIN_LINES)


def escape_message(text: str) -> str:
    """Escape a message; its second and later lines are indented."""
    return escape_lines(text.rstrip("\n")).replace("\n", f"\n{INDENT}")


def escaping_handler(layout: str) -> logging.Handler:
    """Return a handler that writes escaped messages to standard error.

    Args:
        layout: of a message, as `logging.Formatter` takes it.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EscapingFormatter(layout))
    return handler


class EscapingFormatter(logging.Formatter):
    """Formats a record as an escaped message, its traceback included."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the escaped message."""
        return escape_message(super().format(record))
