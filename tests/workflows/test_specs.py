"""The specs of native Pachyderm pipelines are current, use the DAG's names, and are valid for Pachyderm 2.12."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import betterproto
import pytest
from betterproto.casing import camel_case
from pachyderm_sdk.api import pfs, pps

from components.image import IMAGE
from pachyderm.client.connection import Target, connect
from pachyderm.dag.repos import CHECKPOINT, GENERATE_IMAGES, INPUT_IMAGES, MODEL, PREPROCESS_IMAGES, TRAINING
from pachyderm.specs import native

NAMES = sorted(native.specs())
Spec = dict[str, Any]


def problems(spec: Spec) -> list[str]:
    """List what pachd 2.12 would refuse in a CreatePipelineRequest: unknown keys and violated rules."""
    found = list(_unknown(spec, pps.CreatePipelineRequest, "spec"))
    name = spec.get("pipeline", {}).get("name", "")
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,51}", name):
        found.append(f"pipeline name {name!r}")
    transform = spec.get("transform", {})
    if not transform.get("image"):
        found.append("transform.image is empty")
    secrets = transform.get("secrets", ())
    found += [f"secret {secret}" for secret in secrets if "envVar" in secret and "key" not in secret]
    inputs = list(_inputs(spec.get("input", {}), found))
    names = [source.get("name") or source.get("repo") for source in inputs]
    if len(set(names)) != len(names):
        found.append(f"two inputs with one name: {names}")
    for source in inputs:
        found += [f"pfs input without {key}: {source}" for key in ("repo", "glob") if not source.get(key)]
    if spec.get("reprocessSpec", "until_success") not in ("until_success", "every_job"):
        found.append("reprocessSpec")
    for key in ("resourceRequests", "resourceLimits"):
        gpu = spec.get(key, {}).get("gpu")
        if gpu is not None and not gpu.get("type"):
            found.append(f"{key}.gpu has no type")
    found += [key for key in ("datumTimeout", "jobTimeout") if not re.fullmatch(r"\d+(\.\d+)?s", spec.get(key, "1s"))]
    return found


def _inputs(node: Spec, found: list[str]) -> Iterator[Spec]:
    kinds = set(node) & {"pfs", "cross", "union", "join", "group", "cron"}
    if len(kinds) != 1:
        found.append(f"an input must have exactly one kind, got {sorted(kinds)}")
    if "pfs" in node:
        yield node["pfs"]
    for kind in ("cross", "union", "join", "group"):
        for inner in node.get(kind, ()):
            yield from _inputs(inner, found)


def _unknown(value: Any, message: Any, location: str) -> Iterator[str]:
    """Yield the keys that the SDK's message does not have, which the server refuses as well."""
    hints = typing.get_type_hints(message)
    known = {camel_case(field.name): hints[field.name] for field in dataclasses.fields(message)}
    for key, inner in value.items():
        if key not in known:
            yield f"{location}.{key} is unknown"
            continue
        kind = known[key]
        arguments = [argument for argument in typing.get_args(kind) if isinstance(argument, type)]
        kind = arguments[-1] if arguments else kind
        if isinstance(kind, type) and issubclass(kind, betterproto.Message) and kind.__module__.startswith("pachyderm"):
            for number, item in enumerate(inner if isinstance(inner, list) else [inner]):
                yield from _unknown(item, kind, f"{location}.{key}[{number}]")


def test_the_committed_specs_are_those_that_the_code_writes(tmp_path: Path) -> None:
    written = {path.name: path.read_bytes() for path in native.write(tmp_path)}
    assert written == {path.name: path.read_bytes() for path in native.FOLDER.glob("*.json")}


@pytest.mark.parametrize("name", NAMES)
def test_each_pipeline_is_valid(name: str) -> None:
    assert problems(native.specs()[name]) == []


def _set(spec: Spec, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        spec = spec[parent]
    spec[last] = value


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("inputt", {}, "inputt"),
        ("input.pfs.globb", "/", "globb"),
        ("input.atom", {}, "atom"),
        ("input.pfs.glob", "", "glob"),
        ("input.cron", {"spec": "@daily"}, "exactly one kind"),
        ("resourceLimits.gpu", {"number": 1}, "no type"),
        ("transform.image", "", "image"),
        ("pipeline.name", "check point", "name"),
        ("reprocessSpec", "always", "reprocessSpec"),
        ("jobTimeout", "2h", "jobTimeout"),
    ],
)
def test_the_check_finds_what_a_server_would_refuse(path: str, value: Any, problem: str) -> None:
    spec = copy.deepcopy(native.specs()["checkpoint"])
    _set(spec, path, value)
    assert any(problem in text for text in problems(spec))


def test_the_pipelines_form_the_dag_in_a_separate_project() -> None:
    specs = native.specs()
    inputs = {
        name: {(source["project"], source["repo"]) for source in _inputs(spec["input"], [])}
        for name, spec in specs.items()
    }
    own, given = native.PROJECT, native.INPUT_PROJECT
    assert own != given
    assert inputs == {
        "checkpoint": {(given, TRAINING.repo)},
        "checkpoint_gpu": {(given, TRAINING.repo)},
        "model": {(own, CHECKPOINT.repo)},
        "preprocess_images": {(given, INPUT_IMAGES.repo)},
        "generate_images": {(own, PREPROCESS_IMAGES.repo), (own, MODEL.repo)},
    }
    assert {spec["pipeline"]["name"] for spec in specs.values()} == {
        branch.repo for branch in (CHECKPOINT, MODEL, PREPROCESS_IMAGES, GENERATE_IMAGES)
    }


@pytest.mark.parametrize("name", NAMES)
def test_each_pipeline_runs_the_command_in_the_image_without_a_shell(name: str) -> None:
    from cli.main import COMMANDS

    transform = native.specs()[name]["transform"]
    assert transform["image"] == IMAGE + ("-gpu" if name.endswith("_gpu") else "")
    assert transform["cmd"][0] == "pix2pix"
    assert transform["cmd"][1] in COMMANDS
    assert "stdin" not in transform


@pytest.mark.skipif("PACHD_ADDRESS" not in os.environ, reason="requires a Pachyderm at PACHD_ADDRESS")
@pytest.mark.parametrize("name", NAMES)
def test_a_server_accepts_each_pipeline_in_a_dry_run(name: str) -> None:
    spec = native.specs()[name]
    with connect(Target(pachd=os.environ["PACHD_ADDRESS"])) as client:
        # Even a dry run reads the defaults of the project, so the project must exist.
        if native.PROJECT not in {info.project.name for info in client.pfs.list_project()}:
            client.pfs.create_project(project=pfs.Project(name=native.PROJECT))
        response = client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec), dry_run=True)
    effective = json.loads(response.effective_create_pipeline_request_json)
    assert effective["transform"]["cmd"] == spec["transform"]["cmd"]
    assert effective["pipeline"]["name"] == spec["pipeline"]["name"]
