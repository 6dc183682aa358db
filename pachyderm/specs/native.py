"""Writes the four stages as native Pachyderm 2.12 pipelines, from the same names as the rest of the project.

It exists for sites that have Pachyderm and no Kubeflow: Pachyderm's own workers then run the stages. The output repos
of such pipelines belong to them, so they live in a project of their own beside the one that `pix2pix setup` makes.
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
"""The type must be given: Pachyderm would ask Kubernetes for a resource without a name."""

BESIDE = Path(__file__).resolve().parent


def specs() -> dict[str, dict[str, Any]]:
    """File name without suffix -> the pipeline's CreatePipelineRequest, as Pachyderm's JSON."""
    train = ["pix2pix", "train", _at(TRAINING), "/pfs/out"]
    checkpoint = _pipeline(
        CHECKPOINT,
        "Train pix2pix on the A|B pairs of training.",
        train,
        _pfs(TRAINING, INPUT_PROJECT),
        resources=TRAIN.resources,
    )
    with_gpu = _pipeline(
        CHECKPOINT,
        "Train pix2pix on the A|B pairs of training, on a GPU.",
        train,
        _pfs(TRAINING, INPUT_PROJECT),
        resources=TRAIN.resources,
    )
    with_gpu["transform"]["image"] += "-gpu"
    with_gpu["resourceLimits"]["gpu"] = GPU
    with_gpu["tolerations"] = [{"key": GPU["type"], "operator": "EXISTS", "effect": "NO_SCHEDULE"}]
    return {
        "checkpoint": checkpoint,
        "checkpoint_gpu": with_gpu,
        "model": _pipeline(
            MODEL,
            "Export the newest checkpoint as a SavedModel.",
            ["pix2pix", "export", _at(CHECKPOINT), "/pfs/out"],
            _pfs(CHECKPOINT, PROJECT),
            resources=EXPORT.resources,
        ),
        "preprocess_images": _pipeline(
            PREPROCESS_IMAGES,
            "Bring the pictures of input_images to what the model takes.",
            ["pix2pix", "resize", _at(INPUT_IMAGES), "/pfs/out"],
            _pfs(INPUT_IMAGES, INPUT_PROJECT),
            resources=RESIZE.resources,
        ),
        "generate_images": _pipeline(
            GENERATE_IMAGES,
            "Translate the prepared pictures with the newest model.",
            ["pix2pix", "generate", _at(MODEL), _at(PREPROCESS_IMAGES), "/pfs/out"],
            {"cross": [_pfs(PREPROCESS_IMAGES, PROJECT), _pfs(MODEL, PROJECT)]},
            resources=GENERATE.resources,
        ),
    }


def write(folder: Path = BESIDE) -> list[Path]:
    """Write ``<name>.json`` of every pipeline into a folder."""
    paths = []
    for name, spec in specs().items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(spec, indent=2) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def _at(branch: BranchName) -> str:
    """Where Pachyderm mounts a repo in the worker."""
    return f"/pfs/{branch.repo}"


def _pfs(branch: BranchName, project: str) -> dict[str, Any]:
    # One datum holds the whole commit: which name an output gets depends on the whole listing.
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
            # A list, and no shell: a stage that fails is a job that fails.
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
