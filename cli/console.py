"""What a subcommand shows: one JSON document or a table on standard output, progress and messages on standard error.

It exists so that scripts can trust standard output and people see the same manners in every subcommand.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

import click

from cli.options import Session

EVERY = 5.0
"""Seconds between two plain progress lines where standard error is no terminal."""


def emit(session: Session, document: Any, text: str = "") -> None:
    """Print `document` as JSON where it was asked for, else `text`."""
    if session.json:
        click.echo(json.dumps(document, indent=2))
    elif text:
        click.echo(_printable(text, sys.stdout))


def say(session: Session, text: str) -> None:
    """Print a message for the person on standard error, unless ``-q`` was given."""
    if session.verbosity >= 0:
        click.echo(_printable(text, sys.stderr), err=True)


def _printable(text: str, stream: TextIO | None) -> str:
    """Spell out what a stream's encoding has no sign for, such as a file's name that is no UTF-8."""
    encoding = (stream.encoding if stream else None) or "utf-8"  # there is no stream where it was closed
    return text.encode(encoding, "backslashreplace").decode(encoding)


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Lay rows out in columns of equal width.

    Args:
        columns: keys of the rows, in order; they are the headings too.
        rows: one mapping a line; a missing or None value is shown as ``-``.
    """
    cells = [[name.upper() for name in columns]]
    cells += [["-" if row.get(name) is None else str(row[name]) for name in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells)


@contextmanager
def progress(
    session: Session, what: str, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[int, int, str], None]]:
    """Show how far long work is: a bar with rate and time left on a terminal, else a line every few seconds.

    Yields:
        a `pix2pix.progress.Progress`.
    """
    if session.verbosity < 0:
        from pix2pix.progress import silent

        yield silent
    elif sys.stderr.isatty():
        with _bar(what) as show:
            yield show
    else:
        yield _lines(what, clock)


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int, str], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=False) as bar:
        task = bar.add_task(what, total=None, note="", rate="")

        def show(done: int, total: int, note: str) -> None:
            speed = bar.tasks[task].speed
            bar.update(task, completed=done, total=total or None, note=note, rate=f"{speed:.1f}/s" if speed else "")

        yield show


def _lines(what: str, clock: Callable[[], float]) -> Callable[[int, int, str], None]:
    start = clock()
    last = [start - EVERY]

    def show(done: int, total: int, note: str) -> None:
        now = clock()
        if now - last[0] < EVERY and not (total and done >= total):
            return
        last[0] = now
        rate = done / (now - start) if now > start and done else 0.0
        left = f", {(total - done) / rate:.0f} s left" if total and rate else ""
        click.echo(f"{what}: {done}/{total or '?'} ({rate:.1f}/s{left}) {note}".rstrip(), err=True)

    return show


def moment(seconds: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601 in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
