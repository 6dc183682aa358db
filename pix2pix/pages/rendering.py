"""Renders HTML pages from Jinja2 templates that extend one base template."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from pix2pix.files import write_atomically


@cache
def environment(package: str) -> Environment:
    """The templates of a package, over the base template and the macros of this one.

    Autoescape is on for every template: names, messages and parameters come from strangers.

    Args:
        package: dotted name of a package with a folder ``templates``.
    """
    loader = ChoiceLoader([PackageLoader(package), PackageLoader("pix2pix.pages")])
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.filters["data_uri"] = data_uri
    return found


def render(package: str, template: str, **values: Any) -> str:
    """Render a page that loads nothing from elsewhere.

    Args:
        package: dotted name of the package whose ``templates`` folder holds the template.
        template: its file name.
        values: what the template shows.
    """
    return environment(package).get_template(template).render(**values)


def write(path: Path, page: str) -> None:
    """Write a page; it appears whole or not at all. File names that are not UTF-8 keep their bytes."""
    write_atomically(path, page.encode("utf-8", "surrogateescape"))


def data_uri(picture: bytes) -> str:
    """A PNG or JPEG as a ``data:`` URI."""
    kind = "jpeg" if picture.startswith(b"\xff\xd8") else "png"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"
