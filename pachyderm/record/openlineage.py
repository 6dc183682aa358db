"""A lineage as OpenLineage events: one completed run per output commit, its inputs and outputs as datasets.

It exists so that catalogues which people run already (Marquez, DataHub, Egeria) can show ours; the form is version
2-0-2 of the specification. Nothing is sent: the events are printed, one JSON document a line.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from pachyderm.record.lineage_graph import Graph, LineageNode

SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
PRODUCER = "https://github.com/pix2pix-pipelines/pix2pix-pipelines"
FACET = f"{PRODUCER}/blob/main/docs/record.md"
"""Names the facets of our own; `docs/record.md` describes their fields."""

RECORDED = ("outcome", "fingerprint", "code", "parameters", "parameters_from", "versions", "run")
"""Facts of a commit that its event carries."""

_RUNS = uuid.UUID("7f3ad2f0-5d0c-4f0c-9d5b-6a1c2f7a9e11")
"""Namespace of run ids: equal commit, equal id."""


def events(graph: Graph, namespace: str) -> list[dict[str, Any]]:
    """Turn the output commits of a lineage into events, sources before results.

    Args:
        graph: of `pachyderm.record.lineage_backward` or `pachyderm.record.lineage_forward`.
        namespace: of jobs and datasets: the address of the Pachyderm and the project.
    """
    commits = [node for node in graph.nodes.values() if node.kind == "commit" and "stage" in node.facts]
    commits.sort(key=lambda node: (node.facts["finished"] or "", node.facts["worked_from"], node.id))
    return [_event(node, namespace) for node in commits]


def _event(node: LineageNode, namespace: str) -> dict[str, Any]:
    facts = node.facts
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
        "inputs": [_dataset(one, namespace) for one in facts["inputs"]],
        "outputs": [_dataset(facts, namespace)],
    }


def _dataset(at: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """A repo at a version, from a mapping with ``repo`` and ``commit``."""
    version = {
        "_producer": PRODUCER,
        "_schemaURL": "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json",
        "datasetVersion": at["commit"],
    }
    return {"namespace": namespace, "name": at["repo"], "facets": {"version": version}}


def _facet(values: dict[str, Any]) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": FACET, **values}
