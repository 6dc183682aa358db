"""Header checks: the format of a picture by its content, and everything that docs/pictures.md refuses.

A decompression bomb, an animation or a disguised script is refused before a decoder allocates or runs. The content
decides the format, and only that format's decoder is tried, never whichever accepts the bytes.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import stat
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError, _imaging

from pix2pix.errors import PictureError
from pix2pix.images.bmp.header import check_bmp, unsupported_bmp
from pix2pix.images.formats import HEAD, SIGNATURES, describe, recognize
from pix2pix.images.heif import check_boxes, register_heif
from pix2pix.images.limits import MAX_BYTES, MAX_SCANS, check_size
from pix2pix.images.png.chunks import check_chunks
from pix2pix.images.png.transparency import scale_level
from pix2pix.images.rejections import (
    DAMAGED,
    EMPTY,
    FORMAT_NOT_ALLOWED,
    MULTI_FRAME,
    TOO_LARGE,
    TRUNCATED,
    UNREADABLE,
    UNSUPPORTED,
)
from pix2pix.images.tiff.directory import Tag, directories, find_picture
from pix2pix.images.tiff.layout import Route, layout_of
from pix2pix.images.tiff.samples import SampledTiff
from pix2pix.images.tiff.strips import check_strips
from pix2pix.reading import DEFAULT, ReadOptions

# This module refuses what Pillow only warns about. The filters are process-wide: scoped ones are not thread-safe.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

FIRST_FRAME = '`pix2pix resize --frames first` (frames = "first" in [resize]) takes the first'
"""Remedy for a file of several frames."""

_FRAMED = ("PNG", "WEBP", "GIF")


def _silence_libtiff() -> None:
    """Keep libtiff from writing to the terminal: its lines do not name the file, and the error covers them."""
    library = ctypes.CDLL(_imaging.__file__)
    # Not found if Pillow is built without libtiff, or the system does not search dependencies (Windows).
    with contextlib.suppress(AttributeError):
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


_silence_libtiff()


@contextmanager
def decoder_failures() -> Iterator[None]:
    """Convert whatever a decoder raises on malformed bytes to a `PictureError` with a code."""
    try:
        yield
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise PictureError(TOO_LARGE, str(error) or "not enough memory to decode it") from error
    except Exception as error:  # decoders raise anything: struct.error, KeyError, ...
        text = str(error) or type(error).__name__
        if "too large" in text.lower() or "Too much memory" in text:
            raise PictureError(TOO_LARGE, text) from error
        if "bitfields layout" in text:
            raise unsupported_bmp("unusual bit fields") from error
        if isinstance(error, EOFError) or "truncated" in text.lower():
            raise PictureError(TRUNCATED, text) from error
        raise PictureError(DAMAGED, text) from error


def read_file(path: Path) -> bytes:
    """Read a picture's bytes.

    Raises:
        PictureError: ``UNREADABLE`` or ``TOO_LARGE``.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise PictureError(UNREADABLE, "not a regular file")
        if status.st_size > MAX_BYTES:
            raise PictureError(TOO_LARGE, f"{status.st_size:,} bytes, over the limit of {MAX_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise PictureError(UNREADABLE, error.strerror or str(error)) from error


def open_header(data: bytes, reading: ReadOptions = DEFAULT) -> Image.Image | SampledTiff:
    """Open a picture without decoding its pixels.

    Args:
        data: the whole file.
        reading: how ambiguous pictures are read.

    Returns:
        a lazily loaded picture within all limits; its ``format`` is that of the content.

    Raises:
        PictureError: any code that the header alone decides.
    """
    if not data:
        raise PictureError(EMPTY, "the file has no bytes")
    kind = _recognized(data)
    if kind == "TIFF":
        with decoder_failures():
            return _open_tiff(data, reading)
    if kind == "PNG":
        check_chunks(data)
    elif kind == "WEBP":
        _check_webp(data)
    elif kind == "JPEG":
        _check_jpeg(data)
    elif kind in ("HEIF", "AVIF"):
        check_boxes(data)
        register_heif()
    elif kind == "BMP":
        check_bmp(data)
    elif kind == "GIF" and len(data) > 10:
        check_size(*struct.unpack("<HH", data[6:10]))
    with decoder_failures():
        picture = _open(kind, data)
        check_size(*picture.size)
        if kind in _FRAMED and reading.frames != "first":
            if getattr(picture, "is_animated", False):
                raise PictureError(MULTI_FRAME, f"a {kind} of several frames; {FIRST_FRAME}")
            if kind == "GIF":
                raise PictureError(FORMAT_NOT_ALLOWED, f"the content is a GIF; {FIRST_FRAME} frame")
        if kind == "PNG":
            scale_level(picture, depth=data[24])
    return picture


def _open_tiff(data: bytes, reading: ReadOptions) -> Image.Image | SampledTiff:
    try:
        directory = find_picture(data, first=reading.frames == "first")
    except PictureError as error:
        if error.code == MULTI_FRAME:
            raise PictureError(MULTI_FRAME, f"{error.reason}; {FIRST_FRAME}") from error
        raise
    check_size(directory.integer(Tag.WIDTH, 0), directory.integer(Tag.HEIGHT, 0))
    layout = layout_of(directory, ranged=reading.range is not None)
    check_strips(directory, layout)
    if layout.route is Route.SAMPLES:
        return SampledTiff(directory, layout, reading.range)
    is_first = next(directories(data)).offset == directory.offset
    picture = _open("TIFF", data if is_first else directory.moved_to_front())
    check_size(*picture.size)
    return picture


def _open(kind: str, data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=(kind,))
    except UnidentifiedImageError as error:
        raise _open_failure(kind, data) from error


def _recognized(data: bytes) -> str:
    kind = recognize(data[:HEAD])
    if kind:
        return kind
    if any(signature.startswith(data) for signature in SIGNATURES):
        raise PictureError(TRUNCATED, f"the file ends after {len(data)} bytes")
    raise PictureError(
        FORMAT_NOT_ALLOWED,
        f"the content is {describe(data[:HEAD])}, not JPEG, PNG, WebP, BMP, TIFF, HEIC or AVIF",
    )


def _check_webp(data: bytes) -> None:
    """Check size and completeness: Pillow's WebP decoder allocates its canvas when it opens a file."""
    size_in_header = int.from_bytes(data[4:8], "little") + 8
    if size_in_header > len(data) + 1 or len(data) < 30:  # some writers omit the last padding byte
        raise PictureError(TRUNCATED, f"{len(data):,} bytes of {size_in_header:,}")
    chunk = data[12:16]
    if chunk == b"VP8X":
        size = (int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1)
    elif chunk == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        size = ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    elif chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", data[26:30])
        size = (width & 0x3FFF, height & 0x3FFF)
    else:
        raise PictureError(DAMAGED, f"{chunk!r} instead of a WebP frame")
    check_size(*size)


_JPEG_KINDS = {0xC3: "lossless", 0xC5: "hierarchical", 0xC7: "lossless hierarchical", 0xCB: "lossless arithmetic"}


def _check_jpeg(data: bytes) -> None:
    if (scans := data.count(b"\xff\xda")) > MAX_SCANS:
        raise PictureError(TOO_LARGE, f"{scans:,} scans, over the limit of {MAX_SCANS}")
    for marker, position in _segments(data):
        if marker in _JPEG_KINDS or marker == 0xF7:
            kind = _JPEG_KINDS.get(marker, "JPEG-LS")
            raise PictureError(UNSUPPORTED, f"a {kind} JPEG; save it as an ordinary JPEG, or as PNG")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and data[position + 4 : position + 5] == b"\x0c":
            raise PictureError(UNSUPPORTED, "a JPEG of 12-bit samples; save it with 8 bits, or as 16-bit PNG or TIFF")


def _open_failure(kind: str, data: bytes) -> PictureError:
    # Pillow raises the same error for any broken header; a header that ends with the file was truncated.
    short = {"JPEG": not _has_scan(data), "BMP": len(data) < 54, "GIF": len(data) < 13}
    if short.get(kind, False):
        return PictureError(TRUNCATED, f"the {kind} header ends with the file")
    return PictureError(DAMAGED, f"the {kind} header cannot be read")


def _has_scan(data: bytes) -> bool:
    """Return whether a JPEG's header reaches its first scan, or stops being valid before the end of the file."""
    end = 2
    for marker, position in _segments(data):
        if marker == 0xDA:
            return True
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return end + 4 <= len(data)


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the markers of a JPEG's header and their offsets, up to and including the first scan."""
    offset = 2
    while offset + 4 <= len(data) and data[offset] == 0xFF:
        marker = data[offset + 1]
        if marker == 0xFF:
            offset += 1
            continue
        yield marker, offset
        if marker == 0xDA:
            return
        offset += 2 + int.from_bytes(data[offset + 2 : offset + 4], "big")
