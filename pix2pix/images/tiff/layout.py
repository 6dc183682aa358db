"""The sample layout of a TIFF directory, and the choice of its decoder; see docs/pictures.md."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from pix2pix.errors import PictureError
from pix2pix.images.rejections import DAMAGED, SAMPLE_RANGE, UNSUPPORTED
from pix2pix.images.tiff.directory import Directory, Tag
from pix2pix.images.tiff.unsupported import UNSUPPORTED_COMPRESSIONS, UNSUPPORTED_PHOTOMETRICS

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
"""PhotometricInterpretation."""
GREY = (WHITE_IS_ZERO, BLACK_IS_ZERO)
COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, LAB: 3}
"""PhotometricInterpretation -> number of samples that are colours."""
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
"""SampleFormat."""
UNCOMPRESSED = 1
BYTEWISE = frozenset({UNCOMPRESSED, 5, 8, 32773, 32946, 34925, 50000})
"""Lossless compressions of bytes: none, LZW, Deflate, PackBits, LZMA and Zstandard."""
FAX = frozenset({2, 3, 4})
OLD_JPEG = 6
"""JPEG as TIFF 6.0 had it, always YCbCr."""
JPEG = frozenset({OLD_JPEG, 7})

_DEPTHS = frozenset({1, 2, 4, 8, 10, 12, 14, 16, 24, 32, 64, 128})
_ASSOCIATED, _UNASSOCIATED = 1, 2
_COREL_ALPHA = 999
"""What CorelDRAW 10 writes for alpha."""
_ALPHAS = (_ASSOCIATED, _UNASSOCIATED, _COREL_ALPHA)
_KNOWN_EXTRAS = {(), (0,), (_ASSOCIATED,), (_UNASSOCIATED,), (_COREL_ALPHA,)}


class Route(Enum):
    """What decodes the pixels."""

    PILLOW = "Pillow"
    SAMPLES = "samples"
    """`pix2pix.images.tiff.samples`."""


@dataclass(frozen=True)
class Layout:
    """How a directory stores its samples.

    Attributes:
        width: pixels.
        height: pixels.
        bits: per sample.
        sample_format: `UNSIGNED`, `SIGNED` or `FLOAT`.
        photometric: a key of `COLOURS`.
        samples: per pixel.
        alpha: index of the alpha sample; None if there is none.
        premultiplied: whether colours are multiplied by alpha.
        planar: whether each sample has its own plane.
        compression: the tag's value.
        predictor: 1 none, 2 horizontal differences, 3 floating point.
        route: its decoder.
    """

    width: int
    height: int
    bits: int
    sample_format: int
    photometric: int
    samples: int
    alpha: int | None
    premultiplied: bool
    planar: bool
    compression: int
    predictor: int
    route: Route

    @property
    def colours(self) -> int:
        """Number of samples that are colours; they come first."""
        return COLOURS[self.photometric]


def layout_of(directory: Directory, *, ranged: bool) -> Layout:
    """Read the layout of a directory, and refuse those that cannot be decoded.

    Args:
        directory: the picture's.
        ranged: whether the caller declares the values of black and white, so that signed grey can be read.

    Raises:
        PictureError: ``UNSUPPORTED``, ``SAMPLE_RANGE`` or ``DAMAGED``.
    """
    layout, extras, is_stated = _read(directory)
    if layout.photometric == CMYK and directory.integer(Tag.INK_SET, 1) != 1:
        raise _unsupported("inks that are not CMYK")
    problem = _samples_problem(layout, ranged) or _channels_problem(layout, extras) or _coding_problem(layout)
    if problem:
        raise PictureError(*problem)
    if is_stated and _is_for_pillow(layout, directory):
        return replace(layout, route=Route.PILLOW)
    if layout.compression not in BYTEWISE:
        raise _unsupported(f"{layout.bits}-bit samples in planes or with extra samples, packed as JPEG or CCITT")
    if layout.bits < 8 or layout.photometric not in (*GREY, RGB, CMYK):
        packing = "extra samples, planes, subsampling, reversed bits or a big-endian BigTIFF"
        raise _unsupported(f"{layout.bits}-bit {_name(layout.photometric)} samples with {packing}")
    return layout


def _read(directory: Directory) -> tuple[Layout, int, bool]:
    """Read a layout, the number of extra samples, and whether the file states what the samples mean."""
    compression = _compression(directory)
    samples = directory.integer(Tag.SAMPLES_PER_PIXEL, 3 if compression == OLD_JPEG else 1)
    if samples < 1:
        raise PictureError(DAMAGED, "no samples per pixel")
    bits, sample_format = _bits(directory, samples), _sample_format(directory, samples)
    extras = directory.integers(Tag.EXTRA_SAMPLES)
    photometric, is_stated = _photometric(directory, samples - len(extras), compression)
    colours = COLOURS[photometric]
    if samples < colours:
        raise PictureError(DAMAGED, f"{samples} samples per pixel, and its colours need {colours}")
    if photometric == RGB and samples == 4 and not extras:
        extras = (_UNASSOCIATED,)  # What writers that leave the tag out mean.
    alphas = [n for n, extra in enumerate(extras[: samples - colours]) if extra in _ALPHAS]
    layout = Layout(
        width=directory.integer(Tag.WIDTH, 0),
        height=directory.integer(Tag.HEIGHT, 0),
        bits=bits,
        sample_format=sample_format,
        photometric=photometric,
        samples=samples,
        alpha=colours + alphas[0] if alphas else None,
        premultiplied=bool(alphas) and extras[alphas[0]] == _ASSOCIATED,
        planar=directory.integer(Tag.PLANAR, 1) == 2 and samples > 1,
        compression=compression,
        predictor=directory.integer(Tag.PREDICTOR, 1),
        route=Route.SAMPLES,
    )
    return layout, len(extras), is_stated


def _samples_problem(layout: Layout, ranged: bool) -> tuple[str, str] | None:
    """Return code and reason if samples of this type cannot be scaled to 8 bits."""
    bits, is_grey = layout.bits, layout.photometric in GREY
    if layout.sample_format == SIGNED:
        if is_grey and ranged and bits in (8, 16, 32):
            return None
        hint = "declare what is black and white ([resize] range = [low, high]), or " if is_grey else ""
        return SAMPLE_RANGE, f"signed {bits}-bit samples; {hint}save the picture with 8 or 16 unsigned bits"
    if layout.sample_format == FLOAT and (bits != 32 or not is_grey):
        kind = "grey" if is_grey else _name(layout.photometric)
        wanted = "32-bit floats or 16-bit integers" if is_grey else "8-bit or 16-bit integers"
        return UNSUPPORTED, f"{kind} of {bits}-bit floats; save it with {wanted}"
    allowed: tuple[int, ...]
    allowed = (8, 12, 16, 32) if is_grey else (8, 12, 16) if layout.photometric == RGB else (8, 16)
    low = layout.photometric in (*GREY, PALETTE) and layout.samples == 1 and bits in (1, 2, 4)
    if layout.photometric in (PALETTE, YCBCR, LAB):
        allowed = (8,)
    if bits in allowed or low:
        return None
    return UNSUPPORTED, f"{_name(layout.photometric)} of {bits}-bit integers; save it with 8 or 16 bits per sample"


def _channels_problem(layout: Layout, extras: int) -> tuple[str, str] | None:
    """Return code and reason if the meaning of a pixel's samples is unknown or unsupported."""
    if layout.photometric in GREY and layout.samples > 1:
        if layout.alpha is None and (layout.samples > 2 or not extras):
            return UNSUPPORTED, f"{layout.samples} bands without colours; save three of them as RGB"
        if layout.photometric == WHITE_IS_ZERO and layout.premultiplied:
            return UNSUPPORTED, "grey with zero as white, premultiplied by alpha; save it with zero as black"
        if layout.alpha is not None and (layout.bits == 32 or layout.sample_format != UNSIGNED):
            return UNSUPPORTED, f"{layout.bits}-bit grey with alpha; save it without alpha or with 16 bits"
    if layout.photometric == CMYK and layout.alpha is not None:
        return UNSUPPORTED, "CMYK with alpha; save it as RGB"
    if layout.samples > 64:
        return UNSUPPORTED, f"{layout.samples} samples per pixel; save three of them as RGB"
    return None


def _coding_problem(layout: Layout) -> tuple[str, str] | None:
    """Return code and reason if the predictor is invalid or unsupported."""
    predicted = layout.predictor != 1 and layout.compression in BYTEWISE
    if predicted and layout.predictor not in (2, 3):
        return DAMAGED, f"predictor {layout.predictor}, which TIFF does not define"
    if predicted and layout.predictor == 3 and layout.sample_format != FLOAT:
        return DAMAGED, "a floating point predictor for integers"
    if predicted and layout.bits == 12:
        return UNSUPPORTED, "12-bit samples with a predictor; save the picture with 8 or 16 bits per sample"
    return None


def _is_for_pillow(layout: Layout, directory: Directory) -> bool:
    """Return whether Pillow decodes a layout correctly; each case was compared with another decoder."""
    if layout.sample_format != UNSIGNED or layout.bits > 8:
        return False
    if directory.big and directory.order == ">":
        return False  # Pillow reads it as an ordinary TIFF.
    is_low_grey = layout.photometric in GREY and layout.bits < 8
    if directory.integer(Tag.FILL_ORDER, 1) == 2 and layout.compression in BYTEWISE and not is_low_grey:
        return False
    if layout.photometric == PALETTE and layout.samples == 2 and not layout.planar:
        return directory.integers(Tag.EXTRA_SAMPLES) in {(0,), (_UNASSOCIATED,)} and layout.compression in BYTEWISE
    plain = layout.samples == layout.colours and not layout.planar
    if layout.photometric == YCBCR:
        if layout.planar or layout.samples != 3:
            return False
        # Pillow itself, not libtiff, reads uncompressed samples, and supports one kind only.
        converts = {Tag.YCBCR_COEFFICIENTS, Tag.REFERENCE_BLACK_WHITE} & directory.entries.keys()
        subsampling = directory.integers(Tag.YCBCR_SUBSAMPLING, (2, 2))
        return layout.compression != UNCOMPRESSED or (subsampling == (1, 1) and not converts)
    if layout.photometric == RGB and layout.samples == 4 and not layout.planar:
        return directory.integers(Tag.EXTRA_SAMPLES) in _KNOWN_EXTRAS and layout.compression in BYTEWISE
    return plain


def _compression(directory: Directory) -> int:
    compression = directory.integer(Tag.COMPRESSION, UNCOMPRESSED)
    if compression in BYTEWISE | FAX | JPEG:
        return compression
    if compression in UNSUPPORTED_COMPRESSIONS:
        raise PictureError(
            UNSUPPORTED,
            f"{UNSUPPORTED_COMPRESSIONS[compression]} compression inside a TIFF; save it with LZW or Deflate",
        )
    raise PictureError(DAMAGED, f"compression {compression}, which TIFF does not define")


def _bits(directory: Directory, samples: int) -> int:
    bits = directory.integers(Tag.BITS_PER_SAMPLE, (1,))
    if len(bits) > 1:
        bits = bits[:samples]
    if len(bits) not in (1, samples):
        raise PictureError(DAMAGED, f"depths of {len(bits)} samples, and a pixel has {samples}")
    if len(set(bits)) > 1:
        raise _unsupported(f"samples of different depths ({', '.join(map(str, bits[:8]))} bits)")
    if bits[0] not in _DEPTHS:
        raise PictureError(DAMAGED, f"{bits[0]} bits per sample")
    return bits[0]


def _sample_format(directory: Directory, samples: int) -> int:
    formats = directory.integers(Tag.SAMPLE_FORMAT, (UNSIGNED,))[:samples]
    if len(set(formats)) > 1:
        raise _unsupported("samples of different types")
    if formats[0] in (5, 6):
        raise _unsupported("complex numbers")
    if formats[0] == 4:
        raise _unsupported("samples of undefined type")
    if formats[0] not in (UNSIGNED, SIGNED, FLOAT):
        raise PictureError(DAMAGED, f"sample format {formats[0]}, which TIFF does not define")
    return formats[0]


def _photometric(directory: Directory, colours: int, compression: int) -> tuple[int, bool]:
    """Return what the samples mean, and whether the file states it; otherwise guess as libtiff does."""
    if compression == OLD_JPEG:
        return YCBCR, True
    if Tag.PHOTOMETRIC not in directory.entries:
        if compression in FAX:
            return WHITE_IS_ZERO, True
        guess = {1: BLACK_IS_ZERO, 3: RGB}.get(colours)
        if guess is None or compression in JPEG:
            raise PictureError(DAMAGED, "the meaning of the samples is missing (PhotometricInterpretation)")
        return guess, False
    photometric = directory.integer(Tag.PHOTOMETRIC, WHITE_IS_ZERO)
    if photometric in COLOURS:
        return photometric, True
    if photometric in UNSUPPORTED_PHOTOMETRICS:
        raise _unsupported(UNSUPPORTED_PHOTOMETRICS[photometric])
    raise PictureError(DAMAGED, f"photometric interpretation {photometric}, which TIFF does not define")


def _unsupported(kind: str) -> PictureError:
    return PictureError(UNSUPPORTED, f"a TIFF of {kind}; save it as an 8-bit or 16-bit RGB or grey TIFF, or as PNG")


def _name(photometric: int) -> str:
    names = {RGB: "RGB", PALETTE: "a palette", CMYK: "CMYK", YCBCR: "YCbCr", LAB: "L*a*b*"}
    return names.get(photometric, "grey")
