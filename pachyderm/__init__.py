"""Versioned data on Pachyderm's protocol: commits in, commits out. Independent of Kubeflow, TensorFlow and images.

    import pachyderm

    data = pachyderm.connect(".pix2pix")  # or "grpc://host:30650"
    data.put("training", "pairs", message="my pairs")
    data.log("training")
    data.pictures("generate_images")

`__all__` is the public API; everything else is private. Names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pachyderm.api.connect import connect
    from pachyderm.api.results import CommitLog, Lineage, PictureFiles
    from pachyderm.api.versioned_data import VersionedData
    from pachyderm.client.commits import Commit
    from pachyderm.client.files import FileEntry
    from pachyderm.errors import PachydermError, RequestError, UnreachableError

_MODULES = {
    "pachyderm.api.connect": ("connect",),
    "pachyderm.api.results": ("CommitLog", "Lineage", "PictureFiles"),
    "pachyderm.api.versioned_data": ("VersionedData",),
    "pachyderm.client.commits": ("Commit",),
    "pachyderm.client.files": ("FileEntry",),
    "pachyderm.errors": ("PachydermError", "RequestError", "UnreachableError"),
}
"""Module -> the public names that it defines; the imports above, for type checkers, name the same."""

_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Commit",
    "CommitLog",
    "FileEntry",
    "Lineage",
    "PachydermError",
    "PictureFiles",
    "RequestError",
    "UnreachableError",
    "VersionedData",
    "connect",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted({*globals(), *__all__})
