"""The subcommands `get` and `ls`: the files of a commit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.console import emit, print_message, progress, shorten, table
from cli.options import Session, with_session
from pachyderm.errors import RequestError
from pix2pix.escaping import escape

if TYPE_CHECKING:
    from pachyderm.client.commits import Commit
    from pachyderm.client.connection import Connection


@click.command()
@click.argument("source", metavar="REPO[@COMMIT][:PATH]")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--glob", "pattern", metavar="PATTERN", help="Download only the files that match, e.g. '/**.png'.")
@with_session
def get(session: Session, source: str, target: Path, pattern: str | None) -> None:
    """Download the files of a commit into the new folder TARGET.

    TARGET appears whole or not at all. An open commit is waited for. An interrupted download of more than 1,000 files
    or 100 MB goes on where it stopped when the command is repeated.
    """
    from pachyderm.client.check_out import check_out, new_folder
    from pachyderm.client.connection import connect
    from pachyderm.client.files import files, matching
    from pachyderm.dag.references import split

    target = new_folder(target)
    repo, name, path = split(source)
    if pattern and path != "/":
        raise RequestError(f"{source} names a path, and --glob a pattern; give one of the two")
    with connect(session.target()) as client, progress(session, f"get {repo}") as show:
        commit = _finished(session, client, repo, name)
        entries = matching(client, repo, commit.id, pattern) if pattern else files(client, repo, commit.id, path)
        if not entries and (pattern or path != "/"):
            raise RequestError(f"no file in {commit} matches {pattern or path}; pix2pix ls {commit} lists its files")
        whole = pattern is None and path == "/"
        renamed = check_out(client, commit, entries, target, whole=whole, pattern=pattern, show=show)
    for stored, local in renamed.items():
        print_message(session, f"{stored} cannot be decoded to the name of a local file; it is saved as {local}")
    total = sum(entry.bytes for entry in entries.values())
    document = {"commit": commit.id, "files": len(entries), "bytes": total, "renamed": renamed}
    emit(
        session,
        document,
        f"{shorten(session, str(commit))}: {len(entries)} files, {total} bytes in {escape(str(target))}",
    )


def _finished(session: Session, client: Connection, repo: str, name: str) -> Commit:
    """Wait for a commit to finish."""
    from pachyderm.client.commits import inspect
    from pachyderm.dag.references import resolve

    commit = resolve(client, repo, name)
    if not commit.ended:
        shown = shorten(session, str(commit))
        print_message(session, f"waiting for {shown}, which is {commit.state}; press Ctrl-C to stop waiting")
    commit = inspect(client, repo, commit.id, wait=True)
    _warn_of_error(session, commit)
    return commit


def _warn_of_error(session: Session, commit: Commit) -> None:
    if commit.error:
        print_message(
            session,
            f"{shorten(session, str(commit))} ended with an error; the files may be those of the last good commit "
            f"before it: {commit.error}",
        )


@click.command()
@click.argument("source", metavar="REPO[@COMMIT][:PATH]")
@with_session
def ls(session: Session, source: str) -> None:
    """List the files of a commit, with size and hash."""
    from pachyderm.client.connection import connect
    from pachyderm.client.files import files
    from pachyderm.dag.references import resolve, split

    repo, name, path = split(source)
    with connect(session.target()) as client:
        commit = resolve(client, repo, name)
        _warn_of_error(session, commit)
        entries = files(client, repo, commit.id, path)
        if not entries and path != "/":
            raise RequestError(f"file or folder {path} not found in {commit}; pix2pix ls {commit} lists its files")
    rows = [{"path": path, "bytes": entry.bytes, "hash": entry.hash} for path, entry in entries.items()]
    text = table(("path", "bytes", "hash"), rows) if rows else f"{shorten(session, str(commit))} has no files"
    emit(session, rows, text)
