"""What the nodes of a lineage carry: the record of a commit, a file and a run, ready for JSON.

It exists so that walking back and walking forward tell the same of a commit.
"""

from __future__ import annotations

import re
from typing import Any

from pachyderm.client.commits import Commit
from pachyderm.client.files import REPORT
from pachyderm.dag.repos import INPUTS, PROVENANCE
from pachyderm.queue.decisions import stamp
from pachyderm.record.archive import Archive
from pachyderm.record.lineage_graph import Drawing, LineageNode, file_id
from pachyderm.record.stage_record import OutputFile, StageRecord

INPUT_REPOS = frozenset(name.repo for name in INPUTS)
OUTPUT_REPOS = frozenset(name.repo for name in PROVENANCE)

_GONE = "the commit was dropped; the chain ends here"

_KUBEFLOW_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def commit_facts(archive: Archive, commit: Commit) -> dict[str, Any]:
    """The facts of a commit and of what its stage said."""
    facts: dict[str, Any] = {
        "repo": commit.repo,
        "commit": commit.id,
        "state": commit.state,
        "started": stamp(commit.started),
        "finished": None if commit.finished is None else stamp(commit.finished),
    }
    if commit.error:
        facts["error"] = commit.error
    if commit.metadata.get("message"):
        facts["message"] = commit.metadata["message"]
    if commit.repo in INPUT_REPOS:
        return facts
    record = archive.record(commit)
    if record is not None:
        return {**facts, **record_facts(record)}
    if archive.trouble(commit):
        facts["problem"] = archive.trouble(commit)
    elif commit.state == "good" and commit.provenance and commit.metadata.get("fingerprint"):
        facts["problem"] = "its stage.json is gone; pix2pix fsck says more"
    elif commit.state == "good":
        facts["outcome"] = "empty"
    return facts


def record_facts(record: StageRecord) -> dict[str, Any]:
    """The facts that come from a stage's record."""
    counts = record.counts
    facts: dict[str, Any] = {
        "stage": record.stage,
        "outcome": record.outcome,
        "fingerprint": record.fingerprint,
        "code": record.parts.get("code"),
        "parameters": {name: {"value": one.value, "origin": one.origin} for name, one in record.parameters.items()},
        "parameters_from": record.parameters_from,
        "versions": dict(record.versions),
        "run": dict(record.run),
        "inputs": [{"repo": one.repo, "commit": one.commit} for one in record.inputs],
        "worked_from": stamp(record.started),
        "seconds": record.seconds,
        "files": len(record.files),
        "computed": counts.computed,
        "carried": counts.carried,
        "rejected": counts.rejected,
    }
    if record.metrics:
        facts["metrics"] = dict(record.metrics)
    if record.awaited:
        facts["awaited"] = record.awaited
    if record.notes:
        facts["notes"] = list(record.notes)
    return facts


def file_facts(archive: Archive, commit: Commit, path: str, told: OutputFile | None) -> dict[str, Any]:
    """The facts of a file: size and hash as the server has them, SHA-256 where a record tells it."""
    facts: dict[str, Any] = {"repo": commit.repo, "commit": commit.id, "path": path}
    entry = archive.entry(commit.repo, commit.id, path)
    if entry is None:
        return {**facts, "problem": f"{commit} holds no {path}"}
    facts |= {"bytes": entry.bytes, "hash": entry.hash}
    if told is not None:
        facts["sha256"] = told.sha256
        if told.bytes != entry.bytes:
            facts["problem"] = f"its record says {told.bytes} bytes; pix2pix fsck says more"
    elif commit.repo in OUTPUT_REPOS and not path.startswith(REPORT):
        facts["problem"] = "no record names it; pix2pix fsck says more"
    return facts


def add_run(drawing: Drawing, commit: Commit, record: StageRecord, kubeflow: str | None) -> None:
    """Add the run that filled a commit.

    Args:
        drawing: to add to.
        commit: the output commit.
        record: of it.
        kubeflow: address of Kubeflow Pipelines' page, for a link; None for none.
    """
    run = record.run.get("id", "")
    if not run:
        return
    facts: dict[str, Any] = {"run": run}
    if kubeflow and _KUBEFLOW_RUN.fullmatch(run):
        facts["link"] = f"{kubeflow.rstrip('/')}/#/runs/details/{run}"
    drawing.add(LineageNode(f"run:{run}", "run", facts))
    drawing.join(str(commit), f"run:{run}", "filled by")


def gone(repo: str, commit_id: str, path: str | None = None) -> LineageNode:
    """The node of a commit, or of its file, that was dropped."""
    facts: dict[str, Any] = {
        "repo": repo,
        "commit": commit_id,
        "problem": _GONE,
    }
    if path is None:
        return LineageNode(f"{repo}@{commit_id}", "commit", facts)
    return LineageNode(file_id(repo, commit_id, path), "file", {**facts, "path": path})
