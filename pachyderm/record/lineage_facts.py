"""The facts that lineage nodes carry about commits, files and runs, ready for JSON."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from pachyderm.client.commits import Commit
from pachyderm.client.files import REPORT
from pachyderm.dag.repos import INPUTS, PROVENANCE
from pachyderm.dag.verdict import verdict_of
from pachyderm.queue.decisions import stamp
from pachyderm.record.lineage_graph import GraphBuilder, LineageNode, commit_node_id, file_node_id
from pachyderm.record.record_cache import RecordCache
from pachyderm.record.stage_record import OutputFile, StageRecord

INPUT_REPOS = frozenset(branch.repo for branch in INPUTS)
OUTPUT_REPOS = frozenset(branch.repo for branch in PROVENANCE)

_DROPPED = "the commit was dropped; the chain ends here"

_KUBEFLOW_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def commit_facts(cache: RecordCache, commit: Commit) -> dict[str, Any]:
    """Return the facts about a commit, with those of its stage record if it has one."""
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
    verdict = verdict_of(commit)
    if verdict is not None:
        facts["verdict"] = asdict(verdict)
    record, problem = cache.record(commit), cache.problem(commit)
    if record is not None:
        return {**facts, **record_facts(record)}
    if problem:
        facts["problem"] = problem
    elif commit.state == "good" and commit.provenance and commit.metadata.get("fingerprint"):
        facts["problem"] = "its stage.json is missing; `pix2pix fsck` gives details"
    elif commit.state == "good":
        facts["outcome"] = "empty"
    return facts


def record_facts(record: StageRecord) -> dict[str, Any]:
    """Return the facts from a stage record."""
    counts = record.counts
    facts: dict[str, Any] = {
        "stage": record.stage,
        "outcome": record.outcome,
        "fingerprint": record.fingerprint,
        "code": record.parts.get("code"),
        "parameters": {
            name: {"value": parameter.value, "origin": parameter.origin}
            for name, parameter in record.parameters.items()
        },
        "parameters_from": record.parameters_from,
        "versions": dict(record.versions),
        "run": dict(record.run),
        "inputs": [{"repo": source.repo, "commit": source.commit} for source in record.inputs],
        "worked_from": stamp(record.started),
        "seconds": record.seconds,
        "files": len(record.files),
        "computed": counts.computed,
        "carried": counts.carried,
        "rejected": counts.rejected,
    }
    if record.parent:
        facts["parent"] = record.parent
    if record.metrics:
        facts["metrics"] = dict(record.metrics)
    if record.awaited:
        facts["awaited"] = record.awaited
    if record.notes:
        facts["notes"] = list(record.notes)
    if record.warnings:
        facts["warnings"] = list(record.warnings)
    if record.gate is not None:
        facts["gate"] = str(record.gate)
    return facts


def file_facts(cache: RecordCache, commit: Commit, path: str, recorded: OutputFile | None) -> dict[str, Any]:
    """Return the facts about a file: size and hash from the server, SHA-256 from the record if there is one."""
    facts: dict[str, Any] = {"repo": commit.repo, "commit": commit.id, "path": path}
    entry = cache.entry(commit.repo, commit.id, path)
    if entry is None:
        return {**facts, "problem": f"{commit} has no file {path}"}
    facts |= {"bytes": entry.bytes, "hash": entry.hash}
    if recorded is not None:
        facts["sha256"] = recorded.sha256
        if recorded.bytes != entry.bytes:
            facts["problem"] = f"its record gives {recorded.bytes} bytes; `pix2pix fsck` gives details"
    elif commit.repo in OUTPUT_REPOS and not path.startswith(REPORT):
        facts["problem"] = "the commit's record does not list it; `pix2pix fsck` gives details"
    return facts


def run_link(run: str, kubeflow: str | None) -> str | None:
    """Return the address of a run in the Kubeflow UI; None if it is not a run of Kubeflow, or no address is known.

    Args:
        run: id of the run.
        kubeflow: URL of the Kubeflow Pipelines UI.
    """
    if kubeflow and _KUBEFLOW_RUN.fullmatch(run):
        return f"{kubeflow.rstrip('/')}/#/runs/details/{run}"
    return None


def add_run(builder: GraphBuilder, commit: Commit, record: StageRecord, kubeflow: str | None) -> None:
    """Add the run that filled a commit, if the record names one.

    Args:
        builder: the graph to add to.
        commit: the output commit.
        record: its record.
        kubeflow: URL of the Kubeflow Pipelines UI, for a link; None for no link.
    """
    run = record.run.get("id", "")
    if not run:
        return
    facts: dict[str, Any] = {"run": run}
    link = run_link(run, kubeflow)
    if link is not None:
        facts["link"] = link
    builder.add(LineageNode(f"run:{run}", "run", facts))
    builder.join(str(commit), f"run:{run}", "filled by")


def dropped_node(repo: str, commit_id: str, path: str | None = None) -> LineageNode:
    """Return the node of a dropped commit, or of a file in one."""
    facts: dict[str, Any] = {
        "repo": repo,
        "commit": commit_id,
        "problem": _DROPPED,
    }
    if path is None:
        return LineageNode(commit_node_id(repo, commit_id), "commit", facts)
    return LineageNode(file_node_id(repo, commit_id, path), "file", {**facts, "path": path})
