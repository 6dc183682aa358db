"""The checks of `pix2pix doctor` that look at Kubeflow: does it answer, is it new enough, does it let us create runs.

It exists apart from the other checks because it speaks with an API server and with Kubernetes, and they do not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cli.failures import AWAY
from cli.system.doctor_checks import Finding, well, wrong

if TYPE_CHECKING:
    from workflows.runners.kubeflow_api import Api
    from workflows.settings.configuration import Configuration

OLDEST_KUBEFLOW = (2, 15)
"""The first Kubeflow Pipelines whose API and driver know everything that our pipelines use."""


def kubeflow(
    configuration: Configuration, environment: Mapping[str, str], pause: Callable[[float], None]
) -> Iterator[Finding]:
    """Which Kubeflow Pipelines answers, and whether it lets us list and create runs."""
    chosen = configuration.kubeflow
    asked = configuration.runner == "kubeflow" or chosen.endpoint or environment.get("KF_PIPELINES_ENDPOINT")
    if not asked:
        yield well("Kubeflow", "none is configured: pipelines run on this machine")
        return
    from workflows.errors import RunnerUnreachableError
    from workflows.runners.kubeflow_api import Access, Api, RefusedError

    api = Api(Access(chosen.endpoint, chosen.namespace, chosen.token_file, chosen.cookies, chosen.timeout), pause)
    try:
        yield from _kubeflow(api, chosen.namespace)
    except RunnerUnreachableError as error:
        yield wrong("Kubeflow", str(error), "see docs/kubeflow.md, section Troubles", AWAY)
    except RefusedError as error:
        yield wrong("Kubeflow", str(error), "see docs/kubeflow.md, section Troubles")


def _kubeflow(api: Api, namespace: str) -> Iterator[Finding]:
    client = api.client
    many = bool(api.ask("healthz", "healthz_service_get_healthz").multi_user)
    tag = _kubeflow_tag(client)
    mode = f"for many users, namespace {namespace or 'not given'}" if many else "for one user"
    said = f"{client._existing_config.host} answers, version {tag or 'unknown'}, {mode}"
    number = re.match(r"v?(\d+)\.(\d+)", tag)
    if number and (int(number[1]), int(number[2])) < OLDEST_KUBEFLOW:
        yield wrong("Kubeflow", said, "upgrade Kubeflow Pipelines to 2.15 or newer, best 2.17")
        return
    yield well("Kubeflow", said)
    if many and not namespace:
        yield wrong(
            "Kubeflow runs",
            "whose runs is not said",
            "set namespace in [kubeflow], or PIX2PIX_TRIGGER_KUBEFLOW_NAMESPACE",
        )
        return
    api.ask("experiment", "experiment_service_list_experiments", page_size=1, namespace=namespace)
    if not many:
        yield well("Kubeflow runs", "may be listed and created: it knows no users")
        return
    yield may_create_runs(namespace)


def may_create_runs(namespace: str) -> Finding:
    """Ask Kubernetes, by a SelfSubjectAccessReview, what Kubeflow would ask it: may I create runs in the namespace."""
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
        return well(check, f"may be listed in {namespace}; no Kubernetes here to ask whether they may be created")
    except Exception as error:  # noqa: BLE001 - urllib3 and the client raise what they like, and all of it means this
        said = " ".join(str(error).split())[:200]
        return wrong(check, f"Kubernetes does not say whether they may be created: {said}", "check KUBECONFIG", AWAY)
    if review.status.allowed:
        return well(check, f"may be listed and created in {namespace}")
    return wrong(
        check,
        f"may not be created in {namespace}: {review.status.reason or 'no role allows it'}",
        "apply the overlay deploy/kustomize/overlays/multi-user, or ask the namespace's owner for kubeflow-edit",
    )


def _load_cluster(config: Any) -> None:
    """In a pod by its service account, else as kubectl does; `load_config` would print on standard output."""
    try:
        config.load_incluster_config()
    except config.ConfigException:
        config.load_kube_config()


def _kubeflow_tag(client: Any) -> str:
    """The release that the API server says it is; empty where it does not say."""
    # The v2 answer has no version; the handler of version 1 is still there in 2.17, and says it.
    with suppress(Exception):
        answer = client._healthz_api.api_client.rest_client.GET(
            f"{client._existing_config.host.rstrip('/')}/apis/v1beta1/healthz", _request_timeout=10
        )
        tag = json.loads(answer.data).get("tag_name", "")
        return tag if isinstance(tag, str) else ""
    return ""
