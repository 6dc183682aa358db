"""TOML as people save it, with errors that give line, column and what was expected."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from typing import Any

BYTE_ORDER_MARK = "\ufeff"
"""Byte order mark, which some editors write at the beginning of a file."""

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_PLACE = re.compile(
    r"^(?P<problem>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$", re.DOTALL
)


class TomlError(ValueError):
    """Invalid TOML; the message gives line, column and what was expected."""


def decode(content: bytes) -> str:
    """Decode the content of a TOML file: UTF-8, with or without a byte order mark.

    Raises:
        TomlError: another encoding; the message names it if it is known.
    """
    if content.startswith(_UTF_16) or b"\0" in content[:64]:
        raise TomlError("the text is UTF-16, and UTF-8 is expected; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise TomlError(
            f"line {line}, column {column}: the byte 0x{content[error.start]:02x} is not UTF-8; save the text as UTF-8"
        ) from error


def parse(text: str, secrets: Collection[str] = ()) -> dict[str, Any]:
    """Parse TOML; a byte order mark and Windows line ends are accepted.

    Args:
        text: the content of the file.
        secrets: names of settings; messages about a text that holds one of them quote none of its lines.

    Raises:
        TomlError: the text is not valid TOML.
    """
    text = text.removeprefix(BYTE_ORDER_MARK)
    if "\0" in text:
        raise TomlError("the text is UTF-16, and UTF-8 is expected; save it as UTF-8")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise TomlError("tables or lists are nested too deep") from error
    except ValueError as error:  # A number of thousands of digits is not a TOMLDecodeError.
        raise TomlError(_explained(text, str(error), secrets)) from error


def place(text: str, section: str, name: str | None = None) -> str:
    """Return the place of a section, or of a name in it, in a TOML text.

    Returns:
        ``line 3, column 1: ``, to begin a message with; empty if it is not found (a dotted or quoted key).
    """
    current = ""
    for number, line in enumerate(text.removeprefix(BYTE_ORDER_MARK).splitlines(), 1):
        header = re.match(r"\s*\[+\s*([\w.-]+)\s*\]+", line)
        if header:
            current = header[1]
            if name is None and current == section:
                return f"line {number}, column {header.start(1) + 1}: "
        key = re.match(r"\s*([\w-]+)\s*=", line)
        if key and ((name is None and not current and key[1] == section) or (current == section and key[1] == name)):
            return f"line {number}, column {key.start(1) + 1}: "
    return ""


def _explained(text: str, message: str, secrets: Collection[str]) -> str:
    """Return tomllib's message with the place first, then the line and what was expected."""
    found = _PLACE.match(message)
    if not found:
        return message
    lines = text.splitlines() or [""]
    at_end = found["line"] is None
    line = len(lines) if at_end else int(found["line"])
    column = len(lines[-1]) + 1 if at_end else int(found["column"])
    shown = lines[line - 1].strip()[:80] if line <= len(lines) else ""
    expected = _expected(found["problem"], shown)
    # A value may go on over several lines, so any line may be part of a secret.
    quoted = "" if any(name in text for name in secrets) else f" in {shown!r}"
    return f"line {line}, column {column}: {found['problem']}{quoted}; {expected}"


def _expected(problem: str, line: str) -> str:
    if line.startswith("[") or "declar" in problem or "namespace" in problem:
        return "expected a section such as [train], each once"
    if "overwrite" in problem:
        return "expected each name once in its section"
    if "value" in problem:
        return 'expected a value: a number, true, false, "text" in quotes or a list such as [0, 1]'
    return "expected a section such as [train], or a line such as batch_size = 1"
