"""The `kfp` command and the SDK's client with our committed pipelines, as docs/kubeflow.md uses them."""

from __future__ import annotations

import email.parser
import email.policy
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.append(str(Path(__file__).parent.parent / "trigger"))
from fake_kubeflow import Document, FakeKubeflow

from workflows.compile import BESIDE, NAMES
from workflows.runners.compiled import shipped
from workflows.runners.kubeflow import KubeflowRunner
from workflows.runners.kubeflow_api import Access, Api
from workflows.runners.runner import RunKey

KFP = Path(sys.executable).with_name("kfp")


class FakeKubeflowForPeople(FakeKubeflow):
    """Adds the calls that the trigger does not use: upload of a pipeline, and a run with an inline spec."""

    def _routes(self) -> Iterator[tuple[str, str, Callable[..., Document]]]:
        yield "POST", "pipelines/upload", lambda query, body: {}
        yield from super()._routes()

    def _route(self, method: str, path: str, query: Document, body: bytes, handler: Any) -> Document:
        if (method, path) != ("POST", "/apis/v2beta1/pipelines/upload"):
            return super()._route(method, path, query, body, handler)
        head = f"Content-Type: {handler.headers['Content-Type']}\r\n\r\n".encode()
        (part,) = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body).iter_parts()
        next(iter(yaml.safe_load_all(part.get_payload(decode=True))))
        return self._create_pipeline({}, {"name": query["name"], "display_name": query["name"]})

    def _listed(self, name: str, rows: dict[str, Document], query: Document) -> Document:
        # The kfp client writes operations as numbers; protojson accepts both.
        condition = json.loads(query.get("filter") or "{}")
        for predicate in condition.get("predicates", ()):
            predicate["operation"] = {1: "EQUALS", 9: "IS_SUBSTRING"}.get(
                predicate["operation"], predicate["operation"]
            )
        return super()._listed(name, rows, {**query, "filter": json.dumps(condition)})

    def _create_run(self, query: Document, body: Document) -> Document:
        if "pipeline_spec" in body:
            # If there is a second document, the client sends both in one object.
            spec = body["pipeline_spec"].get("pipeline_spec", body["pipeline_spec"])
            self.specs["inline"] = spec
            body = {**body, "pipeline_version_reference": {"pipeline_version_id": "inline"}}
        return super()._create_run(query, body)


@pytest.fixture
def kubeflow() -> Iterator[FakeKubeflowForPeople]:
    with FakeKubeflowForPeople() as fake:
        yield fake


def kfp(fake: FakeKubeflow, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KF_PIPELINES_ENDPOINT": fake.url, "HOME": str(home)}
    command = [sys.executable, "-W", "ignore", str(KFP), *words]
    return subprocess.run(command, env=environment, cwd=BESIDE.parent, capture_output=True, text=True, check=False)


RUN = ("run", "create", "--experiment-name", "pix2pix", "--run-name", "mine", "--package-file")


def test_kfp_starts_a_run_from_a_committed_file(kubeflow: FakeKubeflow, tmp_path: Path) -> None:
    words = ("size=128", "max_steps=2000", "learning_rate=1e-4", "l1_weight=50", "gan_mode=lsgan", "memory=32Gi")
    done = kfp(kubeflow, tmp_path, *RUN, "workflows/training_and_export.yaml", *words, 'gpus="2"')
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = kubeflow.runs.values()
    assert run["display_name"] == "mine"
    assert run["runtime_config"]["parameters"] == {
        "size": 128,
        "max_steps": 2000,
        "learning_rate": 1e-4,
        "l1_weight": 50,
        "gan_mode": "lsgan",
        "memory": "32Gi",
        "gpus": "2",
    }
    assert set(run["pipeline_spec"]) == {"pipeline_spec", "platform_spec"}


def test_a_number_of_gpus_without_its_own_quotes_is_refused_as_documented(
    kubeflow: FakeKubeflow, tmp_path: Path
) -> None:
    done = kfp(kubeflow, tmp_path, *RUN, "workflows/training_and_export.yaml", "gpus=2")
    assert done.returncode != 0
    assert not kubeflow.runs


def test_the_trigger_adds_a_version_to_the_pipeline_that_make_upload_created(
    kubeflow: FakeKubeflow, tmp_path: Path
) -> None:
    name = "preprocessing_and_generation"
    result = kfp(kubeflow, tmp_path, "pipeline", "create", "--pipeline-name", name, f"workflows/{name}.yaml")
    assert result.returncode == 0, result.stdout + result.stderr
    runner = KubeflowRunner(Api(Access(endpoint=kubeflow.url), lambda seconds: None))
    runner.start(RunKey(name, "0" * 32, 1), {"commit_set": "0" * 32})
    assert [entry["name"] for entry in kubeflow.pipelines.values()] == [name]
    (version,) = kubeflow.versions.values()
    assert version["name"].startswith(f"{name}-")


def test_make_upload_names_each_pipeline_after_its_file() -> None:
    printed = subprocess.run(
        ["make", "--dry-run", "--assume-old", ".venv/runtime", "upload"],
        cwd=BESIDE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in NAMES:
        assert name in printed.stdout
    assert set(shipped()) == set(NAMES)
    assert "--pipeline-name $name workflows/$name.yaml" in printed.stdout


def test_the_sdks_client_starts_a_run_for_the_newest(kubeflow: FakeKubeflow) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kfp.client import Client

        result = Client(host=kubeflow.url).create_run_from_pipeline_package(
            str(BESIDE / "preprocessing_and_generation.yaml"),
            arguments={},
            run_name="newest",
            experiment_name="pix2pix",
        )
    assert kubeflow.runs[result.run_id]["display_name"] == "newest"
