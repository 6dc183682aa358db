"""The subcommand `diff`: what changed between two commits, as a list or as a page of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.console import emit, print_message, progress, shorten, table
from cli.options import Session, with_session
from pachyderm.errors import RequestError

if TYPE_CHECKING:
    from pachyderm.client.commits import Commit
    from pachyderm.client.connection import Connection
    from pachyderm.record.commit_diff import RecordDiff


@click.command()
@click.argument("before", metavar="REPO@COMMIT")
@click.argument("after", metavar="REPO@COMMIT")
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write a page that shows the pictures side by side.",
)
@with_session
def diff(session: Session, before: str, after: str, page: Path | None) -> None:
    """List the files that were added, deleted or changed from the first commit to the second.

    For output commits the differences between their records follow: inputs, parameters, versions, metrics. Two commits
    of model are shown (--html) by the pictures that each model generated from the same inputs, beside input and target;
    model@master^ is the model that was in use before model@master.
    """
    from pachyderm.client.connection import connect
    from pachyderm.dag.repos import MODEL
    from pachyderm.record.commit_diff import diff as compare
    from pachyderm.record.commit_diff import diff_records
    from pachyderm.record.lineage_facts import OUTPUT_REPOS

    with connect(session.target()) as client:
        a, b = _commit(client, before), _commit(client, after)
        changed = compare(client, a, b)
        records = diff_records(client, a, b) if a.repo in OUTPUT_REPOS else None
        if page is not None:
            from cli.data.diff_page import pictures_of, write_page
            from cli.generated_pictures import samples_of

            with progress(session, "diff") as show:
                compared = pictures_of(client, a, b, changed, show)
            samples = [samples_of(client, model) for model in (a, b)] if a.repo == MODEL.repo else []
            write_page(page, str(a), str(b), changed, records, compared, samples)
            print_message(session, f"{page} shows {len(compared)} pictures side by side")
    for problem in records.problems if records else ():
        print_message(session, problem)
    rows: list[dict[str, Any]] = [{"path": file.path, "change": file.change} for file in changed]
    text = table(("path", "change"), rows) if rows else shorten(session, f"{a} and {b} have the same files")
    differences = describe(session, records) if records else ""
    emit(session, rows, "\n\n".join(filter(None, (text, differences))))


def _commit(client: Connection, text: str) -> Commit:
    from pachyderm.dag.model_references import resolve_model
    from pachyderm.dag.references import resolve, split
    from pachyderm.dag.repos import MODEL

    repo, name, path = split(text)
    if repo == MODEL.repo and path == "/":
        return resolve_model(client, text)
    if path != "/":
        raise RequestError(f"{text} names a file, and diff compares whole commits; use {repo}@{name}")
    return resolve(client, repo, name)


def describe(session: Session, records: RecordDiff) -> str:
    """Lay out the differences between two records as a table; empty if there are none."""
    rows = [
        {"record": f"{kind} {name}", "before": _value(session, pair[0]), "after": _value(session, pair[1])}
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
        rows.append({"record": "code", "before": "differs", "after": "differs"})
    return table(("record", "before", "after"), rows) if rows else ""


def _value(session: Session, value: Any) -> Any:
    if isinstance(value, str):
        return shorten(session, value)
    return f"{value:.6g}" if isinstance(value, float) else value
