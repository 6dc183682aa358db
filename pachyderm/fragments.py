"""HTML fragments that describe commits and lineages in a notebook."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

SHORT_ID = 12
"""Digits of a commit id shown to people."""


def render(template: str, **values: Any) -> str:
    """Render a template of this package's ``templates`` folder; values are escaped."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    # Imported here, because a commit in a program without a display never needs it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("pachyderm")
    jinja = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    jinja.filters |= {"moment": _moment, "short": _short, "data_uri": _data_uri}
    return jinja


def _moment(seconds: float) -> str:
    """Format seconds since 1970 as date and time in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _short(name: str) -> str:
    """Shorten the commit id in ``repo@id:path``."""
    repo, at, rest = name.partition("@")
    commit, colon, path = rest.partition(":")
    return f"{repo}@{commit[:SHORT_ID]}{colon}{path}" if at else name[:SHORT_ID]


def _data_uri(picture: bytes) -> str:
    """Return a PNG or JPEG as a ``data:`` URI."""
    kind = "jpeg" if picture.startswith(b"\xff\xd8") else "png"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"
