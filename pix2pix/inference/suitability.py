"""Warnings about pictures of another size or kind than those that a model was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pix2pix.hyperparameters import TrainParameters
from pix2pix.images.codec import Pixels
from pix2pix.inference.saved_model import OPTIONS, find_version, read_description
from pix2pix.model.look import InputLook, differing, look_of, measure_look, summarize

MEASURED = 200
"""Pictures of one folder whose look is measured; a few decide as well as all."""

SCALED_LABELS = (
    "The model was trained on label maps, and the pictures were scaled like photographs, which invents labels."
    " Set [resize] labels = true"
)


@dataclass(frozen=True)
class ModelInputs:
    """What a model was trained on.

    Attributes:
        trained: the hyperparameters of its training.
        look: statistics of its inputs; None for a model that does not state them.
    """

    trained: TrainParameters
    look: InputLook | None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> ModelInputs:
        """Read them from the content of a model's ``assets.extra/pix2pix.json``.

        Raises:
            HyperparameterError: the model was trained by another version.
        """
        return cls(TrainParameters.recorded(options["train"]), look_of(options.get("inputs")))

    @classmethod
    def of_description(cls, content: bytes, name: str) -> ModelInputs:
        """Read them from the bytes of a model's ``assets.extra/pix2pix.json``.

        Args:
            content: the bytes.
            name: of the model, for errors.

        Raises:
            InputError: they describe no model, or one that another version trained.
        """
        return cls.of(read_description(content, name))

    @classmethod
    def of_model(cls, model: Path) -> ModelInputs:
        """Read them from the folder of an exported model.

        Raises:
            InputError: the folder holds no model, or one that is damaged or was trained by another version.
        """
        folder = find_version(model)
        return cls.of_description((folder / OPTIONS).read_bytes(), str(folder))

    @property
    def labels(self) -> bool:
        """Whether they are label maps: of a pair, only A can be one; colorization has photographs."""
        return self.trained.labels and self.trained.direction == "AtoB" and not self.trained.lab_colorization


@dataclass
class SuitabilityCheck:
    """Compares pictures with a model's inputs; `add` may be called from several threads.

    Attributes:
        inputs: of the model.
        scaled: whether pictures are scaled to the size of the training.
    """

    inputs: ModelInputs
    scaled: bool = True
    _sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    _looks: dict[str, Any] = field(default_factory=dict)

    def add(self, path: str, size: tuple[int, int], seen: Pixels) -> None:
        """Add a picture.

        Args:
            path: its name for the warning.
            size: height and width before scaling, pixels.
            seen: uint8 ``[H, W, 3]``, as the model sees it.
        """
        self._sizes[path] = size
        if self.inputs.look is not None and len(self._looks) < MEASURED:
            self._looks[path] = measure_look(seen, self.inputs.trained.input_channels)

    def warnings(self) -> tuple[str, ...]:
        """Return one sentence per problem, with its remedy."""
        return tuple(text for text in (self._of_size(), self._of_look()) if text)

    def _of_size(self) -> str | None:
        shape = self.inputs.trained.shape
        others = sorted(path for path, size in self._sizes.items() if size != shape)
        if not others or not self.scaled:
            return None
        height, width = self._sizes[others[0]]
        wanted = f"size = {shape[0]}" + (f" and width = {shape[1]}" if shape[0] != shape[1] else "")
        return (
            f"{len(others)} of {len(self._sizes)} pictures are not {shape[1]}x{shape[0]}, the size that the model was"
            f" trained at, and are scaled to it (the first, {others[0]}: {width}x{height}). Set [resize] {wanted}, or"
            f" run pix2pix resize with --size {shape[0]}" + (f" --width {shape[1]}" if shape[0] != shape[1] else "")
        )

    def _of_look(self) -> str | None:
        look = self.inputs.look
        if look is None:
            return None
        unlike = {path: names for path, measured in self._looks.items() if (names := differing(look, measured))}
        if 2 * len(unlike) <= len(self._looks):
            return None
        first = min(unlike)
        found = summarize([self._looks[path] for path in sorted(unlike)])
        figures = ", ".join(
            f"{name} {found.mean[name]:.2f} instead of {look.mean[name]:.2f}" for name in unlike[first][:3]
        )
        return (
            f"{len(unlike)} of {len(self._looks)} pictures look unlike those that the model was trained on (the first,"
            f" {first}; {figures}). {_remedy(look, found)}"
        )


def _remedy(look: InputLook, found: InputLook) -> str:
    """Return what makes inputs for the model out of pictures that look like `found`."""
    by_hand = "pix2pix pairs --operation {0} --only-input or pix2pix resize --operation {0} do so for a folder"
    if look.is_drawing and not found.is_drawing:
        return 'The model takes line drawings. For photographs, set [resize] operation = "edges"; ' + by_hand.format(
            "edges"
        )
    if look.is_gray and not found.is_gray and not look.is_drawing:
        return 'The model takes pictures without colours. Set [resize] operation = "grayscale"; ' + by_hand.format(
            "grayscale"
        )
    return (
        "Give the model pictures of the kind that it was trained on: the A of its pairs, as pix2pix pairs --only-input"
        " makes them"
    )
