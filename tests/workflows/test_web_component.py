"""The manifests of the components that no overlay includes: the web application, notifications."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from test_deploy import KUBERNETES, KUSTOMIZE, violations

from cli.system.web import web
from web.configuration import check_exposure, parse_listen
from workflows.settings.configuration import variables


def objects() -> dict[str, dict[str, Any]]:
    """Return kind -> object."""
    text = Path(KUSTOMIZE / "components" / "web" / "web.yaml").read_text()
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_valid(version: str) -> None:
    assert sorted(objects()) == ["Deployment", "NetworkPolicy", "Service"]
    for document in objects().values():
        assert kubernetes_validate.validate(document, version, strict=True) == version


def test_its_pod_passes_the_restricted_policy_and_gets_no_token_of_the_cluster() -> None:
    spec = objects()["Deployment"]["spec"]["template"]["spec"]
    assert violations(spec) == [] and spec["automountServiceAccountToken"] is False
    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_it_is_started_read_only_and_with_a_token() -> None:
    program, subcommand, *arguments = objects()["Deployment"]["spec"]["template"]["spec"]["containers"][0]["command"]
    options = web.make_context("web", arguments).params
    assert (program, subcommand, options["read_only"]) == ("pix2pix", "web", True)
    host, port = parse_listen(options["listen"])
    check_exposure(host, "the content of the file" if options["token_file"] else None)
    assert port == objects()["NetworkPolicy"]["spec"]["ingress"][0]["ports"][0]["port"]


def test_the_component_for_notifications_takes_the_urls_from_a_secret_and_is_valid() -> None:
    folder = KUSTOMIZE / "components" / "notifications"
    policy = yaml.safe_load((folder / "network-policy.yaml").read_text())
    assert kubernetes_validate.validate(policy, KUBERNETES[-1], strict=True) == KUBERNETES[-1]
    (patch,) = yaml.safe_load((folder / "kustomization.yaml").read_text())["patches"]
    ((operation),) = yaml.safe_load(patch["patch"])
    assert operation["value"]["name"] in variables()
    assert operation["value"]["valueFrom"]["secretKeyRef"] == {"name": "pix2pix-notify", "key": "urls"}
