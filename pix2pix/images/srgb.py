"""Brings a decoded picture of any mode to 8-bit grey or sRGB, with or without alpha.

It exists because Pillow's own conversions clip 16 bits to white, ignore colour profiles and drop transparency.
"""

from __future__ import annotations

import functools
import hashlib
import io
import logging
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from pix2pix.errors import PictureError
from pix2pix.images.rejections import NOT_FINITE, SAMPLE_RANGE

logger = logging.getLogger(__name__)

MAX_PROFILE = 4 * 1024 * 1024
"""Largest colour profile that is looked at, in bytes; a picture with a larger one is taken as sRGB."""

CHANNELS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""Number of channels -> Pillow's mode: grey, grey and alpha, sRGB, sRGB and alpha."""

_TIFF_BITS, _TIFF_SAMPLES = 258, 339
_PROFILE_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK", "Lab": "LAB"}


def to_mode(picture: Image.Image, mode: str) -> Image.Image:
    """Convert to one of the modes of `CHANNELS`.

    Samples of more than 8 bits keep their 8 highest; floats are taken as 0 to 1, 0 to 255 or 0 to 65,535, the smallest
    of these that holds them all; an embedded profile is converted to sRGB (perceptual); where `mode` has no alpha, the
    picture is laid over white.

    Args:
        picture: loaded, any mode that the five formats have.
        mode: ``L``, ``LA``, ``RGB`` or ``RGBA``.

    Raises:
        PictureError: ``SAMPLE_RANGE`` or ``NOT_FINITE``.
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
    """Split into colours (L, RGB, CMYK or LAB) and alpha (L, or None where all is opaque)."""
    mode, transparency = picture.mode, picture.info.get("transparency")
    if mode.startswith("I") or mode == "F":
        alpha = None if transparency is None else _mask(np.asarray(picture) != transparency)
        return _samples(picture), alpha
    if transparency is not None and mode in ("1", "L", "RGB"):
        return _keyed(picture, transparency)
    if mode in ("P", "PA", "La", "RGBa", "LA", "RGBA"):
        grey = mode in ("La", "LA")
        whole = picture.convert("LA" if grey else "RGBA")
        alpha = whole.getchannel("A")
        return whole.convert("L" if grey else "RGB"), None if alpha.getextrema() == (255, 255) else alpha
    if mode in _PROFILE_MODES.values():
        return picture, None
    return picture.convert("L" if mode == "1" else "RGB"), None


def _keyed(picture: Image.Image, transparency: int | tuple[int, ...]) -> tuple[Image.Image, Image.Image]:
    """Make alpha from the one colour that a PNG declares transparent (tRNS)."""
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


def _samples(picture: Image.Image) -> Image.Image:
    """Scale grey of 12, 16 or 32 bits, integer or float, to 8 bits."""
    values = np.asarray(picture)
    if picture.mode == "F":
        return Image.fromarray(_floats(values))
    tags = getattr(picture, "tag_v2", {})
    bits = _first(tags.get(_TIFF_BITS, 32 if picture.mode == "I" else 16))
    if _first(tags.get(_TIFF_SAMPLES, 1)) == 2:
        raise PictureError(SAMPLE_RANGE, f"signed {bits}-bit samples; save the picture with 8 or 16 unsigned bits")
    if picture.mode == "I":
        values = values.view(np.uint32)
    return Image.fromarray((values >> (bits - 8)).astype(np.uint8))


def _floats(values: Any) -> Any:
    if not np.isfinite(values).all():
        raise PictureError(NOT_FINITE, "samples that are infinite or not a number")
    low, high = float(values.min()), float(values.max())
    full = next((full for full in (1.0, 255.0, 65535.0) if high <= full), None)
    if low < 0 or full is None:
        raise PictureError(SAMPLE_RANGE, f"floating point samples from {low:g} to {high:g}; scale them to 0 to 1")
    return np.rint(values.astype(np.float64) * (255.0 / full)).astype(np.uint8)


def _first(value: Any) -> int:
    return int(value[0] if isinstance(value, tuple) else value)


def _apply_profile(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Apply an embedded profile; one that is broken or made for other channels is passed over, as browsers do."""
    if not profile or len(profile) > MAX_PROFILE:
        return picture
    transform = _transform(_Profile(profile), picture.mode)
    return picture if transform is None else _transformed(picture, transform)


def _transformed(picture: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    return ImageCms.applyTransform(picture, transform) or picture


class _Profile:
    """A profile's bytes, equal by digest, so that the cache below compares no long keys."""

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
