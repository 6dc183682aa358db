"""The nodes of a training: how many, and the runtime, image and resources of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RUNTIME = "pix2pix-training"
"""Name of the TrainingRuntime of the kustomize component ``trainjob``."""

KINDS = ("TrainingRuntime", "ClusterTrainingRuntime")


@dataclass(frozen=True)
class Nodes:
    """The nodes of one training.

    Attributes:
        count: number of nodes; 1 trains in the task itself.
        runtime: name of a TrainingRuntime of the namespace, or ``ClusterTrainingRuntime/NAME``.
        image: whole image reference; it must hold the same version of the package as the task's own image.
        resources: of each node, as Kubernetes' ResourceRequirements; empty: those of the runtime.
    """

    count: int
    runtime: str = RUNTIME
    image: str = ""
    resources: Mapping[str, Any] = field(default_factory=dict)

    @property
    def runtime_reference(self) -> dict[str, str]:
        """The ``runtimeRef`` of a TrainJob."""
        kind, _, name = self.runtime.rpartition("/")
        return {"apiGroup": "trainer.kubeflow.org", "kind": kind or KINDS[0], "name": name}


def problem_of(nodes: Nodes) -> str | None:
    """Return what is wrong with the values of pipeline parameters, or None."""
    if nodes.count < 1:
        return f"nodes = {nodes.count} is not a number of nodes; write 1, or more with Kubeflow Trainer"
    kind = nodes.runtime_reference["kind"]
    if kind not in KINDS or not nodes.runtime_reference["name"]:
        return f"runtime = {nodes.runtime!r} is not the name of a runtime; write NAME, or ClusterTrainingRuntime/NAME"
    unknown = sorted(set(nodes.resources) - {"limits", "requests"})
    if unknown:
        return (
            f"node_resources has {', '.join(unknown)}; it takes limits and requests, e.g."
            ' {"limits": {"nvidia.com/gpu": "1"}}'
        )
    return None
