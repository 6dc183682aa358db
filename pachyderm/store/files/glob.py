"""pachd's glob patterns, translated to regular expressions.

``*`` does not match a slash, ``**`` does; ``@( )``, ``!( )``, ``+( )``, ``*( )`` and ``?( )`` are groups.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from pachyderm.store.files import paths
from pachyderm.store.status_errors import StatusError

SPECIAL = re.compile(r"[*?\[\]{}!()@+^]")
_NAMED = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": " \\t",
    "digit": "0-9",
    "lower": "a-z",
    "punct": "!-/:-@\\[-`{-~",
    "space": "\\s",
    "upper": "A-Z",
    "word": "\\w",
    "xdigit": "0-9a-fA-F",
}
_POSIX = re.compile(rf"\[:({'|'.join(_NAMED)}):\]")

STEPS = 10**8
"""Maximum number of steps for matching one path, by the estimate of `_degree`."""
LONGEST = 1024
"""Maximum number of characters in a pattern; pachd has no such limit."""


def literal_prefix(pattern: str) -> str:
    """Return the part of a pattern before its first special character."""
    found = SPECIAL.search(pattern)
    return pattern[: found.start()] if found else pattern


def is_literal(pattern: str) -> bool:
    """Whether a pattern has no special characters."""
    return SPECIAL.search(pattern) is None


@functools.lru_cache(maxsize=256)
def matcher(pattern: str) -> Callable[[str], bool]:
    """Compile a pattern to a predicate on paths; a directory's path ends in a slash.

    Args:
        pattern: a path with special characters, normalized by `clean`.

    Raises:
        StatusError: the pattern is malformed; from the predicate: it would take too long.
    """
    if len(pattern) > LONGEST:
        raise StatusError(f"pattern {pattern[:40]}... is longer than {LONGEST} characters")
    if pattern == "/":
        return lambda path: path == "/"
    if is_literal(pattern):
        return lambda path: path.rstrip("/") == pattern
    text, end = _translate(pattern, 0, "")
    if end != len(pattern):
        raise StatusError(f"pattern {pattern} is malformed at character {end + 1}")
    try:
        compiled = re.compile(text + r"\Z", re.DOTALL)
    except re.error as error:
        raise StatusError(f"pattern {pattern} is malformed: {error}") from error
    degree = _degree(pattern)

    def match(path: str) -> bool:
        if degree > 2 and len(path) ** degree > STEPS:
            raise StatusError(f"pattern {pattern} has too many wildcards for a path of {len(path)} characters")
        return compiled.match(path.rstrip("/")) is not None

    return match


def _degree(pattern: str) -> int:
    """Return the power of a path's length that bounds the steps of matching it by backtracking."""
    deep = pattern.count("**") + pattern.count("+(") + pattern.count("*(") + pattern.count("!(")
    return deep + max(segment.replace("**", "").count("*") for segment in pattern.split("/"))


def clean(pattern: str) -> str:
    """Normalize a pattern as `paths.clean` does paths."""
    return paths.clean(pattern)


def _translate(pattern: str, start: int, closers: str) -> tuple[str, int]:
    """Translate up to a closing character at this depth; return the expression and the position of its end."""
    out: list[str] = []
    position = start
    while position < len(pattern):
        char = pattern[position]
        if char in closers:
            break
        if char in "@!+*?" and pattern[position + 1 : position + 2] == "(":
            text, position = _group(pattern, position)
        elif char == "*":
            many = pattern[position + 1 : position + 2] == "*" and pattern[position + 2 : position + 3] != "("
            text, position = (".*", position + 2) if many else ("[^/]*", position + 1)
        elif char == "?":
            text, position = "[^/]", position + 1
        elif char == "[":
            text, position = _class(pattern, position)
        elif char == "{":
            text, position = _alternatives(pattern, position + 1, ",", "}")
        elif char == "\\" and position + 1 < len(pattern):
            text, position = re.escape(pattern[position + 1]), position + 2
        else:
            text, position = re.escape(char), position + 1
        out.append(text)
    return "".join(out), position


def _group(pattern: str, position: int) -> tuple[str, int]:
    kind = pattern[position]
    inner, end = _alternatives(pattern, position + 2, "|", ")")
    match kind:
        case "@":
            return inner, end
        case "?":
            return f"{inner}?", end
        case "*" | "+":
            many = f"{inner}{kind}"
            return (many if _unambiguous(pattern[position + 2 : end - 1]) else f"(?>{many})"), end
    rest, _ = _translate(pattern, end, "")
    return f"(?!{inner}{rest}\\Z)[^/]*", end


def _unambiguous(group: str) -> bool:
    """Whether a text can be divided into repetitions of a group in one way only.

    Otherwise the group is made atomic, since backtracking through the divisions takes exponential time. pachd does
    backtrack, so such patterns may match less here.
    """
    parts = group.split("|")
    return not SPECIAL.search(group) and len({part[:1] for part in parts}) == len(parts) and all(parts)


def _alternatives(pattern: str, position: int, separator: str, closer: str) -> tuple[str, int]:
    parts = []
    while True:
        text, position = _translate(pattern, position, separator + closer)
        parts.append(text)
        if position >= len(pattern):
            raise StatusError(f"pattern {pattern} is malformed: {closer} is missing")
        position += 1
        if pattern[position - 1] == closer:
            return f"(?:{'|'.join(parts)})", position


def _class(pattern: str, position: int) -> tuple[str, int]:
    inner_start = position + 1
    negated = pattern[inner_start : inner_start + 1] in ("!", "^")
    cursor = inner_start + negated
    out: list[str] = []
    while True:
        named = _POSIX.match(pattern, cursor)
        if named:
            out.append(_NAMED[named.group(1)])
            cursor = named.end()
        elif cursor >= len(pattern):
            raise StatusError(f"pattern {pattern} is malformed: ] is missing")
        elif pattern[cursor] == "]" and cursor > inner_start + negated:
            return f"[{'^' if negated else ''}{''.join(out)}]", cursor + 1
        else:
            out.append(re.sub(r"[\\\]\[^&~|]", r"\\\g<0>", pattern[cursor]))
            cursor += 1
