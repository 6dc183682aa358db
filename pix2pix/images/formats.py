"""Recognition of a file's format by its first bytes."""

from __future__ import annotations

HEAD = 512
"""Number of bytes from the start of a file that suffice to recognize it."""

SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
}
"""First bytes -> Pillow's name of the format."""

_LARGEST_BITMAP_HEADER = 124
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}

_OTHERS = (
    (b"%PDF", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"8BPS", "a Photoshop file"),
    (b"\x00\x00\x00\x0cjP", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"\x89HDF", "HDF5"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"<", "SVG, XML or HTML"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)


def recognize(head: bytes) -> str | None:
    """Return the format of a picture that can be read.

    Args:
        head: the first bytes of the file, `HEAD` or all of them.

    Returns:
        ``JPEG``, ``PNG``, ``WEBP``, ``BMP``, ``TIFF``, ``GIF``, ``HEIF`` or ``AVIF``; None for anything else.
    """
    for signature, name in SIGNATURES.items():
        if head.startswith(signature):
            return name
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith(b"BM") and 12 <= int.from_bytes(head[14:18], "little") <= _LARGEST_BITMAP_HEADER:
        return "BMP"
    if head[4:8] == b"ftyp":
        size = int.from_bytes(head[:4], "big")
        brands = {head[8:12], *(head[offset : offset + 4] for offset in range(16, min(size, len(head)), 4))}
        if brands & _AVIF_BRANDS:
            return "AVIF"
        if brands & _HEIF_BRANDS:
            return "HEIF"
    return None


def describe(head: bytes) -> str:
    """Describe the content of a file that is not such a picture, for people."""
    if head[4:8] == b"ftyp":
        return "a video, or a container like HEIC without a picture"
    start = head[:256].lstrip()
    name = next((name for magic, name in _OTHERS if start.startswith(magic)), None)
    return name or ("text" if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start) else "unknown")
