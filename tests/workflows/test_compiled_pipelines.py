"""The committed pipelines: up to date, safe against the known hazards of a cluster, and runnable by plain kfp."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.form import UNSET
from pachyderm.client.commits import head
from pachyderm.client.connection import Target, connect
from pachyderm.client.files import content, files
from pachyderm.client.upload import put
from pachyderm.dag.repos import INPUT_IMAGES, PREPROCESS_IMAGES
from pachyderm.dag.setup import set_up
from pix2pix.facades import generator
from pix2pix.hyperparameters import TrainParameters
from workflows import compile as compilation
from workflows.compile import BESIDE, NAMES, compile_all, output_folder, stale
from workflows.errors import RunInputError
from workflows.runners.compiled import in_queue, read, shipped
from workflows.tasks import CONFIG_FILES, CONNECTION

PIPELINES = {name: list(yaml.safe_load_all((BESIDE / f"{name}.yaml").read_text())) for name in NAMES}


KINDS = {int: "NUMBER_INTEGER", float: "NUMBER_DOUBLE", str: "STRING"}
FORM = {name: KINDS[type(getattr(TrainParameters(), name))] for name in UNSET}
"""Hyperparameters with a field of their own -> type in the spec."""

NODES = {"nodes": "NUMBER_INTEGER", "node_resources": "STRUCT"}
"""What the train component itself reads."""

TYPES = {"node_selector": "STRUCT", "tolerations": "LIST", **NODES, **FORM}
"""The parameters that are not text: those that Kubeflow accepts as JSON, and numbers that are hyperparameters."""


def executors(spec: dict[str, Any]) -> dict[str, Any]:
    return {name: entry["container"] for name, entry in spec["deploymentSpec"]["executors"].items()}


def test_the_committed_yaml_is_what_the_code_compiles_to() -> None:
    assert stale(BESIDE) == [], "run: pix2pix compile"


def test_only_another_sdk_version_counts_as_up_to_date(tmp_path: Path) -> None:
    files = {path.name: path for path in compile_all(tmp_path / "new" / "folder")}
    first = files["training_and_export.yaml"]
    first.write_text(re.sub("sdkVersion: .*", "sdkVersion: kfp-9.9.9", first.read_text()))
    assert stale(first.parent) == []
    first.write_text(first.read_text().replace("sdkVersion", "sdkversion"))
    files["image_to_image.yaml"].unlink()
    assert [path.name for path in stale(first.parent)] == ["training_and_export.yaml", "image_to_image.yaml"]


def test_an_installed_package_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert output_folder(None) == BESIDE, "in a clone, beside the sources"
    monkeypatch.setattr(compilation, "BESIDE", tmp_path / "site-packages" / "workflows")
    for folder in (
        None,
        tmp_path / "site-packages" / "workflows",
        tmp_path / "site-packages" / "workflows" / ".." / "x",
    ):
        with pytest.raises(RunInputError, match="-o DIR"):
            output_folder(folder)
    assert output_folder(tmp_path / "here") == tmp_path / "here"


def test_kfp_compiles_a_pipeline_file_to_the_same_yaml(tmp_path: Path) -> None:
    kfp = Path(sys.executable).with_name("kfp")
    command = [sys.executable, str(kfp), "dsl", "compile", "--output", str(tmp_path / "made.yaml"), "--py"]
    subprocess.run([*command, "workflows/training_and_export.py"], cwd=BESIDE.parent, check=True, capture_output=True)
    assert (tmp_path / "made.yaml").read_bytes() == (BESIDE / "training_and_export.yaml").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_each_pipeline_is_a_valid_spec_of_schema_2_1_0(name: str) -> None:
    spec, platform = PIPELINES[name]
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    assert spec["schemaVersion"] == "2.1.0"
    # The server would silently drop a typo in the second document.
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())


def looped(task: dict[str, Any]) -> set[str]:
    """Return the input that a loop gives to each iteration."""
    return {task["parameterIterator"]["itemInput"]} if "parameterIterator" in task else set()


def tasks(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the tasks that run a container, on every level, by name."""
    parts = [spec["root"], *spec["components"].values()]
    found = {name: task for part in parts for name, task in part.get("dag", {}).get("tasks", {}).items()}
    return {n: t for n, t in found.items() if "executorLabel" in spec["components"][t["componentRef"]["name"]]}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_but_the_loop_over_the_shards_of_a_stage_is_below_the_first_level_of_tasks(name: str) -> None:
    spec = PIPELINES[name][0]
    nested = {part for part, component in spec["components"].items() if "dag" in component}
    assert all(re.fullmatch("comp-(for-loop-[12]|one-shard(-2)?)", part) for part in nested), nested
    assert bool(nested) == (name != "training_and_export")


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_that_a_task_refers_to_is_declared_on_each_level_above_it(name: str) -> None:
    """kfp 2.17 leaves resources that are parameters out of a loop's inputs; the driver would fail."""
    spec = PIPELINES[name][0]
    for part, component in {"root": spec["root"], **spec["components"]}.items():
        declared = component.get("inputDefinitions", {}).get("parameters", {})
        for task in component.get("dag", {}).get("tasks", {}).values():
            below = spec["components"][task["componentRef"]["name"]]
            given = task.get("inputs", {}).get("parameters", {})
            text = json.dumps(executors(spec)[below["executorLabel"]]) if "executorLabel" in below else ""
            for parameter in re.findall(r"pipelinechannel--[A-Za-z0-9_-]+", text):
                assert parameter in given, (part, parameter)
            for value in given.values():
                assert value.get("componentInputParameter") in {None, *declared}, (part, value)
            inputs = below.get("inputDefinitions", {}).get("parameters", {})
            required = {key for key, stated in inputs.items() if not stated.get("isOptional")}
            assert required <= {*given, *looped(task)}, part


@pytest.mark.parametrize("name", NAMES)
def test_the_parameters_of_a_pipeline_have_types_and_descriptions(name: str) -> None:
    spec = PIPELINES[name][0]
    for parameter, declared in spec["root"]["inputDefinitions"]["parameters"].items():
        assert declared["parameterType"] == TYPES.get(parameter, "STRING"), parameter
        assert declared["description"], parameter
        assert "defaultValue" in declared, parameter


@pytest.mark.parametrize("name", ["training_and_export", "image_to_image"])
def test_each_field_of_the_form_is_optional_unset_at_first_and_reaches_the_training(name: str) -> None:
    spec = PIPELINES[name][0]
    for inputs in (spec["root"], spec["components"]["comp-train"]):
        declared = inputs["inputDefinitions"]["parameters"]
        assert {field: declared[field]["defaultValue"] for field in UNSET} == UNSET
        # The form accepts a number field that was emptied only if it is optional.
        assert all(declared[field]["isOptional"] for field in UNSET)
    passed = spec["root"]["dag"]["tasks"]["train"]["inputs"]["parameters"]
    assert {field: passed[field] for field in UNSET} == {field: {"componentInputParameter": field} for field in UNSET}


def test_a_run_that_nobody_configured_waits_for_no_gpu() -> None:
    for name in ("training_and_export", "image_to_image"):
        assert PIPELINES[name][0]["root"]["inputDefinitions"]["parameters"]["gpus"]["defaultValue"] == "0"


@pytest.mark.parametrize("name", NAMES)
def test_resources_are_whole_string_parameters_and_only_train_requests_a_gpu(name: str) -> None:
    for executor, container in executors(PIPELINES[name][0]).items():
        texts = [container["image"]]
        resources = container.get("resources", {})
        texts += [value for value in resources.values() if isinstance(value, str)]
        texts += list(resources.get("accelerator", {}).values())
        for text in texts:
            assert re.fullmatch(r"\{\{\$\.inputs\.parameters\['pipelinechannel--[a-z_]+'\]\}\}", text), (executor, text)
        assert ("accelerator" in resources) == (executor == "exec-train")
        assert bool(resources) == (executor.startswith(("exec-train", "exec-shard")))


def test_shared_memory_of_training_is_bounded_only_by_its_memory() -> None:
    for name in ("training_and_export", "image_to_image"):
        executor = PIPELINES[name][1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train"]
        assert executor["emptyDirMounts"] == [{"medium": "Memory", "mountPath": "/dev/shm", "volumeName": "dshm"}]


@pytest.mark.parametrize("name", NAMES)
def test_no_task_is_cached_and_nothing_is_installed_at_run_time(name: str) -> None:
    spec = PIPELINES[name][0]
    for task in tasks(spec).values():
        assert not task.get("cachingOptions", {}).get("enableCache", False)
    text = (BESIDE / f"{name}.yaml").read_text()
    assert "pip install" not in text
    for container in executors(spec).values():
        assert sum(len(argument) for argument in container["args"]) < 100_000


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_pod_is_replaced_and_a_step_that_failed_has_failed_at_once(name: str) -> None:
    for task in tasks(PIPELINES[name][0]).values():
        assert task["retryPolicy"]["maxRetryCount"] == 2
        # Argo waits for the back-off before it decides not to retry.
        assert task["retryPolicy"]["backoffDuration"] == "0s"


@pytest.mark.parametrize("name", NAMES)
def test_all_times_to_live_and_the_deadline_are_set(name: str) -> None:
    config = PIPELINES[name][1]["platforms"]["kubernetes"]["pipelineConfig"]
    for key in ("activeDeadlineSeconds", "resourceTtlOnCompletion", "resourceTtlOnFailure", "resourceTtlOnSuccess"):
        assert config[key] > 0, key


@pytest.mark.parametrize("name", NAMES)
def test_no_address_and_no_secret_is_in_a_pipeline(name: str) -> None:
    text = (BESIDE / f"{name}.yaml").read_text()
    assert not re.search(r"grpcs?://|https?://|127\.0\.0\.1|localhost", text)
    for executor in PIPELINES[name][1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        for secret in executor.get("secretAsEnv", []):
            assert secret["optional"] is True


@pytest.mark.parametrize("name", NAMES)
def test_every_task_finds_address_project_token_and_certificate_authority_if_there_are_any(name: str) -> None:
    platform = PIPELINES[name][1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for executor in executors(PIPELINES[name][0]):
        given = platform[executor]
        found: dict[str, set[str]] = {}
        for kind in ("configMapAsEnv", "secretAsEnv"):
            (entry,) = given[kind]
            assert entry["optional"] is True
            found[kind] = {pair["envVar"] for pair in entry["keyToEnv"]}
        assert found == {
            "configMapAsEnv": {"PACHD_ADDRESS", "PACH_PROJECT", "PACH_ROOT_CERTS"},
            "secretAsEnv": {"PACH_TOKEN"},
        }
        (volume,) = given["configMapAsVolume"]
        assert (volume["configMapName"], volume["mountPath"], volume["optional"]) == (CONNECTION, CONFIG_FILES, True)


def test_a_queue_labels_the_pods_of_every_task_and_makes_another_version(tmp_path: Path) -> None:
    for name, path in in_queue(shipped(), "team-gpus", tmp_path).items():
        executors = list(yaml.safe_load_all(path.read_text()))[1]["platforms"]["kubernetes"]["deploymentSpec"][
            "executors"
        ]
        labels = [executor["podMetadata"]["labels"] for executor in executors.values()]
        assert {found["kueue.x-k8s.io/queue-name"] for found in labels} == {"team-gpus"}
        assert all(found["app.kubernetes.io/part-of"] == "pix2pix" for found in labels)
        plain, queued = read(shipped()[name]), read(path)
        assert (queued.name, queued.tasks, queued.parameters) == (plain.name, plain.tasks, plain.parameters)
        assert queued.digest != plain.digest
    with pytest.raises(RunInputError, match="queue = 'Team GPUs' is not the name of a LocalQueue"):
        in_queue(shipped(), "Team GPUs", tmp_path)


PLAIN = """
import warnings
from kfp import components, local
warnings.simplefilter("ignore")
local.init(local.SubprocessRunner(use_venv=False), pipeline_root={root!r})
components.load_component_from_file({file!r})(commit_set="", shards="2")
"""


def test_plain_kfp_runs_a_committed_pipeline_without_our_runner(tmp_path: Path) -> None:
    target = Target(store=tmp_path / "store")
    generator.make_labels(tmp_path / "labels", 2, 32, seed=1)
    with connect(target) as client:
        set_up(client)
        put(client, INPUT_IMAGES, {f"/{entry.name}": entry for entry in (tmp_path / "labels").iterdir()})
    script = PLAIN.format(root=str(tmp_path / "root"), file=str(BESIDE / "preprocessing_and_generation.yaml"))
    environment = {**os.environ, "PIX2PIX_STORE": str(target.store)}
    environment.pop("PACHD_ADDRESS", None)
    # kfp.local fails if the path of Python contains a space, as it does if the checkout's path does.
    link = tmp_path / "environment"
    link.symlink_to(Path(sys.executable).parent.parent, target_is_directory=True)
    python = link / Path(sys.executable).relative_to(Path(sys.executable).parent.parent)
    done = subprocess.run(
        [python, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with connect(target) as client:
        filled = head(client, PREPROCESS_IMAGES)
        assert filled.state == "good"
        assert len(content(files(client, filled.repo, filled.id))) == 2
