"""The checks of `pix2pix doctor` for Kubeflow: does it answer, is it new enough, may runs be created."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cli.failures import AWAY
from cli.system.doctor_checks import Finding, failed, passed

if TYPE_CHECKING:
    from workflows.runners.kubeflow_api import Api
    from workflows.settings.configuration import Configuration

OLDEST_KUBEFLOW = (2, 15)
"""The first release whose API and driver support everything that the pipelines use."""


def kubeflow(
    configuration: Configuration, environment: Mapping[str, str], pause: Callable[[float], None]
) -> Iterator[Finding]:
    """Check that Kubeflow Pipelines answers, its version, and whether runs may be listed and created."""
    chosen = configuration.kubeflow
    configured = configuration.runner == "kubeflow" or chosen.endpoint or environment.get("KF_PIPELINES_ENDPOINT")
    if not configured:
        yield passed("Kubeflow", "not configured: pipelines run on this machine")
        return
    from workflows.errors import RunnerUnreachableError
    from workflows.runners.kubeflow_api import Access, Api, RefusedError

    api = Api(Access(chosen.endpoint, chosen.namespace, chosen.token_file, chosen.cookies, chosen.timeout), pause)
    try:
        yield from _kubeflow(api, chosen.namespace)
    except RunnerUnreachableError as error:
        yield failed("Kubeflow", str(error), "see docs/kubeflow.md, section Troubles", AWAY)
    except RefusedError as error:
        yield failed("Kubeflow", str(error), "see docs/kubeflow.md, section Troubles")


def _kubeflow(api: Api, namespace: str) -> Iterator[Finding]:
    client = api.client
    multi_user = bool(api.ask("healthz", "healthz_service_get_healthz").multi_user)
    tag = _kubeflow_tag(client)
    mode = f"multi-user, namespace {namespace or 'not given'}" if multi_user else "single-user"
    detail = f"{client._existing_config.host} answers, version {tag or 'unknown'}, {mode}"
    number = re.match(r"v?(\d+)\.(\d+)", tag)
    if number and (int(number[1]), int(number[2])) < OLDEST_KUBEFLOW:
        yield failed("Kubeflow", detail, "upgrade Kubeflow Pipelines to 2.15 or newer, preferably 2.17")
        return
    yield passed("Kubeflow", detail)
    if multi_user and not namespace:
        yield failed(
            "Kubeflow runs",
            "no namespace is configured, and this Kubeflow is multi-user",
            "set namespace in [kubeflow], or PIX2PIX_TRIGGER_KUBEFLOW_NAMESPACE",
        )
        return
    api.ask("experiment", "experiment_service_list_experiments", page_size=1, namespace=namespace)
    if not multi_user:
        yield passed("Kubeflow runs", "may be listed and created: Kubeflow is single-user")
        return
    yield may_create_runs(namespace)


def may_create_runs(namespace: str) -> Finding:
    """Ask Kubernetes, as Kubeflow would, by a SelfSubjectAccessReview, whether this user may create runs."""
    from kubernetes import client, config

    check = "Kubeflow runs"
    try:
        _load_cluster(config)
        review = client.AuthorizationV1Api().create_self_subject_access_review(
            client.V1SelfSubjectAccessReview(
                spec=client.V1SelfSubjectAccessReviewSpec(
                    resource_attributes=client.V1ResourceAttributes(
                        namespace=namespace, group="pipelines.kubeflow.org", resource="runs", verb="create"
                    )
                )
            ),
            _request_timeout=10,
        )
    except config.ConfigException:
        return passed(
            check, f"may be listed in {namespace}; whether they may be created is unknown without access to Kubernetes"
        )
    except Exception as error:  # noqa: BLE001 - urllib3 and the client raise many types, all meaning no answer
        problem = " ".join(str(error).split())[:200]
        return failed(
            check, f"Kubernetes did not answer whether they may be created: {problem}", "check KUBECONFIG", AWAY
        )
    if review.status.allowed:
        return passed(check, f"may be listed and created in {namespace}")
    return failed(
        check,
        f"may not be created in {namespace}: {review.status.reason or 'no role allows it'}",
        "apply the overlay deploy/kustomize/overlays/multi-user, or ask the namespace's owner for kubeflow-edit",
    )


def _load_cluster(config: Any) -> None:
    """Load the credentials of the pod's service account, else kubectl's.

    `kubernetes.config.load_config` does the same but prints to standard output.
    """
    try:
        config.load_incluster_config()
    except config.ConfigException:
        config.load_kube_config()


def _kubeflow_tag(client: Any) -> str:
    """Return the release of the API server, or empty if it does not report one."""
    # healthz of the v2 API has no version. Seen on 2.17: the handler of v1beta1 still exists and reports it.
    with suppress(Exception):
        answer = client._healthz_api.api_client.rest_client.GET(
            f"{client._existing_config.host.rstrip('/')}/apis/v1beta1/healthz", _request_timeout=10
        )
        tag = json.loads(answer.data).get("tag_name", "")
        return tag if isinstance(tag, str) else ""
    return ""
