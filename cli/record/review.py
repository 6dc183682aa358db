"""The subcommand `review`: the candidate beside the model in use, and the verdict about it."""

from __future__ import annotations

import dataclasses
import getpass
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.console import emit, shorten, table
from cli.options import Session, with_session
from pachyderm.errors import RequestError
from pix2pix.escaping import escape

if TYPE_CHECKING:
    from pachyderm.client.commits import Commit
    from pachyderm.client.connection import Connection


@click.command()
@click.argument("commit", required=False)
@click.option("--approve", "verdict", flag_value="approve", help="Approve the candidate and put it into use.")
@click.option("--reject", "verdict", flag_value="reject", help="Reject it; the model in use stays. Needs -m.")
@click.option("-m", "reason", metavar="WHY", default="", help="The reason, kept with the verdict.")
@click.option("--by", metavar="NAME", help="Who decides.  [default: the name of this account]")
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write the page that shows both models' pictures side by side.",
)
@click.option(
    "--kubeflow",
    metavar="URL",
    envvar="KF_PIPELINES_UI_ENDPOINT",
    help="Address of the Kubeflow UI, for a link to the run.",
)
@with_session
def review(
    session: Session,
    commit: str | None,
    verdict: str | None,
    reason: str,
    by: str | None,
    page: Path | None,
    kubeflow: str | None,
) -> None:
    """Show the candidate COMMIT beside the model in use; approve or reject it.

    Without COMMIT, the candidate that waits for a verdict is shown, else the newest. With [export] promote = "review",
    a candidate is put into use only by an approval. A candidate gets one verdict, which is kept with it.
    """
    from pachyderm.client.connection import connect
    from pachyderm.dag.setup import check_set_up

    if verdict is None and (reason or by):
        raise RequestError("-m and --by belong to a verdict; add --approve or --reject")
    with connect(session.target()) as client:
        check_set_up(client)
        candidate = _candidate(client, commit, required=verdict is not None)
        if page is not None:
            _write_page(client, candidate, page)
        if verdict is not None:
            _decide(client, candidate.id, verdict, _account() if by is None else by, reason)
        document = _document(client, candidate.id, kubeflow)
    if page is not None:
        document["page"] = page.absolute().as_uri()
    emit(session, document, shorten(session, _text(document)))


def _candidate(client: Connection, commit: str | None, required: bool) -> Commit:
    """Return the candidate that is named, else the one that waits, else the newest.

    Raises:
        RequestError: it holds no model, or none waits though one that does is `required`.
    """
    from pachyderm.client.commits import head
    from pachyderm.client.files import content, files
    from pachyderm.dag.references import resolve
    from pachyderm.dag.repos import CANDIDATE, MODEL
    from pachyderm.dag.review import newest_waiting

    if commit is not None:
        candidate = resolve(client, MODEL.repo, commit.removeprefix(f"{MODEL.repo}@"))
    else:
        waiting = newest_waiting(client)
        if waiting is None and required:
            raise RequestError("no candidate waits for a verdict; `pix2pix models` lists them")
        candidate = waiting or head(client, CANDIDATE)
    if candidate.state == "good" and not content(files(client, candidate.repo, candidate.id)):
        raise RequestError(f"{candidate} holds no model; `pix2pix models` lists those that do")
    return candidate


def _decide(client: Connection, commit_id: str, verdict: str, by: str, reason: str) -> None:
    from pachyderm.client.commits import inspect
    from pachyderm.dag.repos import MODEL
    from pachyderm.dag.review import approve, complete, reject

    now = time.time()
    if verdict == "reject":
        reject(client, commit_id, by, reason, now)
    elif complete(client, inspect(client, MODEL.repo, commit_id), now) is None:
        approve(client, commit_id, by, reason, now)


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise RequestError("this account has no name; say who decides: --by NAME") from error


def _document(client: Connection, commit_id: str, kubeflow: str | None) -> dict[str, Any]:
    """Return what is known about a candidate, ready for JSON."""
    from pachyderm.client.commits import all_commits, head, inspect
    from pachyderm.dag.gate_decision import gate_decision_of
    from pachyderm.dag.repos import MODEL
    from pachyderm.dag.review import standing, superseded_by
    from pachyderm.dag.verdict import verdict_of
    from pachyderm.record.lineage_facts import run_link
    from pachyderm.record.stage_record import readable_record

    models, commit = list(all_commits(client, MODEL.repo)), inspect(client, MODEL.repo, commit_id)
    in_use, gate, verdict = head(client, MODEL), gate_decision_of(commit), verdict_of(commit)
    record = readable_record(client, commit.repo, commit.id) if commit.state == "good" else None
    use = standing(commit, in_use.id, models) if commit.state == "good" else commit.state
    newer = superseded_by(commit, models) if use == "superseded" else None
    return {
        "candidate": commit.id,
        "in_use": in_use.id if in_use.provenance else None,
        "use": use,
        "superseded_by": newer.id if newer is not None else None,
        "decision": str(gate) if gate is not None else None,
        "compared_with": gate.in_use if gate is not None else None,
        "metrics": {"candidate": gate.candidate_metrics, "in_use": gate.in_use_metrics} if gate is not None else {},
        "pairs": gate.pairs if gate is not None else 0,
        "pictures": list(gate.shown) if gate is not None else [],
        "verdict": dataclasses.asdict(verdict) if verdict is not None else None,
        "run": run_link(record.run.get("id", ""), kubeflow) if record is not None else None,
    }


def _write_page(client: Connection, commit: Commit, page: Path) -> None:
    from pachyderm.client.files import read
    from pachyderm.record.stage_record import REPORT_HTML
    from pix2pix.files import write_atomically

    html = read(client, commit.repo, commit.id, REPORT_HTML) if commit.ended else None
    if html is None:
        raise RequestError(f"{commit} is {commit.state} and has no report; `pix2pix models` lists the models")
    write_atomically(page, html)


def _text(document: dict[str, Any]) -> str:
    name, use = document["candidate"], document["use"]
    lines = [f"candidate model@{name}{': ' if use else ''}{use}", f"in use    {_model(document['in_use'])}"]
    if document["decision"]:
        lines.append(f"gate      {escape(document['decision'])}")
    if document["compared_with"] != document["in_use"] and use == "waiting":
        lines.append(f"          compared with {_model(document['compared_with'])}, which is in use no more")
    lines += _figures(document)
    if document["pictures"]:
        lines.append(f"pictures of {', '.join(escape(path) for path in document['pictures'])}")
    if verdict := document["verdict"]:
        lines.append(escape(f"{verdict['verdict']} by {verdict['by']}: {verdict['reason'] or 'no reason given'}"))
    for label in ("run", "page"):
        if document.get(label):
            lines.append(f"{label}: {document[label]}")
    if document["superseded_by"]:
        lines.append(f"superseded by the newer candidate model@{document['superseded_by']}")
    if use == "waiting":
        see = [] if "page" in document else [f"  pix2pix review {name} --html review.html"]
        decide = (f"  pix2pix review {name} --approve --by NAME", f"  pix2pix review {name} --reject -m WHY --by NAME")
        lines += ["compare the pictures and decide:" if see else "decide:", *see, *decide]
    elif use in ("held back", "approved"):
        lines.append(f"pix2pix promote {name} puts it into use")
    return "\n".join(lines)


def _figures(document: dict[str, Any]) -> list[str]:
    metrics = document["metrics"]
    if not metrics or not metrics["candidate"]:
        return []
    rows = [
        {"metric": metric, "candidate": f"{value:.4g}", "in_use": _figure(metrics["in_use"].get(metric))}
        for metric, value in metrics["candidate"].items()
    ]
    return ["", table(("metric", "candidate", "in_use"), rows), f"means over {document['pairs']} held-out pairs", ""]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _model(commit_id: str | None) -> str:
    return f"model@{commit_id}" if commit_id else "no model"
