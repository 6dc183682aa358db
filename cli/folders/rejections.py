"""How the subcommands report input files that were left out."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from pathlib import Path
from typing import Any

from cli.console import print_message, table
from cli.options import Session


def require_any(source: Path, results: Sized, rejected: Sequence[Any]) -> None:
    """Refuse to report success when no input file could be used.

    Args:
        source: the input folder.
        results: what was produced.
        rejected: the files left out, each with ``path``, ``code`` and ``reason``.

    Raises:
        InputError: `results` is empty; the message names the first rejected picture.
    """
    from pix2pix.errors import InputError

    if not results:
        first = next((rejection for rejection in rejected if rejection.code != "NOT_A_PICTURE"), rejected[0])
        raise InputError(
            f"none of the {len(rejected)} files in {source} can be used;"
            f" the first, {first.path}: {first.code}, {first.reason}"
        )


def rows(rejected: Sequence[Any]) -> list[dict[str, str]]:
    """Return the rejected files for JSON."""
    return [{"path": rejection.path, "code": rejection.code, "reason": rejection.reason} for rejection in rejected]


def lines(rejected: Sequence[Any]) -> list[str]:
    """Return the rejected files as lines of text; empty if there are none."""
    return [f"{len(rejected)} left out:", table(["code", "path", "reason"], rows(rejected))] if rejected else []


def print_rejected(session: Session, rejected: Sequence[Any]) -> None:
    """Print the rejected files to standard error, one per line."""
    for rejection in rejected:
        print_message(session, f"left out: {rejection.path}: {rejection.reason} ({rejection.code})")
