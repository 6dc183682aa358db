"""Hyperparameters of the stage train. "The paper" is Isola et al., arXiv 1611.07004."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Self

from msgspec import Meta

from pix2pix.errors import HyperparameterError
from pix2pix.hyperparameters.budget import check_limits
from pix2pix.hyperparameters.section import Section

LARGEST_RATE = 3.2e-3
"""The largest learning rate that was tried: with 16 filters and four pairs a step."""


@dataclass(frozen=True)
class TrainParameters(Section):
    """How a model is trained.

    Attributes:
        preset: ``best`` (what gave the better pictures in equal time; see docs/decisions/011-better-pictures.md) or
            ``paper``, which fixes `upsampling` and `weight_average` as in the paper, and whose `learning_rate` and
            `learning_rate_schedule` are the paper's unless they are given. ``laptop`` is ``best`` with `minutes` = 10.
        minutes: time budget of the training; 0 means none. `size`, `ngf`, `ndf`, `batch_size`, `learning_rate`,
            `learning_rate_schedule`, `evaluation_steps` and `xla`, unless they are given, and `max_steps` are chosen
            from the number and size of the pairs and from the speed of this machine, and are recorded. A retry keeps
            them.
        size: height of the pictures that the networks see, pixels; 32 to 1024, a multiple of 2^depth. Paper: 256.
        width: their width, pixels, likewise; 0 means square.
        depth: levels of the U-Net; 0 means as many as halve `size` and `width` evenly (256 gives 8, as in the paper).
        scale_size: height to which pictures are scaled before a random crop of `size`; equal to `size`: no cropping;
            0 means 286/256 of `size` (the paper's jitter). The width is scaled alike.
        flip: whether pairs are mirrored left-right half of the time.
        labels: whether A is a label map, which is scaled by nearest neighbour so that no new label appears.
        direction: ``AtoB`` (A, the left half, is the input) or ``BtoA``.
        lab_colorization: whether the folder holds single colour pictures and the model learns a, b from L (CIE Lab).
        in_channels: channels into the generator: 3 (RGB) or 1 (luma).
        out_channels: channels out of the generator: 3 (RGB) or 1 (luma).
        ngf: filters of the generator's first layer. Paper: 64.
        ndf: filters of the discriminator's first layer. Paper: 64.
        discriminator_layers: strided layers of the PatchGAN: 1 to 5 see patches of 16, 34, 70, 142, 286 pixels; 0 is
            the 1x1 "pixel" discriminator. Paper: 3.
        condition_discriminator: whether the discriminator sees the input beside the output.
        norm: ``instance`` (statistics of each picture by itself), ``batch`` (of the batch, in training and in
            generation: results then depend on the pictures beside them, unless ``[generate] batch_size = 1``) or
            ``none``.
        dropout: fraction of units dropped in the three innermost decoder blocks. Paper: 0.5.
        upsampling: how the decoder doubles the size: ``transposed`` (paper) or ``resize`` (nearest neighbour, then a
            convolution: fewer checkerboards, Odena et al., Distill 2016, and less sharp after few steps). With
            `separable_conv`, it always resizes.
        separable_conv: depthwise-separable convolutions in the generator: far fewer weights, somewhat less sharp.
        gan_mode: ``vanilla`` (cross entropy, the paper), ``lsgan`` or ``hinge``.
        gan_weight: weight of the adversarial loss; 0 trains no discriminator. Paper: 1.
        l1_weight: weight of the L1 loss; 0 leaves it out. Paper: 100.
        learning_rate: Adam's step; 0 means 8e-4 times the square roots of 64 / `ngf` and of `batch_size`, at most
            3.2e-3: smaller networks and larger batches bear more. Paper: 2e-4.
        learning_rate_schedule: ``constant`` (paper), ``inverse_sqrt`` (constant for 1,000 steps, then falling with the
            square root of the steps so far: the schedule of Karras et al., arXiv 2312.02696, whose averages it goes
            with), ``linear`` (constant for half of the steps, then down to 0) or ``cosine``.
        beta1: Adam's momentum. Paper: 0.5.
        weight_average: width of the average over the steps so far that becomes the resulting generator, as a fraction
            of these steps; 0 (paper) means the last weights. The average has a power-function profile: Karras et al.,
            arXiv 2312.02696, section 3.1.
        batch_size: pairs per step, over all devices. Paper: 1.
        max_steps: total steps, including those before a resumption; 0 means no limit.
        max_epochs: total passes over the training pairs, likewise. Without any limit: 200, as in the paper.
        max_seconds: total seconds in the training loop, likewise. Two runs may reach this limit at different steps.
        warm_start: in the pipelines, whether a training begins with the weights of the model that was made for the
            nearest earlier commit of `training`: ``never``, ``auto`` (where they fit, the losses are the same and at
            least half of the pairs were there) or ``always`` (an error where they do not fit). Adam's moments and the
            steps begin anew. Otherwise, and without such a model, it begins from the seed.
        seed: for weights, order, crops, flips and dropout. Equal seed and pairs give an equal model on one machine.
        deterministic: whether TensorFlow may use only operations that give the same bits every time (costs about 2 %).
        held_out: fraction of the pairs, chosen by content, that are measured and never trained on; near-duplicates
            are on one side.
        log_steps: steps between two lines of metrics.jsonl; losses are checked for being finite as often.
        evaluation_steps: steps between two measurements of the held-out pairs and sample pictures; 0 means a tenth of
            the run (500 where only time limits it).
        keep_best: which weights become the result: ``last``, or those with the best held-out ``l1``, ``psnr``
            or ``ssim``.
        save_seconds: upper bound on the seconds of work that a lost machine costs, where saving a checkpoint to resume
            from takes less than a twentieth of that time. A checkpoint that is cheap to save is saved more often, a
            slower one every twenty times its duration; 0 saves only at the end and when the training is stopped.
        save_steps: steps between two such checkpoints; 0 means no limit in steps.
        keep_checkpoints: number of such checkpoints that are kept.
        cache_megabytes: memory for decoded pictures; beyond it, they are read from disk each time. 0 means half of the
            free memory.
        devices: ``auto``, ``one``, ``mirrored`` (all GPUs of this machine, or all CPU devices) or ``multi_worker``
            (TF_CONFIG lists them). Auto chooses multi_worker if TF_CONFIG is set, mirrored with two or more GPUs.
        precision: ``auto``, ``float32`` or ``bfloat16`` (mixed: weights, statistics and losses stay float32). Auto
            chooses bfloat16 on GPUs that support it.
        xla: ``auto``, ``on`` or ``off``. Auto compiles on one GPU; on a CPU, compilation does not pay off.
    """

    NAME: ClassVar[str] = "train"
    PRESETS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "best": {},
        "paper": {"upsampling": "transposed", "weight_average": 0.0},
        "laptop": {"minutes": 10.0},
    }
    """Preset -> the values that it fixes; the defaults are those of ``best``."""
    PRESET_DEFAULTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {"learning_rate": 2e-4, "learning_rate_schedule": "constant"}
    }
    """Preset -> the values that it has instead of the defaults, and that may be given otherwise."""

    preset: Literal["best", "paper", "laptop"] = "best"
    minutes: Annotated[float, Meta(ge=0.0, le=1e5)] = 0.0
    size: Annotated[int, Meta(ge=32, le=1024)] = 256
    width: Annotated[int, Meta(ge=0, le=1024)] = 0
    depth: Annotated[int, Meta(ge=0, le=10)] = 0
    scale_size: Annotated[int, Meta(ge=0, le=2048)] = 0
    flip: bool = True
    labels: bool = False
    direction: Literal["AtoB", "BtoA"] = "AtoB"
    lab_colorization: bool = False
    in_channels: Literal[1, 3] = 3
    out_channels: Literal[1, 3] = 3
    ngf: Annotated[int, Meta(ge=1, le=512)] = 64
    ndf: Annotated[int, Meta(ge=1, le=512)] = 64
    discriminator_layers: Annotated[int, Meta(ge=0, le=5)] = 3
    condition_discriminator: bool = True
    norm: Literal["instance", "batch", "none"] = "instance"
    dropout: Annotated[float, Meta(ge=0.0, le=0.95)] = 0.5
    upsampling: Literal["resize", "transposed"] = "transposed"
    separable_conv: bool = False
    gan_mode: Literal["vanilla", "lsgan", "hinge"] = "vanilla"
    gan_weight: Annotated[float, Meta(ge=0.0, le=1e6)] = 1.0
    l1_weight: Annotated[float, Meta(ge=0.0, le=1e6)] = 100.0
    learning_rate: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    learning_rate_schedule: Literal["constant", "inverse_sqrt", "linear", "cosine"] = "inverse_sqrt"
    beta1: Annotated[float, Meta(ge=0.0, le=0.999)] = 0.5
    weight_average: Annotated[float, Meta(ge=0.0, le=0.28)] = 0.05
    batch_size: Annotated[int, Meta(ge=1, le=1024)] = 1
    max_steps: Annotated[int, Meta(ge=0, le=10**9)] = 0
    max_epochs: Annotated[int, Meta(ge=0, le=10**6)] = 0
    max_seconds: Annotated[float, Meta(ge=0.0, le=1e8)] = 0.0
    warm_start: Literal["never", "auto", "always"] = "never"
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 1
    deterministic: bool = True
    held_out: Annotated[float, Meta(ge=0.0, le=0.9)] = 0.2
    log_steps: Annotated[int, Meta(ge=1, le=10**6)] = 50
    evaluation_steps: Annotated[int, Meta(ge=0, le=10**9)] = 0
    keep_best: Literal["last", "l1", "psnr", "ssim"] = "last"
    save_seconds: Annotated[float, Meta(ge=0.0, le=1e8)] = 60.0
    save_steps: Annotated[int, Meta(ge=0, le=10**9)] = 0
    keep_checkpoints: Annotated[int, Meta(ge=1, le=100)] = 2
    cache_megabytes: Annotated[int, Meta(ge=0, le=10**7)] = 0
    devices: Literal["auto", "one", "mirrored", "multi_worker"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    xla: Literal["auto", "on", "off"] = "auto"

    @classmethod
    def of(cls, *layers: Mapping[str, object]) -> Self:
        """Lay values over the defaults of their preset; see `Section.of`."""
        given = {name: value for layer in layers for name, value in layer.items()}
        preset = str(cls.convert("preset", given.get("preset", cls.preset)))
        made = super().of(cls.PRESET_DEFAULTS.get(preset, {}), cls.PRESETS[preset], given)
        check_limits(given, made.minutes)
        return made

    @classmethod
    def recorded(cls, values: Mapping[str, object]) -> Self:
        """Read recorded hyperparameters, as of a checkpoint; those that an earlier version lacked are the paper's."""
        return super().of(cls.PRESET_DEFAULTS["paper"], cls.PRESETS["paper"], values)

    def settled(self, chosen: Mapping[str, object]) -> Self:
        """Return the hyperparameters with what their time budget chose; errors as for `of`."""
        values: dict[str, Any] = {name: self.convert(name, value) for name, value in chosen.items()}
        return replace(self, **values)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the pictures that the networks see, pixels."""
        return self.size, self.width or self.size

    @property
    def levels(self) -> int:
        """Levels of the U-Net; a picture that it translates measures a multiple of 2^levels each way."""
        common = math.gcd(*self.shape)
        return self.depth or min(10, (common & -common).bit_length() - 1)

    @property
    def input_channels(self) -> int:
        """Channels into the generator: `in_channels`, or 1 (L) for colorization."""
        return 1 if self.lab_colorization else self.in_channels

    @property
    def output_channels(self) -> int:
        """Channels out of the generator: `out_channels`, or 2 (a, b) for colorization."""
        return 2 if self.lab_colorization else self.out_channels

    @property
    def load_shape(self) -> tuple[int, int]:
        """Height and width to which pictures are scaled before the crop, pixels."""
        height, width = self.shape
        scale = self.scale_size / height if self.scale_size else 286 / 256
        return round(height * scale), round(width * scale)

    @property
    def epochs(self) -> int:
        """Limit on passes over the pairs: `max_epochs`, or 200 if nothing else limits the run; 0 means no limit."""
        return self.max_epochs or (0 if self.max_steps or self.max_seconds else 200)

    @property
    def first_rate(self) -> float:
        """Adam's step at the first step: `learning_rate`, or what suits the number of filters and the batch size."""
        chosen = min(LARGEST_RATE, 8e-4 * math.sqrt(64 / self.ngf * self.batch_size))
        return self.learning_rate or float(f"{chosen:.3g}")

    @property
    def ends_at_zero_rate(self) -> bool:
        """Whether the learning rate falls to 0 at the last step, whose number it then depends on."""
        return self.learning_rate_schedule in ("linear", "cosine")

    def total_steps(self, pairs: int) -> int:
        """Return the step at which training on this many pairs ends; 0 if only time limits it."""
        limits = [self.max_steps, math.ceil(self.epochs * pairs / self.batch_size)]
        return min((limit for limit in limits if limit), default=0)

    def steps_between_evaluations(self, total: int) -> int:
        """Return the steps between two evaluations, for a training of `total` steps; 0 if only time limits it."""
        return self.evaluation_steps or max(1, total // 10 or 500)

    def check_together(self) -> None:
        """Refuse sizes that cannot be halved evenly, and settings that leave nothing to learn or to measure."""
        for name, value in self.PRESETS[self.preset].items():
            if getattr(self, name) != value:
                raise HyperparameterError(
                    f"preset = {self.preset!r} means {name} = {value!r}, and {name} = {getattr(self, name)!r} is given;"
                    " leave one of them out"
                )
        height, width = self.shape
        if not 32 <= width <= 1024:
            raise HyperparameterError(f"width = {width} is out of range; allowed: 32 to 1024, or 0 for square")
        factor = 2**self.levels
        if self.levels < 3 or height % factor or width % factor:
            raise HyperparameterError(
                f"size {height} x {width} cannot be halved {max(self.levels, 3)} times; use powers of two"
                " such as 64, 128, 256, or multiples of 2^depth with a depth of at least 3"
            )
        if self.scale_size and self.scale_size < height:
            raise HyperparameterError(
                f"scale_size = {self.scale_size} is smaller than size; allowed: {height} (no cropping) or more"
            )
        if self.gan_weight == 0 and self.l1_weight == 0:
            raise HyperparameterError("gan_weight and l1_weight are both 0: nothing is left to learn; set one above 0")
        if self.gan_weight and min(height, width) < 3 * 2**self.discriminator_layers:
            raise HyperparameterError(
                f"discriminator_layers = {self.discriminator_layers} needs larger patches than a picture of {height} x"
                f" {width} has; allowed at this size: 0 to {max(0, int(math.log2(min(height, width) / 3)))}"
            )
        if self.ends_at_zero_rate and not self.total_steps(1):
            raise HyperparameterError(
                f"learning_rate_schedule = {self.learning_rate_schedule!r} needs the number of steps;"
                " set max_steps or max_epochs"
            )
        if self.keep_best != "last" and not self.held_out:
            raise HyperparameterError(
                f"keep_best = {self.keep_best!r} needs held-out pairs, and held_out is 0;"
                " set held_out, or keep_best to last"
            )
