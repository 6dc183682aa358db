"""Parsing of the schedules and sizes in Pachyderm's branch triggers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from cronsim import CronSim, CronSimError

SECOND = 1_000_000
"""Microseconds in a second."""

_epoch = datetime(1970, 1, 1, tzinfo=UTC)
_term = r"(?:[*?]|(?:\d+|[A-Z]{3})(?:-(?:\d+|[A-Z]{3}))?)(?:/\d+)?"
_field = re.compile(rf"{_term}(?:,{_term})*")
_part = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_size = re.compile(r"(\d+\.?\d*|\.\d+) ?(?:([kmgtp])(?:i?b)?|b)?", re.IGNORECASE)
_seconds = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_named = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class Schedule(Protocol):
    """Recurring points in time."""

    def next(self, after: int) -> int | None:
        """Return the first point after a time, both in microseconds since 1970; None if there is none."""


@dataclass(frozen=True)
class Never:
    """A schedule that is never due."""

    def next(self, _: int) -> int | None:
        """Return None."""
        return None


@dataclass(frozen=True)
class Every:
    """A constant interval, rounded to full seconds."""

    seconds: int

    def next(self, after: int) -> int | None:
        """Return `after`, rounded down to a full second, plus the interval."""
        return after - after % SECOND + self.seconds * SECOND


@dataclass(frozen=True)
class Calendar:
    """A cron expression of five fields, in UTC."""

    expression: str

    def next(self, after: int) -> int | None:
        """Return the first minute after `after` that matches the expression."""
        found = next(CronSim(self.expression, _epoch + timedelta(microseconds=after)), None)
        return None if found is None else (found - _epoch) // timedelta(microseconds=1)


def parse_schedule(text: str) -> Schedule:
    """Parse a schedule: five cron fields, ``@hourly`` and the like, ``@every 1h30m`` or ``@never``.

    Raises:
        ValueError: the text is none of these.
    """
    if text.strip() == "@never":
        return Never()
    if text.startswith("@every "):
        return Every(max(1, int(_duration(text.removeprefix("@every ")))))
    if text.startswith("@") and text not in _named:
        raise ValueError(f"unrecognized descriptor: {text[:100]}")
    fields = _named.get(text, text).upper().split()
    if len(fields) != 5:
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: {text[:100]}")
    for field in fields:
        if not _field.fullmatch(field):
            raise ValueError(f"cannot read the field {field[:100]}: {text[:100]}")
    expression = " ".join(fields).replace("?", "*")
    try:
        CronSim(expression, _epoch)
    except CronSimError as error:
        raise ValueError(f"{error}: {text[:100]}") from error
    return Calendar(expression)


def _duration(text: str) -> float:
    """Parse a duration in Go's notation, e.g. ``1h30m``; return seconds."""
    total, position = 0.0, 0
    while found := _part.match(text, position):
        total += float(found[1]) * _seconds[found[2]]
        position = found.end()
    if position == 0 or position < len(text):
        raise ValueError(f"cannot read the duration {text[:100]}; write for example 1h30m")
    return total


def parse_size(text: str) -> int:
    """Parse a size with decimal units, e.g. ``100``, ``1K``, ``2.5 MB``; return bytes.

    Raises:
        ValueError: the text is not a size.
    """
    found = _size.fullmatch(text)
    if found is None:
        raise ValueError(f"cannot read the size {text[:100]}; write for example 100MB")
    power = "kmgtp".index(found[2].lower()) + 1 if found[2] else 0
    return int(float(found[1]) * 1000**power)
