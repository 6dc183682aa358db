"""OpenLineage 2-0-2 events of a lineage: one completed run per output commit, its repos as datasets."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from pachyderm.record.lineage_graph import Graph, LineageNode

SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
PRODUCER = "https://github.com/pix2pix-pipelines/pix2pix-pipelines"
FACET = f"{PRODUCER}/blob/main/docs/record.md"
"""Schema of this project's facets; `docs/record.md` describes their fields."""

RECORDED = ("outcome", "fingerprint", "code", "parameters", "parameters_from", "versions", "run")
"""Facts of a commit that are copied into its event."""

_RUNS = uuid.UUID("7f3ad2f0-5d0c-4f0c-9d5b-6a1c2f7a9e11")
"""Namespace of run ids: equal commits get equal ids."""


def events(graph: Graph, namespace: str) -> list[dict[str, Any]]:
    """Return one event per output commit of a lineage, sources before results; nothing is sent.

    Args:
        graph: result of `pachyderm.record.lineage_backward` or `pachyderm.record.lineage_forward`.
        namespace: namespace of jobs and datasets: the address of Pachyderm and the project.
    """
    commits = [node for node in graph.nodes.values() if node.kind == "commit" and "stage" in node.facts]
    commits.sort(key=lambda node: (node.facts["finished"] or "", node.facts["worked_from"], node.id))
    return [_event(node, namespace) for node in commits]


def _event(node: LineageNode, namespace: str) -> dict[str, Any]:
    facts = node.facts
    parent = [{"repo": facts["repo"], "commit": facts["parent"]}] if "parent" in facts else []
    return {
        "eventType": "COMPLETE",
        "eventTime": facts["finished"] or facts["worked_from"],
        "producer": PRODUCER,
        "schemaURL": SCHEMA,
        "run": {
            "runId": str(uuid.uuid5(_RUNS, node.id)),
            "facets": {
                "pix2pix_record": _facet(
                    {name: facts.get(name) for name in RECORDED} | {"metrics": facts.get("metrics", {})}
                )
            },
        },
        "job": {"namespace": namespace, "name": facts["stage"]},
        "inputs": [_dataset(source, namespace) for source in (*facts["inputs"], *parent)],
        "outputs": [_dataset(facts, namespace)],
    }


def _dataset(commit: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """Return a repo as a dataset at a version, from a mapping with ``repo`` and ``commit``."""
    version = {
        "_producer": PRODUCER,
        "_schemaURL": "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json",
        "datasetVersion": commit["commit"],
    }
    return {"namespace": namespace, "name": commit["repo"], "facets": {"version": version}}


def _facet(values: dict[str, Any]) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": FACET, **values}
