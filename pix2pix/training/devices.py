"""Chooses the devices, the precision and the compilation of a training."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from pix2pix.errors import HyperparameterError
from pix2pix.hyperparameters import TrainParameters


@dataclass(frozen=True)
class Devices:
    """The devices of a training.

    Attributes:
        strategy: a `tf.distribute.Strategy`.
        replicas: copies of the networks that share a batch, over all machines.
        workers: number of machines.
        chief: whether this process writes the results.
        dtype: name of the dtype of activations.
        compiled: whether XLA compiles the step.
        matrix: whether deep layers are computed as matrix products (see `pix2pix.model.convolutions`).
    """

    strategy: Any
    replicas: int
    workers: int
    chief: bool
    dtype: str
    compiled: bool
    matrix: bool


def choose(parameters: TrainParameters) -> Devices:
    """Choose the devices for a training.

    Raises:
        HyperparameterError: `batch_size` cannot be shared evenly, or `devices` is ``multi_worker`` without TF_CONFIG.
    """
    # Physical devices, since listing the logical ones initializes TensorFlow, after which MultiWorkerMirroredStrategy
    # can no longer be created.
    gpus = tf.config.list_physical_devices("GPU")
    cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
    workers = sum(len(hosts) for job, hosts in cluster.items() if job in ("chief", "worker"))
    kind = parameters.devices
    if kind == "auto":
        kind = "multi_worker" if workers > 1 else "mirrored" if len(gpus) > 1 else "one"
    if kind == "multi_worker" and not workers:
        raise HyperparameterError(
            "devices = 'multi_worker' needs the environment variable TF_CONFIG, which names the workers"
        )
    chief = True
    if kind == "multi_worker":
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        resolver = strategy.cluster_resolver
        chief = resolver.task_type == "chief" or ("chief" not in cluster and resolver.task_id == 0)
    elif kind == "mirrored":
        strategy = tf.distribute.MirroredStrategy(_logical_names())
    else:
        strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync
    if parameters.batch_size % replicas:
        raise HyperparameterError(
            f"batch_size = {parameters.batch_size} cannot be shared by {replicas} devices;"
            f" allowed: {replicas}, {2 * replicas}, {3 * replicas} and so on"
        )
    return Devices(
        strategy=strategy,
        replicas=replicas,
        workers=workers if kind == "multi_worker" else 1,
        chief=chief,
        dtype=_dtype(parameters.precision, gpus),
        compiled=parameters.xla == "on" or (parameters.xla == "auto" and bool(gpus) and replicas == 1),
        matrix=not gpus,
    )


def _logical_names() -> list[str]:
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in devices]


def _dtype(precision: str, gpus: list[Any]) -> str:
    if precision != "auto":
        return precision
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    has_bfloat16 = bool(gpus) and all(d.get("compute_capability", (0, 0)) >= (8, 0) for d in details)
    return "bfloat16" if has_bfloat16 else "float32"
