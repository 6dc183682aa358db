"""The text that a generated picture carries: what it was made with, from what, and how.

It exists so that a picture that left its folder, or its store, still says where it comes from. Nothing of the machine,
the time or a commit is in it: equal content stays equal.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

MODEL, INPUT, OPTIONS_USED = "pix2pix:model", "pix2pix:input", "pix2pix:options"
"""Keywords: SHA-256 of the model's description, SHA-256 of the input file, the options."""

FINGERPRINT = "pix2pix:fingerprint"
"""Keyword: digest of stage, code, parameters, library versions and model, where a pipeline made the picture."""

_OURS = "pix2pix:"


def read_text(path: Path) -> dict[str, str]:
    """The text that a picture carries.

    Args:
        path: any file.

    Returns:
        keyword -> value; empty where the file is no PNG, or carries nothing of ours.
    """
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            picture.load()  # text may stand behind the pixels
            found = getattr(picture, "text", {})
            return {key: str(value) for key, value in found.items() if key.startswith(_OURS)}
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return {}
