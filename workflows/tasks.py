"""Configuration shared by all pipeline tasks: image, Pachyderm's address and token, retries, caching, resources."""

from typing import Any

from kfp import dsl, kubernetes
from kfp.dsl import PipelineTask

from components.image import IMAGE
from components.train.trainjob.manifest import CONNECTION, CONNECTION_KEYS, QUEUE_LABEL

DAY = 24 * 3600

CONFIG = dsl.PipelineConfig(
    active_deadline_seconds=7 * DAY,
    # Kubeflow's default installation sets the last two, and Argo prefers them: only all three together take effect.
    ttl_seconds_after_finished=7 * DAY,
    ttl_seconds_after_success=7 * DAY,
    ttl_seconds_after_failure=7 * DAY,
)
"""Deadline of a run, and retention after its end."""

CONFIG_FILES = "/etc/pachyderm"
"""Mount path of the config map's keys; ``root_certs`` names the file that holds a certificate authority."""

LABELS = {"app.kubernetes.io/name": "pix2pix-task", "app.kubernetes.io/part-of": "pix2pix"}
"""Labels of the pods of tasks."""

BACKOFF_MAX_DURATION = f"{7 * DAY}s"
"""Argo counts the time since the first attempt began, so a shorter limit would prevent the retry of a long training."""


def on_cluster(task: PipelineTask, image: str = IMAGE) -> PipelineTask:
    """Configure a task for a cluster; a local run ignores everything except the environment variable.

    Args:
        task: task of a component.
        image: whole image reference, or the pipeline parameter that holds one. Never an f-string around the parameter:
            the backend would use the parameter's value alone.
    """
    task.set_container_image(image)
    # A cache hit would return ids of commits that another run filled; the cache key ignores secrets and addresses.
    task.set_caching_options(False)
    task.set_env_variable("PYTHONUNBUFFERED", "1")
    # This covers lost pods only: under Kubeflow's default settings a step that exits with an error is not retried. No
    # back-off: Argo waits for it before it decides whether to retry, so each failed step would end 30 s later.
    task.set_retry(num_retries=2, backoff_duration="0s", backoff_factor=2, backoff_max_duration=BACKOFF_MAX_DURATION)
    kubernetes.use_config_map_as_env(
        task,
        config_map_name=CONNECTION,
        config_map_key_to_env=dict(CONNECTION_KEYS),
        optional=True,
    )
    kubernetes.use_config_map_as_volume(task, config_map_name=CONNECTION, mount_path=CONFIG_FILES, optional=True)
    kubernetes.use_secret_as_env(task, secret_name=CONNECTION, secret_key_to_env={"token": "PACH_TOKEN"}, optional=True)
    kubernetes.use_field_path_as_env(task, env_name="KFP_RUN_ID", field_path="metadata.labels['pipeline/runid']")
    # Kubeflow takes labels from no parameter, so the queue is written into the pipeline when it is uploaded or compiled
    # (workflows/runners/queue_label.py); the task hands it on to a TrainJob.
    kubernetes.use_field_path_as_env(task, env_name="PIX2PIX_QUEUE", field_path=f"metadata.labels['{QUEUE_LABEL}']")
    # The network policies in deploy/ select tasks by these labels; without them they would apply to no task.
    for key, value in LABELS.items():
        kubernetes.add_pod_label(task, label_key=key, label_value=value)
    # Kubeflow sets the rest of the Pod Security level "restricted" itself.
    kubernetes.set_security_context(task, run_as_non_root=True)
    return task


def on_gpu(
    task: PipelineTask, gpus: str, gpu_type: str, cpu: str, memory: str, node_selector: Any, tolerations: Any
) -> PipelineTask:
    """Request an accelerator, CPU, memory and a node. Resources are strings, since the backend drops numbers.

    Args:
        task: task of the component that trains.
        gpus: number of GPUs as text; "0" for none.
        gpu_type: resource name of the GPU.
        cpu: CPU request, as a Kubernetes quantity.
        memory: memory request and limit, as a Kubernetes quantity.
        node_selector: labels that the node must have; a pipeline parameter.
        tolerations: tolerations of the pod; a pipeline parameter.
    """
    task.set_accelerator_type(gpu_type).set_accelerator_limit(gpus)
    task.set_cpu_request(cpu).set_memory_request(memory).set_memory_limit(memory)
    kubernetes.add_node_selector_json(task, node_selector)
    kubernetes.add_toleration_json(task, tolerations)
    # /dev/shm is 64 MiB in a pod by default. kfp 2.17 accepts only a constant as its size; without a size, the pod's
    # memory limit applies, against which it counts, so that `memory` governs both.
    kubernetes.empty_dir_mount(task, volume_name="dshm", mount_path="/dev/shm", medium="Memory")
    return task
