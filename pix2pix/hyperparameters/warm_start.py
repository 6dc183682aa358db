"""Whether the weights of one training fit another, which is to begin with them."""

from __future__ import annotations

from pix2pix.hyperparameters.train import TrainParameters

SHAPE = (
    *("shape", "levels", "direction", "labels", "lab_colorization", "input_channels", "output_channels"),
    *("ngf", "ndf", "discriminator_layers", "condition_discriminator", "norm", "upsampling", "separable_conv"),
)
"""What the networks are and what they translate; equal in both trainings."""

_NAMES = {"shape": "size", "levels": "depth", "input_channels": "in_channels", "output_channels": "out_channels"}
"""Property -> the hyperparameter that determines it."""

OBJECTIVE = ("gan_mode", "gan_weight", "l1_weight")
"""What is learnt; ``warm_start = "auto"`` wants it to be equal, too."""


def misfit(own: TrainParameters, earlier: TrainParameters) -> str:
    """Return why a training cannot begin with the weights of an earlier one, with the values; empty if it can.

    Args:
        own: of the training that begins.
        earlier: of the training that the weights come from.
    """
    differences = _differences(own, earlier, SHAPE)
    if own.gan_weight and not earlier.gan_weight:
        differences.append(f"gan_weight = {own.gan_weight:g} and not 0, so that it has no discriminator")
    if own.held_out > earlier.held_out:
        # The share is a threshold on a hash of the content: with a larger one, some of its training pairs are measured.
        differences.append(
            f"held_out = {own.held_out:g} and not {earlier.held_out:g}, so that pairs that it learnt from are held out"
        )
    return ", ".join(differences)


def changed_objective(own: TrainParameters, earlier: TrainParameters) -> str:
    """Return which hyperparameters change what is learnt, with the values; empty if none does."""
    return ", ".join(_differences(own, earlier, OBJECTIVE))


def _differences(own: TrainParameters, earlier: TrainParameters, names: tuple[str, ...]) -> list[str]:
    return [
        f"{_NAMES.get(name, name)} = {_text(getattr(own, name))} and not {_text(getattr(earlier, name))}"
        for name in names
        if getattr(own, name) != getattr(earlier, name)
    ]


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return " x ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
