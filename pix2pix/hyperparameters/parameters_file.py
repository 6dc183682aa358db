"""Reading of parameters files and of ``NAME=VALUE`` assignments."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence

from pix2pix import toml_text
from pix2pix.errors import HyperparameterError
from pix2pix.hyperparameters.sections import SECTIONS, check_value, section_of
from pix2pix.toml_text import TomlError


def parse(text: str, source: str, besides: Collection[str] = ()) -> dict[str, dict[str, object]]:
    """Parse the text of a parameters file: TOML with the tables [train], [export], [resize], [generate].

    Args:
        text: content of the file.
        source: name of the file in error messages.
        besides: sections, and names as ``section.name``, that the file may hold for other readers; they are left out.

    Returns:
        section -> names and values. Each value is valid by itself; `resolve` checks them together.

    Raises:
        HyperparameterError: invalid TOML, an unknown section or name, a value out of range.
    """
    try:
        tables = toml_text.parse(text)
    except TomlError as error:
        raise HyperparameterError(f"{source} is not valid TOML: {error}") from error
    sections: dict[str, dict[str, object]] = {}
    for section, values in tables.items():
        if section in besides and isinstance(values, dict):
            continue
        try:
            _check_section(section, values)
        except HyperparameterError as error:
            raise HyperparameterError(f"{source}: {toml_text.place(text, section)}{error}") from error
        sections[section] = {name: value for name, value in values.items() if f"{section}.{name}" not in besides}
        check_values(section, sections[section], text, f"{source}: ")
    return sections


def check_values(section: str, values: Mapping[str, object], text: str, prefix: str = "") -> None:
    """Check the values of a section one by one; an error begins with the value's place in the text.

    Args:
        section: ``train``, ``export``, ``resize`` or ``generate``.
        values: of the section.
        text: TOML that the values were read from.
        prefix: put before the place, such as ``pix2pix.toml: ``.

    Raises:
        HyperparameterError: an unknown name or a value that is not allowed.
    """
    for name, value in values.items():
        try:
            check_value(section, name, value)
        except HyperparameterError as error:
            raise HyperparameterError(f"{prefix}{toml_text.place(text, section, name)}{error}") from error


def parse_assignments(assignments: Sequence[str]) -> dict[str, object]:
    """Parse ``NAME=VALUE`` texts. A value is read as TOML (``600``, ``1e-3``, ``false``), otherwise taken literally.

    Raises:
        HyperparameterError: a text without ``=``.
    """
    values: dict[str, object] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise HyperparameterError(f"{assignment!r} is not of the form NAME=VALUE; for example max_steps=600")
        try:
            values[name.strip()] = tomllib.loads(f"value = {value}")["value"]
        except (ValueError, RecursionError):
            values[name.strip()] = value.strip()
    return values


def _check_section(section: str, values: object) -> None:
    if section not in SECTIONS and not isinstance(values, dict):
        raise HyperparameterError(f"{section} is outside a section; move it below one of [{'], ['.join(SECTIONS)}]")
    section_of(section)
    if not isinstance(values, dict):
        raise HyperparameterError(f"{section} is not a section; write [{section}] and its values below")
