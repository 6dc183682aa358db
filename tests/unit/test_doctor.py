"""`pix2pix doctor` reports each problem with its remedy and exit code, and changes nothing."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from command_line import pix2pix

sys.path.append(str(Path(__file__).parent.parent / "trigger"))
from fake_kubeflow import FakeKubeflow
from fake_kubernetes import FakeKubernetes

from cli.system import doctor_checks, doctor_kubeflow
from cli.system.doctor_notifications import notifications
from pachyderm.client.connection import Target, connect
from pachyderm.dag.setup import set_up
from pachyderm.store.rpc.server import StoreServer
from workflows.settings.configuration import Configuration, KubeflowSettings
from workflows.settings.notify import NotifySettings


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PACHD_ADDRESS", "PACH_TOKEN", "KF_PIPELINES_ENDPOINT", "PIX2PIX_IMAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))


@pytest.fixture
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor_checks, "gpu", lambda **_: iter([doctor_checks.Finding("TensorFlow", True, "not checked in this test")])
    )


def one(findings: Iterator[doctor_checks.Finding], check: str) -> doctor_checks.Finding:
    found = [finding for finding in findings if finding.check.startswith(check)]
    return found[-1]


def test_no_problems_are_found_after_setup(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], without_tensorflow: None
) -> None:
    pix2pix(capsys, "--store", tmp_path / "store", "setup")
    result = pix2pix(capsys, "--store", tmp_path / "store", "doctor", "--json")
    assert result.code == 0, result.out
    assert result.document["ok"] is True
    assert all(finding["ok"] and not finding["remedy"] for finding in result.document["findings"])


def test_a_problem_is_shown_with_its_remedy_and_exit_code_and_no_store_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], without_tensorflow: None
) -> None:
    result = pix2pix(capsys, "--store", tmp_path / "none", "doctor")
    assert result.code == 2
    assert "problem  Pachyderm: embedded store not found" in result.out
    assert "remedy: pix2pix setup" in result.out
    assert not (tmp_path / "none").exists()


def test_an_unreachable_service_exits_with_3_even_beside_other_problems(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, without_tensorflow: None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "not there"))
    result = pix2pix(capsys, "--pachd", f"grpc://127.0.0.1:{closed_port()}", "doctor", "--json")
    assert result.code == 3
    wrong = {finding["check"]: finding["code"] for finding in result.document["findings"] if not finding["ok"]}
    assert wrong == {"HOME": 2, "Pachyderm": 3}


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_an_unwritable_home_is_named(tmp_path: Path) -> None:
    finding = one(doctor_checks.folders({"HOME": str(tmp_path / "gone")}), "HOME")
    assert (finding.ok, finding.code) == (False, 2)
    assert str(tmp_path / "gone") in finding.detail
    assert "set HOME" in finding.remedy


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_checks, "REQUIRED", ("click", "no-such-distribution"))
    finding = one(doctor_checks.packages(), "packages")
    assert (finding.ok, finding.code) == (False, 2)
    assert "no-such-distribution" in finding.detail


def test_an_invalid_address_is_wrong_use() -> None:
    finding = one(doctor_checks.pachyderm(Target(pachd="ftp://127.0.0.1:1")), "Pachyderm")
    assert (finding.ok, finding.code) == (False, 2)
    assert "grpc://host:port" in finding.detail


def test_tls_against_plain_text_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pachyderm.client.connection.CONNECT_TIMEOUT", 1.0)
    with StoreServer(tmp_path / "store", "127.0.0.1:0") as server:
        address = server.address if hasattr(server, "address") else str(server)
        port = str(address).rpartition(":")[2]
        finding = one(doctor_checks.pachyderm(Target(pachd=f"grpcs://127.0.0.1:{port}")), "Pachyderm")
    assert (finding.ok, finding.code) == (False, 3)
    assert "TLS" in finding.detail


class Refusal(grpc.RpcError):  # type: ignore[misc]
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__()
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


@contextmanager
def answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **methods: Any) -> Iterator[Target]:
    """A store with some methods of the connection replaced: ``get_version=...``."""
    from pachyderm.client import connection

    target = Target(store=tmp_path / "store")
    with connect(target) as client:
        set_up(client)
    for name, method in methods.items():
        monkeypatch.setattr(connection.Connection, name, method, raising=False)
    yield target


@pytest.mark.parametrize(
    ("code", "details"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "no authentication token (try logging in)"),
        (grpc.StatusCode.INTERNAL, "token expiration is in the past"),
    ],
)
def test_a_missing_or_expired_token_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: grpc.StatusCode, details: str
) -> None:
    def refuse(client: object) -> None:
        raise Refusal(code, details)

    with answered(tmp_path, monkeypatch, get_version=refuse) as target:
        finding = one(doctor_checks.pachyderm(target), "Pachyderm")
    assert (finding.ok, finding.code) == (False, 3)
    assert "PACH_TOKEN" in finding.remedy


def test_a_request_that_an_old_pachyderm_does_not_know_names_the_version_that_does() -> None:
    from pachyderm.client.connection import translate
    from pachyderm.errors import RequestError

    error = translate(Refusal(grpc.StatusCode.UNIMPLEMENTED, "unknown service metadata.API"), "grpc://there:1")
    assert isinstance(error, RequestError)
    assert "2.10" in str(error)


def test_a_pachyderm_without_commit_metadata_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pachyderm_sdk.api.version import Version

    with answered(tmp_path, monkeypatch, get_version=lambda client: Version(major=2, minor=9, micro=4)) as target:
        findings = list(doctor_checks.pachyderm(target))
    assert [(finding.check, finding.code) for finding in findings] == [("Pachyderm", 2)]
    assert "2.10" in findings[0].remedy


def test_missing_repos_and_repos_of_another_project_are_distinguished(tmp_path: Path) -> None:
    target = Target(store=tmp_path / "store")
    with connect(target) as client:
        client.pfs.create_repo(repo=client.repo("training"))
    finding = one(doctor_checks.pachyderm(target), "repos")
    assert (finding.ok, finding.remedy, finding.code) == (False, "pix2pix setup", 2)
    with connect(target) as client:
        client.pfs.create_repo(repo=client.repo("checkpoint"))
        from pachyderm.dag.repos import CHECKPOINT, INPUT_IMAGES

        client.pfs.create_repo(repo=client.repo("input_images"))
        client.pfs.create_branch(branch=client.branch(INPUT_IMAGES))
        client.pfs.create_branch(branch=client.branch(CHECKPOINT), provenance=[client.branch(INPUT_IMAGES)])
    finding = one(doctor_checks.pachyderm(target), "repos")
    assert "another project owns these repos" in finding.detail
    assert "PACH_PROJECT" in finding.remedy


def test_a_pachyderm_pipeline_that_owns_a_repo_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_checks, "_owned_by_pipelines", lambda client: ["checkpoint"])
    with answered(tmp_path, monkeypatch) as target:
        finding = one(doctor_checks.pachyderm(target), "repos")
    assert "own checkpoint" in finding.detail
    assert finding.code == 2


def test_a_pipelines_repo_is_recognized_by_its_spec_repo(tmp_path: Path) -> None:
    from pachyderm_sdk.api import pfs

    class Listed:
        def list_repo(self, **_: object) -> list[Any]:
            return [pfs.RepoInfo(repo=pfs.Repo(name=name)) for name in ("checkpoint", "model", "theirs")]

        def list_branch(self, repo: pfs.Repo) -> list[Any]:
            kind = "spec" if repo.name == "checkpoint" else "user"
            return [pfs.BranchInfo(direct_provenance=[pfs.Branch(repo=pfs.Repo(name=repo.name, type=kind))])]

    with connect(Target(store=tmp_path / "store")) as client:
        client.pfs = Listed()  # type: ignore[assignment]
        assert doctor_checks._owned_by_pipelines(client) == ["checkpoint"]


def settings(url: str, namespace: str = "", token_file: str = "") -> Configuration:
    return replace(
        Configuration(), kubeflow=KubeflowSettings(endpoint=url, namespace=namespace, token_file=token_file, timeout=5)
    )


def test_an_unconfigured_kubeflow_is_not_a_problem() -> None:
    (finding,) = doctor_kubeflow.kubeflow(Configuration(), {}, lambda seconds: None)
    assert finding.ok


def test_a_kubeflow_that_answers_is_shown_with_its_version() -> None:
    with FakeKubeflow() as fake:
        findings = list(doctor_kubeflow.kubeflow(settings(fake.url), {}, lambda seconds: None))
        assert [finding.ok for finding in findings] == [True, True]
        assert "single-user" in findings[0].detail
        assert not any("POST" in request for request in fake.requests)


def test_an_old_kubeflow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_kubeflow, "_kubeflow_tag", lambda client: "2.14.3")
    with FakeKubeflow() as fake:
        findings = list(doctor_kubeflow.kubeflow(settings(fake.url), {}, lambda seconds: None))
    assert [(finding.ok, finding.code) for finding in findings] == [(False, 2)]
    assert "2.15" in findings[0].remedy


def test_an_unreachable_kubeflow_or_a_refused_token_exits_with_3(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    with FakeKubeflow(token="new") as fake:
        refused = one(
            doctor_kubeflow.kubeflow(settings(fake.url, token_file=str(token)), {}, lambda s: None), "Kubeflow"
        )
    assert (refused.ok, refused.code) == (False, 3)
    assert "token" in refused.detail
    away = settings(f"http://127.0.0.1:{closed_port()}")
    finding = one(doctor_kubeflow.kubeflow(away, {}, lambda seconds: None), "Kubeflow")
    assert (finding.ok, finding.code) == (False, 3)


def test_a_multi_user_kubeflow_needs_a_namespace_and_a_role(monkeypatch: pytest.MonkeyPatch) -> None:
    many = {"multi_user": True}
    with FakeKubeflow() as fake:
        routes = fake._routes

        def with_users() -> Iterator[Any]:
            yield "GET", "healthz", lambda query, body: many
            yield from routes()

        monkeypatch.setattr(fake, "_routes", with_users)
        finding = one(doctor_kubeflow.kubeflow(settings(fake.url), {}, lambda seconds: None), "Kubeflow runs")
        assert (finding.ok, finding.code) == (False, 2)
        monkeypatch.setattr(
            doctor_kubeflow,
            "may_create_runs",
            lambda namespace: doctor_checks.Finding("Kubeflow runs", False, namespace, "a role", 2),
        )
        finding = one(doctor_kubeflow.kubeflow(settings(fake.url, "ann"), {}, lambda seconds: None), "Kubeflow runs")
        assert finding.detail == "ann"


class Reviewer(FakeKubernetes):
    """A Kubernetes API that allows one verb in one namespace."""

    def _do(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        assert (method, path) == ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        attributes = body["spec"]["resourceAttributes"]
        wanted = {"group": "pipelines.kubeflow.org", "resource": "runs", "verb": "create", "namespace": "ann"}
        return 201, {**body, "status": {"allowed": attributes == wanted}}


def test_kubernetes_is_asked_whether_runs_may_be_created(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from kubernetes import client

    before = client.Configuration.get_default_copy()
    with Reviewer() as cluster:
        configuration = client.Configuration()
        configuration.host = cluster.url
        client.Configuration.set_default(configuration)
        monkeypatch.setattr(doctor_kubeflow, "_load_cluster", lambda config: None)
        try:
            allowed, denied = (doctor_kubeflow.may_create_runs(name) for name in ("ann", "bob"))
        finally:
            client.Configuration.set_default(before)
    assert allowed.ok
    assert (denied.ok, denied.code) == (False, 2)
    assert "multi-user" in denied.remedy


def test_without_a_cluster_permission_is_unknown_and_nothing_is_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    finding = doctor_kubeflow.may_create_runs("ann")
    assert "unknown without access to Kubernetes" in finding.detail
    assert capsys.readouterr().out == ""


def test_a_missing_gpu_is_a_problem_if_one_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_checks, "LIST_GPUS", "print('[\"2.21.0\", []]')")
    assert one(doctor_checks.gpu(needed=False, environment=os.environ), "GPU").ok is not Path("/dev/nvidiactl").exists()
    finding = one(doctor_checks.gpu(needed=True, environment=os.environ), "GPU")
    assert (finding.ok, finding.code) == (False, 2)
    assert "GPU variant" in finding.remedy


def test_a_tensorflow_that_cannot_be_imported_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_checks, "LIST_GPUS", "raise ImportError('libcudart.so.12 is missing')")
    finding = one(doctor_checks.gpu(needed=False, environment=os.environ), "TensorFlow")
    assert (finding.ok, finding.code) == (False, 2)
    assert "libcudart" in finding.detail


def test_pipelines_with_the_image_of_another_version_are_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert one(doctor_checks.images({}), "task image").ok
    monkeypatch.setattr("components.image.IMAGE", "ghcr.io/pix2pix-pipelines/pix2pix-python:9.9.9")
    finding = one(doctor_checks.images({"PIX2PIX_IMAGE": "x:1"}), "task image")
    assert (finding.ok, finding.remedy) == (False, "pix2pix compile")
    assert one(doctor_checks.images({"PIX2PIX_IMAGE": "x:1"}), "this image").detail == "x:1"


def test_services_of_notifications_are_checked_without_a_message_and_without_their_secrets() -> None:
    def found(**settings: str) -> doctor_checks.Finding:
        (finding,) = notifications(Configuration(notify=NotifySettings(**settings)))
        return finding

    assert found().ok and "notify.urls is not set" in found().detail
    wrong = found(urls="planted-secret")
    assert not wrong.ok and "entry 1" in wrong.detail and "planted" not in str(wrong)
