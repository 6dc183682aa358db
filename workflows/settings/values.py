"""Validation of setting names and values, with messages that state what is allowed."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args, get_type_hints

import msgspec
from msgspec import inspect

from workflows.errors import RunInputError

RENAMED: Mapping[str, str] = {
    "at_once": "max_concurrent_runs",
    "look_every": "poll_interval",
    "listen": "metrics_address",
}
"""Former name -> present name, for the suggestion in the error; a former name is not accepted."""


def declared(settings: type) -> dict[str, Any]:
    """Return the declared type of each field of a dataclass, with its constraints."""
    return get_type_hints(settings, include_extras=True)


def check_name(name: str, allowed: Iterable[str], message: str, prefix: str = "") -> None:
    """Refuse a name that is not among the allowed ones, and suggest the nearest.

    Args:
        name: as it was given.
        allowed: the names that may stand there, in the order in which they are listed.
        message: the problem, such as ``trigger.toml: unknown setting kubeflow.endpont``.
        prefix: beginning that all names share, left out of the comparison.

    Raises:
        RunInputError: the name is not allowed.
    """
    names = list(allowed)
    if name not in names:
        raise RunInputError(f"{message}{_suggestion(name, names, prefix)}; allowed: {', '.join(names)}")


def _suggestion(name: str, names: Sequence[str], prefix: str) -> str:
    given = name.removeprefix(prefix).lower()
    candidates = {candidate.removeprefix(prefix).lower(): candidate for candidate in names}
    near = [RENAMED[given]] if given in RENAMED else difflib.get_close_matches(given, candidates, n=1)
    return f" (did you mean {candidates[near[0]]}?)" if near and near[0] in candidates else ""


HIDDEN = "(hidden)"
"""Shown in a message in place of a secret."""


def checked(value: Any, kind: Any, setting: str, shown: str | None = None) -> Any:
    """Return a value as its declared type; a whole number counts as a number.

    Args:
        value: as TOML gives it.
        kind: the declared type, with its constraints.
        setting: source and full name, for the message.
        shown: what the message shows in place of the value; None for the value itself.

    Raises:
        RunInputError: the value has another type, or is out of range.
    """
    text = repr(value) if shown is None else shown
    try:
        converted = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _not_allowed(text, kind, setting) from error
    # msgspec's bounds let infinity through.
    if isinstance(converted, float) and not math.isfinite(converted):
        raise _not_allowed(text, kind, setting)
    return converted


def parsed(text: str, kind: type, setting: str) -> Any:
    """Return the value that the text of an environment variable stands for.

    Raises:
        RunInputError: the text is not a value of the type.
    """
    if kind is str:
        return text
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise RunInputError(f"{setting}={text!r} is not allowed; it must be {expected(kind)}") from error


def _not_allowed(shown: str, kind: Any, setting: str) -> RunInputError:
    return RunInputError(f"{setting} = {shown} is not allowed; it must be {expected(kind)}")


def expected(kind: Any) -> str:
    """Describe a declared type for a message: ``a whole number, at least 1``."""
    match inspect.type_info(kind):
        case inspect.LiteralType(values=values):
            return " or ".join(map(str, sorted(values, key=get_args(kind).index)))
        case inspect.IntType(ge=low, le=high):
            return f"a whole number{_bounds(low, high)}"
        case inspect.FloatType(ge=low, le=high):
            return f"a finite number{_bounds(low, high)}"
        case _:
            return "text in quotes"


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    return f", at least {low:g}" if low is not None else ""
