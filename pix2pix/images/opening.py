"""Opens the bytes of a picture, header only, and refuses what the decision table refuses.

It exists apart from decoding so that a bomb, an animation or a disguised script is turned away before a decoder
allocates or runs: the format is decided from the content, and one decoder is asked, never whichever claims the bytes.
"""

from __future__ import annotations

import io
import stat
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from pix2pix.errors import PictureError
from pix2pix.images.limits import MAX_BYTES, MAX_SCANS, check_size
from pix2pix.images.png_chunks import check_chunks
from pix2pix.images.rejections import DAMAGED, EMPTY, FORMAT_NOT_ALLOWED, MULTI_FRAME, TOO_LARGE, TRUNCATED, UNREADABLE

# Pillow only warns about what this module decides; the filter is process-wide because scoped ones are not thread-safe.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

_KNOWN = (
    (b"GIF8", "a GIF"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"8BPS", "a Photoshop file"),
    (b"\x00\x00\x00\x0cjP", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"<", "SVG, XML or HTML"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)


@contextmanager
def decoder_failures() -> Iterator[None]:
    """Turn whatever a decoder raises on hostile bytes into a `PictureError` with a code."""
    try:
        yield
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise PictureError(TOO_LARGE, str(error) or "decoding it needs more memory than there is") from error
    except Exception as error:  # decoders raise anything: struct.error, KeyError, ...
        text = str(error) or type(error).__name__
        if "too large" in text.lower() or "Too much memory" in text:
            raise PictureError(TOO_LARGE, text) from error
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
            raise PictureError(UNREADABLE, "it is no regular file")
        if status.st_size > MAX_BYTES:
            raise PictureError(TOO_LARGE, f"{status.st_size:,} bytes, over the limit of {MAX_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise PictureError(UNREADABLE, error.strerror or str(error)) from error


def open_header(data: bytes) -> Image.Image:
    """Open a picture without decoding its pixels.

    Args:
        data: the whole file.

    Returns:
        a lazily loaded picture of one frame, within all limits; ``format`` says what the content is.

    Raises:
        PictureError: any code that the header alone decides.
    """
    if not data:
        raise PictureError(EMPTY, "the file has no bytes")
    kind = _sniff(data)
    if kind == "PNG":
        check_chunks(data)
    elif kind == "WEBP":
        _check_webp(data)
    elif kind == "JPEG" and (scans := data.count(b"\xff\xda")) > MAX_SCANS:
        raise PictureError(TOO_LARGE, f"{scans:,} scans, over the limit of {MAX_SCANS}")
    with decoder_failures():
        try:
            picture = Image.open(io.BytesIO(data), formats=(kind,))
        except UnidentifiedImageError as error:
            raise _unopened(kind, data) from error
        check_size(*picture.size)
        if kind in ("PNG", "WEBP", "TIFF") and _has_second_frame(picture):
            raise PictureError(MULTI_FRAME, f"a {kind} of more than one frame; save the one that is meant")
        if kind == "PNG":
            _scale_transparency(picture, depth=data[24])
    return picture


def _sniff(data: bytes) -> str:
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")):
        return "TIFF"
    if data.startswith(b"BM") and data[14:18] in _BITMAP_HEADERS:
        return "BMP"
    for start in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"):
        if start.startswith(data):
            raise PictureError(TRUNCATED, f"the file ends after {len(data)} bytes")
    raise PictureError(FORMAT_NOT_ALLOWED, f"the content is {_guess(data)}, not JPEG, PNG, WebP, BMP or TIFF")


def _guess(data: bytes) -> str:
    """Say what bytes that are no picture look like, to help who wonders."""
    if data[4:8] == b"ftyp":
        return "HEIC, AVIF or a film"
    start = data[:256].lstrip()
    known = next((name for magic, name in _KNOWN if start.startswith(magic)), None)
    return known or ("text" if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start) else "of no known kind")


_BITMAP_HEADERS = {struct.pack("<I", size) for size in (12, 40, 52, 56, 64, 108, 124)}


def _scale_transparency(picture: Image.Image, depth: int) -> None:
    """Bring the colour that a PNG declares transparent to the 8 bits of the samples, which Pillow leaves undone."""
    clear = picture.info.get("transparency")
    if isinstance(clear, int) and picture.mode == "L" and depth in (2, 4):
        picture.info["transparency"] = clear * (255 // (2**depth - 1))
    elif isinstance(clear, tuple) and depth == 16:
        picture.info["transparency"] = tuple(part >> 8 for part in clear)


def _check_webp(data: bytes) -> None:
    """Check size and completeness: Pillow's WebP decoder allocates its canvas when it opens a file."""
    promised = int.from_bytes(data[4:8], "little") + 8
    if promised > len(data) + 1 or len(data) < 30:  # some writers leave the last padding byte out
        raise PictureError(TRUNCATED, f"{len(data):,} bytes of {promised:,}")
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
        raise PictureError(DAMAGED, f"no WebP frame where one belongs ({chunk!r})")
    check_size(*size)


def _unopened(kind: str, data: bytes) -> PictureError:
    # Pillow tells "cannot identify" for any broken header; a header that ends with the file was cut.
    short = {"JPEG": not _has_scan(data), "BMP": len(data) < 54, "TIFF": _directory_is_cut(data)}
    if short.get(kind, False):
        return PictureError(TRUNCATED, f"the {kind} header ends with the file")
    return PictureError(DAMAGED, f"the {kind} header cannot be read")


def _has_scan(data: bytes) -> bool:
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return True
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xDA:
            return True
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _directory_is_cut(data: bytes) -> bool:
    order: str = "<" if data[:2] == b"II" else ">"
    if len(data) < 8:
        return True
    (offset,) = struct.unpack(f"{order}I", data[4:8])
    if offset + 2 > len(data):
        return True
    (entries,) = struct.unpack(f"{order}H", data[offset : offset + 2])
    return bool(offset + 2 + 12 * entries > len(data))


def _has_second_frame(picture: Image.Image) -> bool:
    if picture.format != "TIFF":
        return getattr(picture, "n_frames", 1) > 1
    # n_frames would walk every directory of a hostile TIFF; one step is enough.
    try:
        picture.seek(1)
    except EOFError:
        return False
    return True
