"""pachd's patterns for paths, as regular expressions.

It exists because they differ from the shell's: ``*`` stops at a slash, ``**`` does not, and ``@( )``, ``!( )``,
``+( )``, ``*( )``, ``?( )`` group.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from pachyderm.store.files import paths
from pachyderm.store.refusals import Refusal

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
"""Bound for the steps of matching one path."""
LONGEST = 1024
"""Characters in a pattern; pachd has no such limit."""


def literal_prefix(pattern: str) -> str:
    """The part of a pattern before its first special character."""
    found = SPECIAL.search(pattern)
    return pattern[: found.start()] if found else pattern


def is_literal(pattern: str) -> bool:
    """Whether a pattern can match one path only."""
    return SPECIAL.search(pattern) is None


@functools.lru_cache(maxsize=256)
def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a path, of a file or of a directory with its trailing slash, matches.

    Args:
        pattern: a cleaned path (`paths.clean`) with special characters.

    Raises:
        Refusal: the pattern is malformed.
    """
    if len(pattern) > LONGEST:
        raise Refusal(f"pattern {pattern[:40]}... is longer than {LONGEST} characters")
    if pattern == "/":
        return lambda path: path == "/"
    if is_literal(pattern):
        return lambda path: path.rstrip("/") == pattern
    text, end = _translate(pattern, 0, "")
    if end != len(pattern):
        raise Refusal(f"pattern {pattern} is malformed at character {end + 1}")
    try:
        compiled = re.compile(text + r"\Z", re.DOTALL)
    except re.error as error:
        raise Refusal(f"pattern {pattern} is malformed: {error}") from error
    degree = _degree(pattern)

    def match(path: str) -> bool:
        if degree > 2 and len(path) ** degree > STEPS:
            raise Refusal(f"pattern {pattern} has too many wildcards for a path of {len(path)} characters")
        return compiled.match(path.rstrip("/")) is not None

    return match


def _degree(pattern: str) -> int:
    """The power of a path's length that bounds the steps of matching it."""
    deep = pattern.count("**") + pattern.count("+(") + pattern.count("*(") + pattern.count("!(")
    return deep + max(segment.replace("**", "").count("*") for segment in pattern.split("/"))


def clean(pattern: str) -> str:
    """Bring a pattern to its one form; see `paths.clean`."""
    return paths.clean(pattern)


def _translate(pattern: str, start: int, closers: str) -> tuple[str, int]:
    """Translate up to a closing character at this depth; returns the expression and where it ended."""
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
            return (many if _cut_one_way(pattern[position + 2 : end - 1]) else f"(?>{many})"), end
    rest, _ = _translate(pattern, end, "")
    return f"(?!{inner}{rest}\\Z)[^/]*", end


def _cut_one_way(group: str) -> bool:
    """Whether a text can be cut into repetitions of a group in one way alone.

    Where it can be cut in many, the group is made atomic: a hostile pattern must not take for ever. pachd gives back
    characters there too.
    """
    parts = group.split("|")
    return not SPECIAL.search(group) and len({part[:1] for part in parts}) == len(parts) and all(parts)


def _alternatives(pattern: str, position: int, separator: str, closer: str) -> tuple[str, int]:
    parts = []
    while True:
        text, position = _translate(pattern, position, separator + closer)
        parts.append(text)
        if position >= len(pattern):
            raise Refusal(f"pattern {pattern} is malformed: {closer} is missing")
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
            raise Refusal(f"pattern {pattern} is malformed: ] is missing")
        elif pattern[cursor] == "]" and cursor > inner_start + negated:
            return f"[{'^' if negated else ''}{''.join(out)}]", cursor + 1
        else:
            out.append(re.sub(r"[\\\]\[^&~|]", r"\\\g<0>", pattern[cursor]))
            cursor += 1
