"""The hyperparameters of training that are parameters of a pipeline, so that Kubeflow's form has a field for each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pix2pix.hyperparameters import TrainParameters

FROM_FILE = -1
"""Number in a field that leaves the hyperparameter to the parameters file; 0 is a value of several of them."""

UNSET: Mapping[str, object] = MappingProxyType(
    {
        "size": FROM_FILE,
        "max_steps": FROM_FILE,
        "learning_rate": float(FROM_FILE),
        "batch_size": FROM_FILE,
        "ngf": FROM_FILE,
        "l1_weight": float(FROM_FILE),
        "gan_mode": "",
        "warm_start": "",
        "seed": FROM_FILE,
    }
)
"""Hyperparameter of [train] -> the value of its field that leaves it to the parameters file. Neither None nor a
missing default would do: kfp.local fails on None, and Kubeflow's form starts no run while a field has no default."""

SECTION = TrainParameters.NAME
"""The section that the fields belong to."""


def given(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the fields that were filled in.

    Args:
        fields: hyperparameter -> value of its field.
    """
    return {name: value for name, value in fields.items() if value != UNSET[name]}
