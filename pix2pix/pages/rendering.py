"""Renders HTML pages from Jinja2 templates that extend one base template."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pix2pix.escaping import escape_lines
from pix2pix.files import write_atomically


@cache
def environment(package: str) -> Environment:
    """Return the Jinja2 environment of a package: its templates, and the base template and macros of this package.

    Autoescape is on for every template, and control characters are escaped: names, messages and parameters are not
    trusted.

    Args:
        package: dotted name of a package with a folder ``templates``.
    """
    loader = ChoiceLoader([PackageLoader(package), PackageLoader("pix2pix.pages")])
    jinja = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_escape_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters["data_uri"] = data_uri
    return jinja


def _escape_text(value: Any) -> Any:
    """Escape control characters in what a template prints, except in markup."""
    return escape_lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def render(package: str, template: str, **values: Any) -> str:
    """Render a self-contained page.

    Args:
        package: dotted name of the package whose ``templates`` folder holds the template.
        template: file name in this folder.
        values: variables of the template.
    """
    return environment(package).get_template(template).render(**values)


def write(path: Path, page: str) -> None:
    """Write a page atomically; file names in it that are not UTF-8 keep their bytes."""
    write_atomically(path, page.encode("utf-8", "surrogateescape"))


def data_uri(picture: bytes) -> str:
    """Return a PNG or JPEG as a ``data:`` URI."""
    kind = "jpeg" if picture.startswith(b"\xff\xd8") else "png"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"
