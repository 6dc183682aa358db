"""The stages as native Pachyderm 2.12 pipelines, for sites that have Pachyderm and no Kubeflow.

Pachyderm's own workers run the stages. A pipeline owns its output repo, so these pipelines have a project of their own,
beside the one that `pix2pix setup` creates.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pachyderm.client.branches import BranchName
from pachyderm.dag.repos import (
    CHECKPOINT,
    EXPORT,
    GENERATE,
    GENERATE_IMAGES,
    INPUT_IMAGES,
    MODEL,
    PREPROCESS_IMAGES,
    RESIZE,
    TRAIN,
    TRAINING,
    Resources,
)

PROJECT = "pix2pix-native"
"""The project of the pipelines and of their output repos."""

INPUT_PROJECT = "default"
"""The project that holds `training` and `input_images`."""

IMAGE = f"ghcr.io/pix2pix-pipelines/pix2pix-python:{version('pix2pix-pipelines')}"
"""The worker image; its GPU variant has the suffix ``-gpu``."""

GPU = {"type": "nvidia.com/gpu", "number": 1}
"""The type is required: without it Pachyderm would request an unnamed resource of Kubernetes."""

FOLDER = Path(__file__).resolve().parent
"""Folder of the committed specs."""


def specs() -> dict[str, dict[str, Any]]:
    """Return file name without suffix -> the pipeline's CreatePipelineRequest in Pachyderm's JSON."""
    return {
        "checkpoint": _train("Train pix2pix on the A|B pairs of training."),
        "checkpoint_gpu": _on_gpu(_train("Train pix2pix on the A|B pairs of training, on a GPU.")),
        "model": _pipeline(
            MODEL,
            "Export the newest checkpoint as a SavedModel.",
            ["pix2pix", "export", _mount(CHECKPOINT), "/pfs/out"],
            _input(CHECKPOINT, PROJECT),
            resources=EXPORT.resources,
        ),
        "preprocess_images": _pipeline(
            PREPROCESS_IMAGES,
            "Resize the pictures of input_images for the model.",
            ["pix2pix", "resize", _mount(INPUT_IMAGES), "/pfs/out"],
            _input(INPUT_IMAGES, INPUT_PROJECT),
            resources=RESIZE.resources,
        ),
        "generate_images": _pipeline(
            GENERATE_IMAGES,
            "Translate the prepared pictures with the newest model.",
            ["pix2pix", "generate", _mount(MODEL), _mount(PREPROCESS_IMAGES), "/pfs/out"],
            {"cross": [_input(PREPROCESS_IMAGES, PROJECT), _input(MODEL, PROJECT)]},
            resources=GENERATE.resources,
        ),
    }


def write(folder: Path = FOLDER) -> list[Path]:
    """Write ``<name>.json`` of every pipeline into a folder; return the paths."""
    paths = []
    for name, spec in specs().items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(spec, indent=2) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def _train(description: str) -> dict[str, Any]:
    return _pipeline(
        CHECKPOINT,
        description,
        ["pix2pix", "train", _mount(TRAINING), "/pfs/out"],
        _input(TRAINING, INPUT_PROJECT),
        resources=TRAIN.resources,
    )


def _on_gpu(spec: dict[str, Any]) -> dict[str, Any]:
    """Extend a spec in place by a GPU, the image that can use it, and a toleration of GPU nodes' taint."""
    spec["transform"]["image"] += "-gpu"
    spec["resourceLimits"]["gpu"] = GPU
    spec["tolerations"] = [{"key": GPU["type"], "operator": "EXISTS", "effect": "NO_SCHEDULE"}]
    return spec


def _mount(branch: BranchName) -> str:
    """Return the path at which Pachyderm mounts a repo in the worker."""
    return f"/pfs/{branch.repo}"


def _input(branch: BranchName, project: str) -> dict[str, Any]:
    # One datum holds the whole commit, because the name of an output depends on the whole listing.
    return {"pfs": {"project": project, "repo": branch.repo, "branch": "master", "glob": "/"}}


def _pipeline(
    output: BranchName,
    description: str,
    command: list[str],
    source: dict[str, Any],
    resources: Resources,
) -> dict[str, Any]:
    return {
        "pipeline": {"project": {"name": PROJECT}, "name": output.repo},
        "description": description,
        "transform": {
            "image": IMAGE,
            # A list instead of a shell command, so that the exit code of the stage is that of the job.
            "cmd": command,
            "env": {"HOME": "/tmp", "PYTHONUNBUFFERED": "1"},
        },
        "input": source,
        "parallelismSpec": {"constant": 1},
        "resourceRequests": {"cpu": resources.cpu, "memory": resources.memory},
        "resourceLimits": {"cpu": resources.cpu, "memory": resources.memory},
        "datumTries": 2,
        "datumTimeout": f"{resources.seconds}s",
        "jobTimeout": f"{2 * resources.seconds + 3600}s",
        "autoscaling": True,
        "reprocessSpec": "until_success",
    }
