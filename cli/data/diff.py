"""The subcommand `diff`: what changed between two commits of a repo, as a list or as a page of pictures.

It exists because two models, or two sets of generated pictures, are compared by eye first and by figures then.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.console import emit, progress, say, table
from cli.options import Session, with_session
from pachyderm.errors import RequestError

if TYPE_CHECKING:
    from pachyderm.client.commits import Commit
    from pachyderm.client.connection import Connection
    from pachyderm.record.commit_diff import RecordDiff


@click.command()
@click.argument("before", metavar="REPO@COMMIT")
@click.argument("after", metavar="REPO@COMMIT")
@click.option("--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with the pictures.")
@with_session
def diff(session: Session, before: str, after: str, page: Path | None) -> None:
    """List what the second commit changed of the first: added, deleted, changed."""
    from pachyderm.client.connection import connect
    from pachyderm.record.commit_diff import diff as compare
    from pachyderm.record.commit_diff import diff_records
    from pachyderm.record.lineage_facts import OUTPUT_REPOS

    with connect(session.target()) as client:
        a, b = _commit(client, before), _commit(client, after)
        changed = compare(client, a, b)
        records = diff_records(client, a, b) if a.repo in OUTPUT_REPOS else None
        if page is not None:
            from cli.data.diff_page import pictures_of, write_page

            with progress(session, "diff") as show:
                compared = pictures_of(client, a, b, changed, show)
            write_page(page, str(a), str(b), changed, records, compared)
            say(session, f"{page} shows {len(compared)} pictures side by side")
    for problem in records.problems if records else ():
        say(session, problem)
    rows: list[dict[str, Any]] = [{"path": one.path, "change": one.change} for one in changed]
    text = table(("path", "change"), rows) if rows else f"{a} and {b} hold the same files"
    emit(session, rows, "\n\n".join(filter(None, (text, describe(records) if records else ""))))


def _commit(client: Connection, text: str) -> Commit:
    from pachyderm.dag.references import resolve, split

    repo, name, path = split(text)
    if path != "/":
        raise RequestError(f"{text} names a file; diff compares whole commits: {repo}@{name}")
    return resolve(client, repo, name)


def describe(records: RecordDiff) -> str:
    """What the records tell apart, for a person."""
    rows = [
        {"what": f"{kind} {name}", "before": pair[0], "after": pair[1]}
        for kind, pairs in (
            ("input", records.inputs),
            ("parameter", records.parameters),
            ("version", records.versions),
            ("metric", records.metrics),
        )
        for name, pair in pairs.items()
        if pair[0] != pair[1]
    ]
    if any(part.rpartition(".")[2] == "code" for part in records.parts):
        rows.append({"what": "code", "before": "differs", "after": "differs"})
    return table(("what", "before", "after"), rows) if rows else ""
