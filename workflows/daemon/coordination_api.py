"""Access to the Kubernetes API that holds Leases."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from workflows.daemon.kubernetes_lease import LeaseSettings
from workflows.errors import RunInputError, RunnerUnreachableError

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def coordination_api(settings: LeaseSettings) -> tuple[Any, LeaseSettings]:
    """Return the cluster's API, in a pod or by kubectl's configuration, and the settings with their namespace.

    Raises:
        RunInputError: no namespace was given outside a pod.
        RunnerUnreachableError: no cluster is configured.
    """
    import yaml
    from kubernetes import client, config

    try:
        config.load_incluster_config()
    except config.ConfigException:
        try:
            config.load_kube_config()
        except (config.ConfigException, yaml.YAMLError, ValueError, OSError) as error:
            raise RunnerUnreachableError(
                f"the lease needs a Kubernetes cluster, and none is configured: {error}; "
                f'set KUBECONFIG, or name = "" in [lease] to run without a lease'
            ) from error
    namespace = settings.namespace
    if not namespace:
        if not _NAMESPACE_FILE.exists():
            raise RunInputError("[lease] namespace is required outside a pod")
        namespace = _NAMESPACE_FILE.read_text().strip()
    cluster = client.Configuration.get_default_copy()
    # urllib3 would retry a failed connection three times, beyond the time limit.
    cluster.retries = False
    return client.CoordinationV1Api(client.ApiClient(cluster)), dataclasses.replace(settings, namespace=namespace)
