"""What every task of our pipelines gets on a cluster: image, Pachyderm's address and token, retries, no caching.

It exists because these are traps, not choices: kfp.md's facts are beside the calls, and the three pipelines share them.
"""

from typing import Any

from kfp import dsl, kubernetes
from kfp.dsl import PipelineTask

from components.image import IMAGE

DAY = 24 * 3600

CONFIG = dsl.PipelineConfig(
    active_deadline_seconds=7 * DAY,
    # Kubeflow's shipped defaults set the last two, and Argo prefers them: only all three together take effect.
    ttl_seconds_after_finished=7 * DAY,
    ttl_seconds_after_success=7 * DAY,
    ttl_seconds_after_failure=7 * DAY,
)
"""Deadline and times to live of a run."""

CONNECTION = "pix2pix-pachyderm"
"""Name of the config map (keys ``address``, ``project``, ``root_certs``) and of the secret (key ``token``), both
optional."""

CONFIG_FILES = "/etc/pachyderm"
"""Where the config map's keys lie as files: ``root_certs`` names the one that holds a certificate authority."""

LABELS = {"app.kubernetes.io/name": "pix2pix-task", "app.kubernetes.io/part-of": "pix2pix"}
"""Labels of the pods in which tasks run."""

LONGEST = f"{7 * DAY}s"
"""Argo counts the whole time since the first attempt's start, so a shorter one would kill a long training's retry."""


def on_cluster(task: PipelineTask, image: str = IMAGE) -> PipelineTask:
    """Prepare a task for a cluster; a local run ignores all of it but the environment variable.

    Args:
        task: of a component.
        image: whole image reference, or the pipeline's parameter that holds one (never an f-string with it: the
            backend would use the parameter's value alone).
    """
    task.set_container_image(image)
    # A hit would return ids of commits that another run filled, and the key leaves secrets and addresses out.
    task.set_caching_options(False)
    task.set_env_variable("PYTHONUNBUFFERED", "1")
    # Helps against lost pods only: under Kubeflow's shipped settings a step that exits with an error is not retried. No
    # back-off, because Argo waits for it before it decides whether to retry: each failed step would end 30 s later.
    task.set_retry(num_retries=2, backoff_duration="0s", backoff_factor=2, backoff_max_duration=LONGEST)
    kubernetes.use_config_map_as_env(
        task,
        config_map_name=CONNECTION,
        config_map_key_to_env={"address": "PACHD_ADDRESS", "project": "PACH_PROJECT", "root_certs": "PACH_ROOT_CERTS"},
        optional=True,
    )
    kubernetes.use_config_map_as_volume(task, config_map_name=CONNECTION, mount_path=CONFIG_FILES, optional=True)
    kubernetes.use_secret_as_env(task, secret_name=CONNECTION, secret_key_to_env={"token": "PACH_TOKEN"}, optional=True)
    kubernetes.use_field_path_as_env(task, env_name="KFP_RUN_ID", field_path="metadata.labels['pipeline/runid']")
    # Network policies of deploy/ select tasks by these; without them they would allow every pod of the namespace.
    for key, value in LABELS.items():
        kubernetes.add_pod_label(task, label_key=key, label_value=value)
    # The rest of the restricted policy is set by Kubeflow itself; this alone is not.
    kubernetes.set_security_context(task, run_as_non_root=True)
    return task


def on_gpu(
    task: PipelineTask, gpus: str, gpu_type: str, cpu: str, memory: str, node_selector: Any, tolerations: Any
) -> PipelineTask:
    """Ask for an accelerator, processors, memory and a place; resources are strings, for the backend drops numbers.

    Args:
        task: of the component that trains.
        gpus: number of GPUs as text; "0" for none.
        gpu_type: resource name of the GPU.
        cpu: processors, as Kubernetes writes them.
        memory: requested and limited to this, as Kubernetes writes it.
        node_selector: labels that the node must have; a parameter of the pipeline.
        tolerations: of the pod; a parameter of the pipeline.
    """
    task.set_accelerator_type(gpu_type).set_accelerator_limit(gpus)
    task.set_cpu_request(cpu).set_memory_request(memory).set_memory_limit(memory)
    kubernetes.add_node_selector_json(task, node_selector)
    kubernetes.add_toleration_json(task, tolerations)
    # /dev/shm is 64 MiB in a pod by default. kfp 2.17 takes a constant alone for its size; without one Kubernetes makes
    # it as large as the pod's memory limit, against which it counts, so that `memory` is what says it.
    kubernetes.empty_dir_mount(task, volume_name="dshm", mount_path="/dev/shm", medium="Memory")
    return task
