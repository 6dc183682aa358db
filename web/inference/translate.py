"""Translation of one picture file or one array by the model in use."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from web.errors import NoModelError
from web.inference.batcher import Batcher
from web.inference.model_in_use import LoadedModel, ModelInUse

if TYPE_CHECKING:
    from pix2pix.images.codec import Pixels

LONGEST_SIDE = 2048
"""Pixels; larger pictures are refused, since one of them would stop all others for seconds."""


@dataclass(frozen=True)
class Translation:
    """A translated picture.

    Attributes:
        commit: id of the model's commit.
        pixels: uint8 ``[H, W, 1 or 3]``.
    """

    commit: str
    pixels: Pixels


class TranslationService:
    """Translates for the pages and for programs.

    Args:
        models: the model in use.
        batcher: shared by all requests.
    """

    def __init__(self, models: ModelInUse, batcher: Batcher) -> None:
        self.models, self._batcher = models, batcher

    def required(self) -> LoadedModel:
        """Return the model in use.

        Raises:
            NoModelError: there is none.
        """
        model = self.models.model
        if model is None:
            reason = self.models.problem or "commit pairs to training, and run pix2pix trigger"
            raise NoModelError(f"no model is in use: {reason}")
        return model

    async def translate_file(
        self, data: bytes, size: int | None = None, model: LoadedModel | None = None
    ) -> Translation:
        """Translate a picture file of any format that `pix2pix.images.codec` reads.

        Args:
            data: the file.
            size: height and width to which the picture is scaled, pixels; 0 keeps its own, None are the model's.
            model: that of the other pictures of the request; None for the model in use.

        Raises:
            NoModelError: no model is in use.
            PictureError: the picture cannot be used.
            InputError: a size that does not fit the model.
            OverloadedError: too many requests wait.
        """
        model = model or self.required()
        picture = await run_in_threadpool(_decode, data, model, size)
        return await self.translate(model, picture)

    async def translate(self, model: LoadedModel, picture: Pixels) -> Translation:
        """Translate pixels, uint8 ``[H, W, 3]``; sides that do not fit the model are padded by it."""
        pixels = await asyncio.wrap_future(self._batcher.submit(model, picture))
        return Translation(model.commit, pixels)


def _decode(data: bytes, model: LoadedModel, size: int | None) -> Pixels:
    from pix2pix.errors import InputError, PictureError
    from pix2pix.images.codec import decode_bytes
    from pix2pix.images.rejections import TOO_LARGE
    from pix2pix.inference.generate import prepare

    if size is not None and (size < 0 or size > LONGEST_SIDE or size % model.multiple):
        raise InputError(
            f"size = {size} does not fit the model; use a multiple of {model.multiple} up to {LONGEST_SIDE}, or 0"
        )
    pixels = decode_bytes(data)
    height, width = pixels.shape[:2]
    if size == 0 and max(height, width) > LONGEST_SIDE:
        raise PictureError(TOO_LARGE, f"{width}x{height}, over the limit of {LONGEST_SIDE} pixels per side here")
    shape = model.shape if size is None else (size, size) if size else None
    return prepare(pixels, shape, model.labels)
