"""Output of a subcommand: JSON or text on standard output, progress and messages on standard error."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

import click

from cli.options import Session
from pachyderm.dag.short_ids import short_ids
from pix2pix.escaping import escape, escape_lines, escape_message


def emit(session: Session, document: Any, text: str = "") -> None:
    """Print `document` as JSON with ``--json``, otherwise `text`.

    Args:
        session: the common options.
        document: ready for JSON.
        text: in lines. Control characters are escaped but for line feeds; `escape` values that are not cells of a
            `table`, so that they stay on their line.
    """
    if session.json:
        # Of the control characters, JSON leaves DEL alone.
        click.echo(json.dumps(document, indent=2).replace("\x7f", r"\u007f"))
    elif text:
        click.echo(_printable(escape_lines(text), sys.stdout))


def print_message(session: Session, text: str) -> None:
    """Print a message to standard error, unless ``-q`` was given; its second and later lines are indented."""
    if session.verbosity >= 0:
        print_error(text)


def print_error(text: str) -> None:
    """Print a message to standard error, whatever the verbosity; commit ids are short unless ``-v`` was given."""
    verbose = logging.getLogger().isEnabledFor(logging.INFO)
    print_lines(escape_message(text if verbose else short_ids(text)))


def print_lines(text: str) -> None:
    """Print text that is laid out in lines to standard error, whatever the verbosity."""
    click.echo(_printable(escape_lines(text), sys.stderr), err=True)


def _printable(text: str, stream: TextIO | None) -> str:
    """Escape the characters that a stream cannot encode, such as those of a file name that is not UTF-8."""
    encoding = (stream.encoding if stream else None) or "utf-8"  # a closed stream is None
    return text.encode(encoding, "backslashreplace").decode(encoding)


def shorten(session: Session, text: str | None) -> str:
    """Shorten the commit ids in a text, unless ``-v`` was given; None becomes empty."""
    return (text or "") if session.verbosity > 0 else short_ids(text or "")


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Lay rows out in columns of equal width; control characters are escaped.

    Args:
        columns: keys of the rows, in order; in upper case they are the headings.
        rows: one mapping per line; a missing, None or empty value is shown as ``-``.
    """
    heading = [name.upper().replace("_", " ") for name in columns]
    return grid([heading, *([row.get(name) for name in columns] for row in rows)])


def grid(rows: Sequence[Sequence[Any]]) -> str:
    """Lay rows of cells out in columns of equal width; control characters are escaped, empty cells are ``-``."""
    cells = [["-" if cell in (None, "") else escape(str(cell)) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells)


@contextmanager
def progress(
    session: Session, label: str, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[int, int, str], None]]:
    """Show the progress of long work: a bar with rate and time left on a terminal, otherwise a line every few seconds.

    Yields:
        a `pix2pix.progress.Progress`; silent with ``-q``.
    """
    if session.verbosity < 0:
        from pix2pix.progress import silent

        yield silent
    elif sys.stderr.isatty():
        with _bar(label) as show:
            yield show
    else:
        yield _lines(label, clock)


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int, str], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=False) as bar:
        task = bar.add_task(label, total=None, note="", rate="")

        def show(done: int, total: int, note: str) -> None:
            speed = bar.tasks[task].speed
            rate = f"{speed:.1f}/s" if speed else ""
            bar.update(task, completed=done, total=total or None, note=escape(note), rate=rate)

        yield show


def _lines(label: str, clock: Callable[[], float]) -> Callable[[int, int, str], None]:
    from pix2pix.progress import paced

    return paced(lambda text, note: print_error(f"{label}: {text} {note}".rstrip()), clock)


def age(time: str | float | None, now: float) -> str | None:
    """Format the time since a moment as ``40 s ago``, ``12 min ago``, ``3 h ago`` or ``2 d ago``.

    Args:
        time: seconds since 1970, or ISO 8601.
        now: seconds since 1970.
    """
    if time is None:
        return None
    since = max(0, int(now - (datetime.fromisoformat(time).timestamp() if isinstance(time, str) else time)))
    for unit, seconds in (("d", 86400), ("h", 3600), ("min", 60)):
        if since >= 2 * seconds:
            return f"{since // seconds} {unit} ago"
    return f"{since} s ago"


def moment(seconds: float | None) -> str | None:
    """Format seconds since 1970 as ISO 8601 in UTC, to the second."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
