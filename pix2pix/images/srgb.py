"""Conversion of decoded pictures of any mode to 8-bit grey or sRGB, with or without alpha.

Pillow's own conversions clip 16 bits to white, ignore colour profiles and drop transparency.
"""

from __future__ import annotations

import functools
import hashlib
import io
import logging
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from pix2pix.images.depth import to_bytes

logger = logging.getLogger(__name__)

MAX_PROFILE = 4 * 1024 * 1024
"""Largest colour profile that is applied, in bytes; a picture with a larger one is taken as sRGB."""

CHANNELS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""Number of channels -> Pillow's mode: grey, grey and alpha, sRGB, sRGB and alpha."""

_PROFILE_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB"}


def to_mode(picture: Image.Image, mode: str) -> Image.Image:
    """Convert to one of the modes of `CHANNELS`.

    Samples of 16 bits keep their 8 highest bits; an embedded profile is converted to sRGB (perceptual intent); if
    `mode` has no alpha, the picture is composited over white.

    Args:
        picture: loaded, in any mode of the formats except floats and 32 bits (see `pix2pix.images.depth`).
        mode: ``L``, ``LA``, ``RGB`` or ``RGBA``.
    """
    profile = picture.info.get("icc_profile")
    if picture.mode == mode and not profile and "transparency" not in picture.info:
        return picture
    colours, alpha = _separate(picture)
    colours = _apply_profile(colours, profile)
    if mode in ("L", "RGB"):
        return _convert(colours if alpha is None else _over_white(colours, alpha), mode)
    colours = _convert(colours, mode[:-1])
    return Image.merge(mode, (*colours.split(), alpha or Image.new("L", picture.size, 255)))


def _separate(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Split into colours (L, RGB, CMYK or LAB) and alpha (L, or None if all pixels are opaque)."""
    mode, transparency = picture.mode, picture.info.get("transparency")
    if mode.startswith("I"):
        values = np.asarray(picture).astype(np.uint16)
        alpha = None if transparency is None else _mask(values != transparency)
        return Image.fromarray(to_bytes(values, 16)), alpha
    if transparency is not None and mode in ("1", "L", "RGB"):
        return _split_key_colour(picture, transparency)
    if mode in ("P", "PA", "La", "RGBa", "LA", "RGBA"):
        grey = mode in ("La", "LA")
        whole = picture.convert("LA" if grey else "RGBA")
        alpha = whole.getchannel("A")
        return whole.convert("L" if grey else "RGB"), None if alpha.getextrema() == (255, 255) else alpha
    if mode in _PROFILE_MODES.values():
        return picture, None
    return picture.convert("L" if mode == "1" else "RGB"), None


def _split_key_colour(picture: Image.Image, transparency: int | tuple[int, ...]) -> tuple[Image.Image, Image.Image]:
    """Return colours, and alpha made from the colour that a PNG declares transparent (tRNS)."""
    colours = picture.convert("RGB" if picture.mode == "RGB" else "L")
    colours.info.pop("transparency", None)
    differs = np.asarray(colours) != np.asarray(transparency)
    return colours, _mask(differs.any(axis=-1) if differs.ndim == 3 else differs)


def _mask(opaque: Any) -> Image.Image:
    return Image.fromarray(np.where(opaque, 255, 0).astype(np.uint8))


def _over_white(colours: Image.Image, alpha: Image.Image) -> Image.Image:
    colours = _convert(colours, "L" if colours.mode == "L" else "RGB")
    white = Image.new(colours.mode, colours.size, "white")
    white.paste(colours, mask=alpha)
    return white


def _convert(picture: Image.Image, mode: str) -> Image.Image:
    if picture.mode == "LAB":
        picture = _transformed(picture, _lab_to_srgb())
    return picture if picture.mode == mode else picture.convert(mode)


def _apply_profile(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Apply an embedded profile; one that is broken or for other channels is ignored, as browsers do."""
    if not profile or len(profile) > MAX_PROFILE:
        return picture
    transform = _transform(_Profile(profile), picture.mode)
    return picture if transform is None else _transformed(picture, transform)


def _transformed(picture: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    return ImageCms.applyTransform(picture, transform) or picture


class _Profile:
    """A profile's bytes, compared by digest, which keeps the keys of the cache below short."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.digest = hashlib.sha256(data).digest()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Profile) and self.digest == other.digest


@functools.lru_cache(maxsize=32)
def _transform(profile: _Profile, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile.data))
        is_srgb = ImageCms.getProfileDescription(source).startswith("sRGB")
        if is_srgb or _PROFILE_MODES.get(source.profile.xcolor_space.strip()) != mode:
            return None
        return ImageCms.buildTransform(source, _srgb(), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        logger.info("a colour profile cannot be used, sRGB is assumed: %s", error)
        return None


@functools.cache
def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), _srgb(), "LAB", "RGB")


@functools.cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
