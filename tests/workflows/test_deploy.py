"""Manifests: valid objects, the Pod Security level "restricted", minimal rights, current renders."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from trivial_pipelines import compile_all

sys.path.append(str(Path(__file__).parent.parent / "trigger"))
from fake_kubeflow import FakeKubeflow
from fake_kubernetes import FakeKubernetes

from components.train.trainjob.manifest import PORT
from components.train.trainjob.nodes import RUNTIME
from workflows.daemon.kubernetes_lease import KubernetesLease
from workflows.runners.kubeflow import KubeflowRunner
from workflows.runners.kubeflow_api import Access, Api
from workflows.runners.runner import RunKey
from workflows.settings.configuration import Configuration, LeaseSettings, load
from workflows.tasks import CONFIG_FILES, CONNECTION

HOUSE = Path(__file__).resolve().parents[2]
KUSTOMIZE, RENDERED = HOUSE / "deploy" / "kustomize", HOUSE / "deploy" / "rendered"
OVERLAYS = sorted(path.name for path in (KUSTOMIZE / "overlays").iterdir())
VERSION = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]["version"]
KUBERNETES = ("1.33", "1.36")
FOREIGN = {"ServiceMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator, which have no schemas in Kubernetes."""
TEMPLATES = {"Deployment", "StatefulSet", "Job"}


@functools.cache
def text_of(overlay: str) -> str:
    return (RENDERED / f"{overlay}.yaml").read_text()


def objects(overlay: str) -> list[dict[str, Any]]:
    return [entry for entry in yaml.load_all(text_of(overlay), Loader=yaml.CSafeLoader) if entry]


def of_kind(overlay: str, kind: str) -> list[dict[str, Any]]:
    return [entry for entry in objects(overlay) if entry["kind"] == kind]


def pods(overlay: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        (entry["metadata"]["name"], entry["spec"]["template"])
        for entry in objects(overlay)
        if entry["kind"] in TEMPLATES
    ]


def containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec.get("initContainers", ()), *spec["containers"]]


def test_every_overlay_has_its_render() -> None:
    assert sorted(path.stem for path in RENDERED.glob("*.yaml")) == OVERLAYS


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="rendering needs kubectl, which is not installed")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_committed_render_is_what_kubectl_makes(overlay: str) -> None:
    command = ["kubectl", "kustomize", str(KUSTOMIZE / "overlays" / overlay)]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (RENDERED / f"{overlay}.yaml").read_text() == rendered, "run: make render"


@pytest.fixture(scope="module")
def schemas() -> Iterator[Any]:
    """The validator; it reads each of its large files once."""
    import kubernetes_validate as validator

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validator.utils, "schema_contents", functools.cache(validator.utils.schema_contents))
        yield validator


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_valid_for_two_kubernetes_releases(schemas: Any, version: str) -> None:
    different = {json.dumps(entry): entry for overlay in OVERLAYS for entry in objects(overlay)}
    for entry in different.values():
        if entry["kind"] not in FOREIGN:
            assert schemas.validate(entry, version, strict=True) == version, entry["metadata"]["name"]


def test_the_schemas_are_strict(schemas: Any) -> None:
    entry = of_kind("kind", "Deployment")[0]
    entry["spec"]["replicaz"] = 1
    with pytest.raises(schemas.utils.ValidationError):
        schemas.validate(entry, KUBERNETES[0], strict=True)


ALLOWED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip


def violations(spec: dict[str, Any]) -> list[str]:
    """What the policy "restricted" of the Pod Security Standards forbids in a pod (Kubernetes 1.33)."""
    found = [f"{key} is set" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    for volume in spec.get("volumes", ()):
        kinds = set(volume) - {"name"}
        if not kinds <= ALLOWED_VOLUMES:
            found.append(f"volume {volume['name']} is a {kinds}")
    whole = spec.get("securityContext", {})
    if whole.get("sysctls") or whole.get("seLinuxOptions") or whole.get("windowsOptions"):
        found.append("sysctls, seLinuxOptions or windowsOptions")
    for entry in containers(spec):
        name, own = entry["name"], entry.get("securityContext", {})
        if own.get("privileged") or own.get("procMount", "Default") != "Default":
            found.append(f"{name} is privileged")
        if own.get("allowPrivilegeEscalation") is not False:
            found.append(f"{name} may gain privileges")
        if "ALL" not in own.get("capabilities", {}).get("drop", ()):
            found.append(f"{name} keeps capabilities")
        if set(own.get("capabilities", {}).get("add", ())) - {"NET_BIND_SERVICE"}:
            found.append(f"{name} adds capabilities")
        if not own.get("runAsNonRoot", whole.get("runAsNonRoot")):
            found.append(f"{name} may run as root")
        if own.get("runAsUser", whole.get("runAsUser")) == 0:
            found.append(f"{name} runs as root")
        seccomp = own.get("seccompProfile", whole.get("seccompProfile", {})).get("type")
        if seccomp not in ("RuntimeDefault", "Localhost"):
            found.append(f"{name} has seccomp {seccomp}")
        if any("hostPort" in port and port["hostPort"] for port in entry.get("ports", ())):
            found.append(f"{name} takes a port of the node")
        if any("host" in entry.get(probe, {}).get("httpGet", {}) for probe in ("livenessProbe", "readinessProbe")):
            found.append(f"{name} probes another host")
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_passes_the_restricted_policy_with_a_read_only_root_and_limits(overlay: str) -> None:
    assert pods(overlay)
    for name, template in pods(overlay):
        assert violations(template["spec"]) == [], name
        for entry in containers(template["spec"]):
            assert entry["securityContext"]["readOnlyRootFilesystem"] is True, (name, entry["name"])
            assert {"cpu", "memory"} <= set(entry["resources"]["limits"]), (name, entry["name"])
            assert {"mountPath": "/tmp", "name": "tmp"} in entry["volumeMounts"], (name, entry["name"])


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"hostNetwork": True}, "hostNetwork"),
        ({"securityContext": {}}, "root"),
        ({"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}, "volume"),
        ({"containers": [{"name": "x"}]}, "capabilities"),
    ],
)
def test_the_policy_check_sees_what_is_forbidden(change: dict[str, Any], seen: str) -> None:
    spec = pods("single-user")[0][1]["spec"]
    assert violations(spec) == []
    assert any(seen in entry for entry in violations({**spec, **change}))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_the_trigger_gets_a_token_of_the_cluster(overlay: str) -> None:
    for name, template in pods(overlay):
        assert template["spec"]["automountServiceAccountToken"] is (name == "pix2pix-trigger")
    for account in of_kind(overlay, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_names_labels_and_image_tags_are_ours_and_of_this_version(overlay: str) -> None:
    for entry in objects(overlay):
        labels = entry["metadata"].get("labels", {})
        assert entry["metadata"]["name"].startswith("pix2pix-")
        assert labels.get("app.kubernetes.io/part-of") == "pix2pix", entry["metadata"]["name"]
    for _, template in pods(overlay):
        for entry in containers(template["spec"]):
            assert re.fullmatch(
                rf"ghcr\.io/pix2pix-pipelines/pix2pix-(control|python):{re.escape(VERSION)}(-gpu)?", entry["image"]
            )


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_secrets_are_named_and_optional_and_never_here(overlay: str) -> None:
    assert not of_kind(overlay, "Secret")
    for _, template in pods(overlay):
        for entry in containers(template["spec"]):
            for variable in entry.get("env", ()):
                assert not re.search("token|secret|password", variable["name"], re.I) or not re.search(
                    r"[A-Za-z0-9+]{24}", variable.get("value", "")
                )
                secret = variable.get("valueFrom", {}).get("secretKeyRef")
                assert secret is None or (secret["name"], secret["optional"]) == (CONNECTION, True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_tasks_find_their_config_map_by_the_name_that_the_pipelines_use(overlay: str) -> None:
    (found,) = [entry for entry in of_kind(overlay, "ConfigMap") if entry["metadata"]["name"] == CONNECTION]
    assert set(found["data"]) == {"address", "project"}
    assert re.fullmatch(r"grpcs?://[a-z0-9.-]+:\d+", found["data"]["address"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_certificate_authority_reaches_every_pod_that_has_a_token(overlay: str) -> None:
    for name, template in pods(overlay):
        for entry in containers(template["spec"]):
            variables = {variable["name"]: variable.get("valueFrom", {}) for variable in entry["env"]}
            if "PACH_TOKEN" not in variables:
                continue
            key = variables["PACH_ROOT_CERTS"]["configMapKeyRef"]
            assert key == {"name": CONNECTION, "key": "root_certs", "optional": True}, name
            (mount,) = [mount for mount in entry["volumeMounts"] if mount["mountPath"] == CONFIG_FILES]
            (volume,) = [volume for volume in template["spec"]["volumes"] if volume["name"] == mount["name"]]
            assert volume["configMap"] == {"name": CONNECTION}, name


def configured(overlay: str, folder: Path) -> Configuration:
    """Return the configuration that the trigger's pod reads."""
    (given,) = [entry for entry in of_kind(overlay, "ConfigMap") if "trigger.toml" in entry["data"]]
    (folder / "trigger.toml").write_text(given["data"]["trigger.toml"])
    spec = dict(pods(overlay))["pix2pix-trigger"]["spec"]
    environment = {entry["name"]: entry.get("value", "x") for entry in spec["containers"][0]["env"]}
    return load(folder / "trigger.toml", environment)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_trigger_accepts_its_configuration(overlay: str, tmp_path: Path) -> None:
    rendered = configured(overlay, tmp_path)
    spec = dict(pods(overlay))["pix2pix-trigger"]["spec"]
    assert rendered.runner == "kubeflow"
    assert rendered.metrics_address.endswith(f":{spec['containers'][0]['ports'][0]['containerPort']}")
    assert rendered.lease.name in {name for _, _, name in allowed(overlay, "coordination.k8s.io")}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_training_requests_a_gpu_only_in_the_overlay_for_one(overlay: str, tmp_path: Path) -> None:
    arguments = configured(overlay, tmp_path).kubeflow.arguments.get("training_and_export", {})
    if not overlay.endswith("-gpu"):
        assert not arguments.keys() & {"gpus", "image", "gpu_type", "tolerations", "node_selector"}
        return
    (check,) = of_kind(overlay, "Job")
    spec = check["spec"]["template"]["spec"]
    assert arguments["gpus"] == spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]
    assert arguments["image"] == spec["containers"][0]["image"]
    assert json.loads(arguments["tolerations"]) == spec["tolerations"]


def test_training_and_our_own_pods_fit_into_half_of_a_laptops_two_processors(tmp_path: Path) -> None:
    arguments = configured("kind", tmp_path).kubeflow.arguments["training_and_export"]
    requests = [entry["resources"]["requests"] for _, pod in pods("kind") for entry in pod["spec"]["containers"]]
    ours = sum(int(entry["cpu"].removesuffix("m")) for entry in requests)
    training = int(arguments["cpu"].removesuffix("m"))
    # Kubernetes and Kubeflow use the other half; with a tenth of a CPU, training starves.
    assert training + ours <= 1000
    assert training >= 500
    assert arguments["memory"] == "4Gi"


def roles(overlay: str) -> list[dict[str, Any]]:
    return of_kind(overlay, "Role")


def allowed(overlay: str, group: str) -> set[tuple[str, str, str]]:
    """(verb, resource, name or "") of everything that roles allow in an API group."""
    return {
        (verb, resource, name)
        for role in roles(overlay)
        for rule in role["rules"]
        if group in rule["apiGroups"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
    }


class Recorded(FakeKubernetes):
    """A Kubernetes API that records its requests."""

    def __init__(self) -> None:
        self.asked: set[tuple[str, str, str]] = set()
        super().__init__()

    def _do(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        verb = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[method]
        _, _, rest = path.partition("/namespaces/")
        _, resource, *name = rest.split("/")
        self.asked.add((verb, resource, name[0] if name else ""))
        return super()._do(method, path, body)


def test_the_role_allows_the_lease_and_nothing_else() -> None:
    from kubernetes.client import ApiClient, CoordinationV1Api
    from kubernetes.client import Configuration as Cluster

    now = [0.0]
    with Recorded() as cluster:
        access = Cluster()
        access.host = cluster.url
        access.retries = False
        api = CoordinationV1Api(ApiClient(access))
        settings = LeaseSettings(name="pix2pix-trigger", namespace="kubeflow")
        first, second = (KubernetesLease(api, settings, me, lambda: now[0], lambda: 1.0) for me in "ab")
        for lease in (first, second, first):
            lease.step()
            now[0] += 1
        now[0] += 60
        second.step()
        second.release()
        first.step()
    for overlay in OVERLAYS:
        assert allowed(overlay, "coordination.k8s.io") == cluster.asked
        groups = {group for role in roles(overlay) for rule in role["rules"] for group in rule["apiGroups"]}
        assert groups - {"pipelines.kubeflow.org"} == {"coordination.k8s.io"}
        assert not of_kind(overlay, "ClusterRole")
        assert not of_kind(overlay, "ClusterRoleBinding")


MEANS = {
    "POST experiments": {("create", "experiments")},
    "GET experiments": {("list", "experiments")},
    "POST pipelines": {("create", "pipelines")},
    "GET pipelines": {("list", "pipelines")},
    # Which of the two the server checks depends on its release.
    "POST pipelines/upload_version": {("create", "pipelines/versions"), ("create", "pipelines")},
    "GET pipelines/ID/versions": {("list", "pipelines/versions"), ("list", "pipelines")},
    # A run of a version also reads the version.
    "POST runs": {("create", "runs"), ("get", "pipelines"), ("get", "pipelines/versions")},
    "GET runs": {("list", "runs")},
    "GET runs/ID": {("get", "runs")},
    "POST runs/ID:terminate": {("terminate", "runs")},
}
"""Request -> what Kubeflow's API server checks with Kubernetes (its `RbacResource...` constants, 2.17)."""


def test_the_role_in_a_profile_allows_the_runners_calls_of_kubeflow_and_nothing_else(tmp_path: Path) -> None:
    with FakeKubeflow() as fake:
        runner = KubeflowRunner(Api(Access(fake.url), lambda s: None), pipelines=compile_all(tmp_path), namespace="ann")
        runner.check()
        state = runner.start(RunKey("trivial", "0" * 32, 1), {"commit_set": "0" * 32})
        runner.live()
        runner.state(state.run)
        runner.terminate(state.run, "test")
        recorded = {re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", request) for request in fake.requests}
    requests = {request.replace("/apis/v2beta1/", "") for request in recorded} - {"GET healthz"}
    assert requests == set(MEANS)
    expected = {(verb, resource, "") for request in requests for verb, resource in MEANS[request]}
    assert allowed("multi-user", "pipelines.kubeflow.org") == expected


@pytest.mark.parametrize("overlay", [name for name in OVERLAYS if name != "kind"])
def test_our_pods_are_denied_whatever_no_policy_allows(overlay: str) -> None:
    policies = {entry["metadata"]["name"]: entry["spec"] for entry in of_kind(overlay, "NetworkPolicy")}
    deny = policies["pix2pix-deny-all"]
    assert deny == {
        "podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "pix2pix"}},
        "policyTypes": ["Ingress", "Egress"],
    }
    for _, template in pods(overlay):
        assert template["metadata"]["labels"]["app.kubernetes.io/part-of"] == "pix2pix"
    for name, spec in policies.items():
        assert spec["podSelector"], name
        for rule in [*spec.get("egress", ()), *spec.get("ingress", ())]:
            assert rule.get("to") or rule.get("from"), f"{name} allows all"
            for peer in [*rule.get("to", ()), *rule.get("from", ())]:
                assert peer.get("ipBlock", {}).get("cidr") != "0.0.0.0/0", name


def test_the_tasks_carry_the_label_that_the_policies_select() -> None:
    for path in (HOUSE / "workflows").glob("*.yaml"):
        platform = list(yaml.safe_load_all(path.read_text()))[1]["platforms"]["kubernetes"]["deploymentSpec"]
        for name, entry in platform["executors"].items():
            labels = entry["podMetadata"]["labels"]
            assert labels["app.kubernetes.io/part-of"] == "pix2pix", name
            assert labels["app.kubernetes.io/name"] == "pix2pix-task", name


def test_alerts_use_metrics_that_the_trigger_has() -> None:
    from workflows.trigger.metrics import Metrics

    known = set()
    for family in Metrics(lambda: 0.0, lambda: 0.0).registry.collect():
        known |= {family.name, f"{family.name}_total"}
    text = yaml.safe_dump(of_kind("single-user-gpu", "PrometheusRule"))
    used = set(re.findall(r"pix2pix_trigger_[a-z_]+", text))
    assert used
    assert used <= known


def component(name: str, kind: str) -> list[dict[str, Any]]:
    """The objects of a component that no overlay contains."""
    files = sorted((KUSTOMIZE / "components" / name).glob("*.yaml"))
    found = [entry for path in files for entry in yaml.safe_load_all(path.read_text()) if entry]
    return [entry for entry in found if entry["kind"] == kind]


def test_the_nodes_of_a_training_pass_the_restricted_policy_and_reach_each_other_alone(schemas: Any) -> None:
    for kind in ("Role", "RoleBinding", "NetworkPolicy"):
        for entry in component("trainjob", kind):
            assert schemas.validate(entry, KUBERNETES[1], strict=True) == KUBERNETES[1]
    (runtime,) = component("trainjob", "TrainingRuntime")
    assert runtime["metadata"]["name"] == RUNTIME
    (job,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    template = job["template"]["spec"]["template"]
    assert violations(template["spec"]) == []
    # What Kubeflow Trainer requires: the name of job and container, and the label of the job.
    assert (job["name"], template["spec"]["containers"][0]["name"]) == ("node", "node")
    assert job["template"]["metadata"]["labels"] == {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
    (policy,) = component("trainjob", "NetworkPolicy")
    selected = policy["spec"]["podSelector"]["matchLabels"].items()
    assert selected <= template["metadata"]["labels"].items()
    assert policy["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": PORT}]
    (mount,) = [entry for entry in template["spec"]["containers"][0]["volumeMounts"] if entry["name"] == "pachyderm"]
    assert mount["mountPath"] == CONFIG_FILES
