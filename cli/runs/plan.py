"""The subcommand `plan`: what open commits, or files about to be put, will cause."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from cli.console import emit, shorten, table
from cli.options import Session, with_session
from cli.runs.forecasts import about, amount, expected
from pachyderm.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pachyderm.client.branches import BranchName
    from pachyderm.client.changes import PutChanges
    from pachyderm.client.connection import Connection
    from pachyderm.forecast.stage_forecast import Forecast


COLUMNS = ("stage", "commit", "work", "carry", "reuse", "time", "bytes")
"""Columns of the table for people."""


@click.command()
@click.argument("repo", required=False)
@click.argument("sources", metavar="[SOURCE]...", nargs=-1)
@click.option("--branch", metavar="NAME", default="master", show_default=True, help="Branch that `put` would write to.")
@click.option("--prefix", metavar="PATH", default="/", show_default=True, help="As for `put`.")
@click.option("--mirror", is_flag=True, help="As for `put`: files that SOURCE does not have are deleted.")
@with_session
def plan(session: Session, repo: str | None, sources: tuple[str, ...], branch: str, prefix: str, mirror: bool) -> None:
    """Show what the open commits will cause, or a `put` of SOURCE into REPO: nothing is run and nothing is written.

    For each stage: the number of files to compute, to carry over from an earlier commit, and to reuse because an
    earlier commit has the same recipe (1 for a training or an export), with duration and size estimated from earlier
    runs.
    """
    from pachyderm.client.branches import BranchName
    from pachyderm.client.connection import connect
    from pachyderm.dag.setup import check_set_up

    if repo is not None and not sources:
        raise RequestError(f"nothing to put into {repo}; name files or folders: pix2pix plan {repo} FOLDER")
    with connect(session.target()) as client:
        check_set_up(client)
        changes = None
        if repo is not None:
            name = BranchName(repo, branch)
            changes = _changes(client, session.store, name, sources, prefix, mirror)
            found = expected(client, name, changes)
        else:
            found = expected(client)
    document = asdict(found)
    if changes is not None:
        sent = {"files_put": len(changes.put), "files_deleted": len(changes.deleted), "bytes": changes.bytes}
        document["put"] = {"repo": repo, **sent}
    emit(session, document, _text(session, found, changes))


def _changes(
    client: Connection, store: Path, branch: BranchName, sources: Iterable[str], prefix: str, mirror: bool
) -> PutChanges:
    from pachyderm.client.changes import changes_of
    from pachyderm.client.local_files import collect, folder_of
    from pachyderm.dag.references import existing_repo, refuse_output

    refuse_output(branch)
    folder = folder_of(prefix)
    files, _ = collect(sources, folder, store.resolve())
    existing_repo(client, branch.repo)
    return changes_of(client, branch, files, mirror_under=folder if mirror else None)


def _text(session: Session, found: Forecast, changes: PutChanges | None) -> str:
    lines = []
    if changes is not None:
        lines.append(
            f"{len(changes.put)} files to put, {len(changes.deleted)} to delete, {changes.bytes} bytes to send"
        )
    if not found.stages:
        return "\n".join([*lines, "nothing to do"])
    rows = list(map(asdict, found.stages))
    lines.append(table(COLUMNS, [_cells(session, row) for row in rows]))
    lines += [f"{row['stage']}: {shorten(session, row['note'])}" for row in rows if row["note"]]
    lines += [f"{row['stage']} only if {row['condition']}" for row in rows if row["condition"] and not row["note"]]
    return "\n".join([*lines, f"in all: {about(found.seconds)}"])


def _cells(session: Session, row: dict[str, Any]) -> dict[str, Any]:
    size = row["bytes"] if row["bytes"] is not None else "unknown"
    shown = {
        "commit": shorten(session, row["commit"]) or "not yet",
        "work": amount(row),
        "time": about(row["seconds"]),
        "bytes": size,
    }
    return {**row, **shown} | ({"work": "nothing", "time": "-"} if row["note"] else {})
