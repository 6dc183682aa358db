"""Every number that a person may turn: what it means, its unit, its range, and where its default comes from.

It exists so that a file, a command line, a pipeline and a test all mean the same by the same name, and so that a value
that cannot work is refused before anything is done. "The paper" is Isola et al., arXiv 1611.07004.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pix2pix import toml_text
from pix2pix.errors import HyperparameterError
from pix2pix.reading import ReadOptions
from pix2pix.toml_text import TomlError


def _within(default: float, low: float, high: float) -> Any:
    return field(default=default, metadata={"low": low, "high": high})


def _one_of(default: str, *choices: str) -> Any:
    return field(default=default, metadata={"choices": choices})


@dataclass(frozen=True)
class _Section:
    """One table of the parameters' file; construction refuses what is out of range."""

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            _require(item, getattr(self, item.name))
        self._require_together()

    def _require_together(self) -> None:
        """Refuse values that are right alone and wrong together."""


@dataclass(frozen=True)
class TrainParameters(_Section):
    """How a model is trained.

    Attributes:
        size: height of the pictures that the networks see, pixels; 32 to 1024, a multiple of 2^depth. Paper: 256.
        width: their width, pixels, likewise; 0 means square.
        depth: levels of the U-Net; 0 means as many as halve `size` and `width` evenly (256 gives 8, as in the paper).
        scale_size: height to which pictures are scaled before a random crop of `size`; equal to `size`: no cropping;
            0 means 286/256 of `size` (the paper's jitter). The width is scaled alike.
        flip: whether pairs are mirrored left-right half of the time.
        labels: whether A is a label map, which is scaled by nearest neighbour so that no new label is made up.
        direction: ``AtoB`` (A, the left half, is the input) or ``BtoA``.
        lab_colorization: whether the folder holds single colour pictures and the model learns a, b from L (CIE Lab).
        in_channels: 3 (RGB) or 1 (luma) into the generator.
        out_channels: 3 (RGB) or 1 (luma) out of the generator.
        ngf: filters of the generator's first layer. Paper: 64.
        ndf: filters of the discriminator's first layer. Paper: 64.
        discriminator_layers: strided layers of the PatchGAN: 1 to 5 see patches of 16, 34, 70, 142, 286 pixels; 0 is
            the 1x1 "pixel" discriminator. Paper: 3.
        condition_discriminator: whether the discriminator sees the input beside the output.
        norm: ``instance`` (statistics of each picture by itself), ``batch`` (of the batch, in training) or ``none``.
        dropout: share of units dropped in the three innermost decoder blocks. Paper: 0.5.
        separable_conv: depthwise-separable convolutions in the generator: far fewer weights, somewhat less sharp.
        gan_mode: ``vanilla`` (cross entropy, the paper), ``lsgan`` or ``hinge``.
        gan_weight: weight of the adversarial loss; 0 leaves the discriminator out altogether. Paper: 1.
        l1_weight: weight of the L1 loss; 0 leaves it out. Paper: 100.
        learning_rate: Adam's step. Paper: 2e-4.
        learning_rate_schedule: ``constant`` (paper), ``linear`` (constant for half of the steps, then down to 0) or
            ``cosine``.
        beta1: Adam's momentum. Paper: 0.5.
        batch_size: pairs a step, over all devices. Paper: 1.
        max_steps: total steps, those before a resumption counted in; 0 means no such limit.
        max_epochs: total passes over the training pairs, likewise. With no limit at all: 200, as in the paper.
        max_seconds: total seconds in the training loop, likewise. Two runs may meet this limit at different steps.
        seed: of weights, order, crops, flips and dropout. Equal seed and pairs give an equal model on the same machine.
        deterministic: whether TensorFlow may use only operations that give the same bits every time (costs about 2 %).
        held_out: share of the pairs, chosen by content, that are measured and never trained on.
        log_steps: steps between two lines of metrics.jsonl; also how often losses are checked for being finite.
        evaluation_steps: steps between two measurements of the held-out pairs and sample pictures; 0 means a tenth of
            the run (500 where only time limits it).
        keep_best: which weights become the result: ``last``, or those with the best held-out ``l1``, ``psnr``
            or ``ssim``.
        save_seconds: most seconds of work that a lost machine costs, where saving a checkpoint to resume from takes
            less than a twentieth of it. One that is cheap is saved more often, a slower one every twenty times its
            duration; 0 means none but at the end and when stopped.
        save_steps: steps between two such checkpoints; 0 means no such rule.
        keep_checkpoints: how many of them are kept.
        cache_megabytes: memory that decoded pictures may take before they are read from disk each time; 0 means half of
            what is free.
        devices: ``auto``, ``one``, ``mirrored`` (all GPUs of this machine, or all CPU devices) or ``multi_worker``
            (TF_CONFIG says who). Auto takes multi_worker with TF_CONFIG, mirrored with two GPUs or more.
        precision: ``auto``, ``float32`` or ``bfloat16`` (mixed: weights, statistics and losses stay float32). Auto
            takes bfloat16 on GPUs that have it.
        xla: ``auto``, ``on`` or ``off``. Auto compiles on one GPU; on a CPU compilation does not pay.
    """

    size: int = _within(256, 32, 1024)
    width: int = _within(0, 0, 1024)
    depth: int = _within(0, 0, 10)
    scale_size: int = _within(0, 0, 2048)
    flip: bool = True
    labels: bool = False
    direction: str = _one_of("AtoB", "AtoB", "BtoA")
    lab_colorization: bool = False
    in_channels: int = _within(3, 1, 3)
    out_channels: int = _within(3, 1, 3)
    ngf: int = _within(64, 1, 512)
    ndf: int = _within(64, 1, 512)
    discriminator_layers: int = _within(3, 0, 5)
    condition_discriminator: bool = True
    norm: str = _one_of("instance", "instance", "batch", "none")
    dropout: float = _within(0.5, 0.0, 0.95)
    separable_conv: bool = False
    gan_mode: str = _one_of("vanilla", "vanilla", "lsgan", "hinge")
    gan_weight: float = _within(1.0, 0.0, 1e6)
    l1_weight: float = _within(100.0, 0.0, 1e6)
    learning_rate: float = _within(2e-4, 1e-8, 1.0)
    learning_rate_schedule: str = _one_of("constant", "constant", "linear", "cosine")
    beta1: float = _within(0.5, 0.0, 0.999)
    batch_size: int = _within(1, 1, 1024)
    max_steps: int = _within(0, 0, 10**9)
    max_epochs: int = _within(0, 0, 10**6)
    max_seconds: float = _within(0.0, 0.0, 1e8)
    seed: int = _within(1, 0, 2**31 - 1)
    deterministic: bool = True
    held_out: float = _within(0.2, 0.0, 0.9)
    log_steps: int = _within(50, 1, 10**6)
    evaluation_steps: int = _within(0, 0, 10**9)
    keep_best: str = _one_of("last", "last", "l1", "psnr", "ssim")
    save_seconds: float = _within(60.0, 0.0, 1e8)
    save_steps: int = _within(0, 0, 10**9)
    keep_checkpoints: int = _within(2, 1, 100)
    cache_megabytes: int = _within(0, 0, 10**7)
    devices: str = _one_of("auto", "auto", "one", "mirrored", "multi_worker")
    precision: str = _one_of("auto", "auto", "float32", "bfloat16")
    xla: str = _one_of("auto", "auto", "on", "off")

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
        """The limit on passes over the pairs: `max_epochs`, or 200 where nothing else limits the run; 0 means none."""
        return self.max_epochs or (0 if self.max_steps or self.max_seconds else 200)

    def total_steps(self, pairs: int) -> int:
        """The step at which training over this many pairs ends; 0 where only time limits it."""
        limits = [self.max_steps, math.ceil(self.epochs * pairs / self.batch_size)]
        return min((limit for limit in limits if limit), default=0)

    def steps_between_evaluations(self, total: int) -> int:
        """How often held-out pairs are measured in a training of so many steps; 0 where only time limits it."""
        return self.evaluation_steps or max(1, total // 10 or 500)

    def _require_together(self) -> None:
        height, width = self.shape
        if not 32 <= width <= 1024:
            raise HyperparameterError(f"width = {width} is out of range; allowed: 32 to 1024, or 0 for square")
        factor = 2**self.levels
        if self.levels < 3 or height % factor or width % factor:
            raise HyperparameterError(
                f"size {height} x {width} cannot be halved {max(self.levels, 3)} times; take powers of two"
                " such as 64, 128, 256, or multiples of 2^depth with a depth of at least 3"
            )
        if self.scale_size and self.scale_size < height:
            raise HyperparameterError(
                f"scale_size = {self.scale_size} is smaller than size; allowed: {height} (no cropping) and more"
            )
        for name in ("in_channels", "out_channels"):
            if getattr(self, name) == 2:
                raise HyperparameterError(f"{name} = 2 cannot be used; allowed: 1 (gray) or 3 (RGB)")
        if self.gan_weight == 0 and self.l1_weight == 0:
            raise HyperparameterError("gan_weight and l1_weight are both 0: nothing is left to learn; set one above 0")
        if self.gan_weight and min(height, width) < 3 * 2**self.discriminator_layers:
            raise HyperparameterError(
                f"discriminator_layers = {self.discriminator_layers} leaves no patch of a picture of {height} x"
                f" {width}; allowed at this size: 0 to {max(0, int(math.log2(min(height, width) / 3)))}"
            )
        if self.learning_rate_schedule != "constant" and not self.total_steps(1):
            raise HyperparameterError(
                f"learning_rate_schedule = {self.learning_rate_schedule!r} needs to know the end;"
                " set max_steps or max_epochs"
            )
        if self.keep_best != "last" and not self.held_out:
            raise HyperparameterError(
                f"keep_best = {self.keep_best!r} measures held-out pairs, and held_out is 0;"
                " set held_out, or keep_best to last"
            )


@dataclass(frozen=True)
class ExportParameters(_Section):
    """How a checkpoint becomes a model to serve.

    Attributes:
        weights: ``float32``, or ``float16``: half the size on disk; computation stays float32.
        dropout: whether dropout stays on, as the paper does at test time. The mask is fixed, so that one picture always
            gives one result.
        filetype: ``png`` or ``jpeg`` of the signatures that return encoded pictures.
        tflite: ``none``, or also a TensorFlow Lite file for one picture of the training size with ``float32``,
            ``float16`` or ``int8`` weights.
        version: name of the model's folder, as TensorFlow Serving wants it.
    """

    weights: str = _one_of("float32", "float32", "float16")
    dropout: bool = False
    filetype: str = _one_of("png", "png", "jpeg")
    tflite: str = _one_of("none", "none", "float32", "float16", "int8")
    version: int = _within(1, 1, 2**31 - 1)


@dataclass(frozen=True)
class ResizeParameters(_Section):
    """How pictures of any kind are brought to what the model takes.

    Attributes:
        size: height and width of the result, pixels; 8 to 4096. The paper's pictures: 256.
        fit: ``crop`` (the centre square) or ``pad`` (the whole picture on a black square).
        exact: whether JPEGs are decoded in full; off, those at least twice as large are decoded at half or less, which
            is about 1.5 times as fast and differs by less than one gray level on average.
        labels: whether pictures are label maps: nearest neighbour, never a label made up.
        frames: what happens to GIFs, animated PNGs and WebPs, and TIFFs of several pages: ``reject``, or ``first``
            takes the first frame or page.
        range: two numbers, the values that are black and white in grey TIFFs of floats, 32-bit integers or signed
            integers; values outside are clipped. Empty: 32-bit integers keep their 8 highest bits, floats are taken as
            0 to 1, 0 to 255 or 0 to 65535, and other pictures are rejected.
    """

    size: int = _within(256, 8, 4096)
    fit: str = _one_of("crop", "crop", "pad")
    exact: bool = False
    labels: bool = False
    frames: str = _one_of("reject", "reject", "first")
    range: tuple[float, ...] = ()

    @property
    def reading(self) -> ReadOptions:
        """How ambiguous pictures are read."""
        return ReadOptions(self.frames, (self.range[0], self.range[1]) if self.range else None)


@dataclass(frozen=True)
class GenerateParameters(_Section):
    """How pictures are translated.

    Attributes:
        batch_size: pictures that go through the network at once; it changes the speed, and single values by one level
            at most. With 1, equal pictures give equal bytes on one machine, whatever lies beside them.
        size: height and width to which pictures are scaled first, pixels, a multiple of the model's 2^depth; 0 means
            each at its own size, padded to such a multiple and cropped back.
        aspect_ratio: width / height factor by which the result is stretched, for models trained on squashed pictures.
        workers: threads that decode and encode; 0 means one per core.
    """

    batch_size: int = _within(8, 1, 256)
    size: int = _within(0, 0, 4096)
    aspect_ratio: float = _within(1.0, 0.1, 10.0)
    workers: int = _within(0, 0, 256)


@dataclass(frozen=True)
class Hyperparameters:
    """The four sections together, as in ``/pix2pix.toml``."""

    train: TrainParameters = field(default_factory=lambda: TrainParameters())
    export: ExportParameters = field(default_factory=lambda: ExportParameters())
    resize: ResizeParameters = field(default_factory=lambda: ResizeParameters())
    generate: GenerateParameters = field(default_factory=lambda: GenerateParameters())


SECTIONS: dict[str, type[_Section]] = {
    "train": TrainParameters,
    "export": ExportParameters,
    "resize": ResizeParameters,
    "generate": GenerateParameters,
}
"""Name of a section -> its dataclass."""


def resolve(section: str, *layers: Mapping[str, object]) -> Any:
    """Lay values over the defaults.

    Args:
        section: ``train``, ``export``, ``resize`` or ``generate``.
        layers: names and values; later layers win.

    Returns:
        the section's dataclass.

    Raises:
        HyperparameterError: an unknown section or name, a value of another type or out of range; the text lists what
            is allowed.
    """
    kind = _known("section", section, SECTIONS)
    values: dict[str, object] = {}
    names = {item.name: item for item in dataclasses.fields(kind)}
    for layer in layers:
        for name, value in layer.items():
            item = _known(f"hyperparameter of [{section}]", name, names)
            values[name] = _as_declared(item, value)
    return kind(**values)


def check_value(section: str, name: str, value: object) -> None:
    """Refuse an unknown name or a value of another type or out of range.

    Raises:
        HyperparameterError: see `resolve`.
    """
    names = {item.name: item for item in dataclasses.fields(_known("section", section, SECTIONS))}
    _require(_known(f"hyperparameter of [{section}]", name, names), value)


def parse(text: str, source: str, besides: Collection[str] = ()) -> dict[str, dict[str, object]]:
    """Read the text of a parameters' file: TOML with the tables [train], [export], [resize], [generate].

    Args:
        text: the file's content.
        source: what to call the file in an error.
        besides: sections and names (``section.name``) that the file may have for others; they are left out.

    Returns:
        section -> names and values, checked as far as one file can be.

    Raises:
        HyperparameterError: no TOML, an unknown section or name, a value out of range.
    """
    try:
        tables = toml_text.parse(text)
    except TomlError as error:
        raise HyperparameterError(f"{source} is not TOML: {error}") from error
    for section, values in [*tables.items()]:
        if isinstance(values, dict):
            tables[section] = {name: value for name, value in values.items() if f"{section}.{name}" not in besides}
            if section in besides:
                del tables[section]
    for section, values in tables.items():
        place = toml_text.place(text, section)
        try:
            if section not in SECTIONS and not isinstance(values, dict):
                raise HyperparameterError(  # noqa: TRY301 - named like the others, with the file
                    f"{section} stands outside a section; put it under one of [{'], ['.join(SECTIONS)}]"
                )
            _known("section", section, SECTIONS)
            if not isinstance(values, dict):
                raise HyperparameterError(f"{section} is no section; write [{section}] and its values below")  # noqa: TRY301
            for name, value in values.items():
                place = toml_text.place(text, section, name)
                check_value(section, name, value)
        except HyperparameterError as error:
            raise HyperparameterError(f"{source}: {place}{error}") from error
    return tables


def parse_assignments(assignments: Sequence[str]) -> dict[str, object]:
    """Read ``NAME=VALUE`` texts; a value is read as TOML (``600``, ``1e-3``, ``false``), else taken as it stands.

    Raises:
        HyperparameterError: a text without ``=``.
    """
    values: dict[str, object] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise HyperparameterError(f"{assignment!r} is no NAME=VALUE, for example max_steps=600")
        try:
            values[name.strip()] = tomllib.loads(f"value = {value}")["value"]
        except (ValueError, RecursionError):
            values[name.strip()] = value.strip()
    return values


def _known(what: str, name: str, allowed: Mapping[str, Any]) -> Any:
    if name not in allowed:
        near = difflib.get_close_matches(name, allowed, n=1)
        guess = f" (did you mean {near[0]}?)" if near else ""
        raise HyperparameterError(f"unknown {what}: {name}{guess}; allowed: {', '.join(allowed)}")
    return allowed[name]


def _as_declared(item: dataclasses.Field[Any], value: object) -> object:
    """Bring a value to the type of its parameter where TOML or JSON knows only a like one."""
    if item.type == "float" and type(value) is int:
        return float(value)
    if item.type == _RANGE and isinstance(value, list):
        return tuple(float(part) if type(part) is int else part for part in value)
    return value


def _is_range(value: object) -> bool:
    """Whether a value is empty or two finite numbers, the lower first."""
    if not isinstance(value, (list, tuple)):
        return False
    if any(isinstance(part, bool) or not isinstance(part, (int, float)) or not math.isfinite(part) for part in value):
        return False
    return not value or (len(value) == 2 and value[0] < value[1])


_RANGE = "tuple[float, ...]"
"""How the type of a range of values is written."""


def _require(item: dataclasses.Field[Any], value: object) -> None:
    choices = item.metadata.get("choices", ())
    low, high = item.metadata.get("low", 0), item.metadata.get("high", 0)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits, wanted = {
        "str": (value in choices, f"one of {', '.join(choices)}"),
        "bool": (isinstance(value, bool), "true or false"),
        "int": (isinstance(value, int) and number and low <= value <= high, f"a whole number from {low} to {high}"),
        _RANGE: (_is_range(value), "[low, high] with low below high, or []"),
        "float": (number and low <= value <= high, f"a number from {low} to {high}"),
    }[str(item.type)]
    if not fits:
        shown = str(value).lower() if isinstance(value, bool) else repr(value)
        raise HyperparameterError(f"{item.name} = {shown} cannot be used; allowed: {wanted}")
