"""Resolves a stage's parameters: defaults, the input's `/pix2pix.toml`, the set's own hyperparameters.

It exists because parameters are data here: what Pachyderm stores meets what the model's floor allows.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from components.registry import PARAMETER_SECTIONS
from pachyderm.errors import PermanentError, RequestError
from pachyderm.output.stage import Resolved
from pachyderm.record.stage_record import RecordedParameter
from pix2pix import toml_text
from pix2pix.errors import HyperparameterError
from pix2pix.hyperparameters import SECTIONS, check_value, resolve
from pix2pix.toml_text import TomlError

POLICY = "trigger"
"""The section about the trigger, in either file; no stage reads it."""

PROMOTE = "promote"
"""A key of [export] that says whether a new model is promoted; no part of the model."""

PROMOTION = ("export", PROMOTE)
"""Where it stands; it is the pipelines' and none of the model's."""
NEVER = "never"
PROMOTE_WHEN = ("always", NEVER)

Sections = dict[str, dict[str, Any]]


def resolver(repo: str, section: str) -> Callable[[str | None, Mapping[str, Any], str], Resolved]:
    """How a stage resolves its parameters.

    Args:
        repo: the input repo at the root of the stage.
        section: the stage's name.

    Returns:
        text of the parameters file or None, the set's own, name of the file for errors -> resolved parameters; raises
        PermanentError, for the same file gives the same error at each try.
    """

    def resolved(text: str | None, own: Mapping[str, Any], where: str) -> Resolved:
        try:
            told = _parse(text or "", where, PARAMETER_SECTIONS[repo])
            promote = told.get("export", {}).pop(PROMOTE, PROMOTE_WHEN[0])
            told.pop(POLICY, None)
            for name, values in told.items():
                _check(name, values, text or "")
            given = {name: value for name, value in own.get(section, {}).items() if (section, name) != PROMOTION}
            values = resolve(section, told.get(section, {}), given)
        except HyperparameterError as error:
            raise PermanentError(f"{where}: {error}; commit a corrected file") from error
        origins = {**dict.fromkeys(told.get(section, {}), "file"), **dict.fromkeys(given, "run")}
        shown = {
            name: RecordedParameter(value, origins.get(name, "default"))
            for name, value in dataclasses.asdict(values).items()
        }
        return Resolved(values, shown, promote == "always")

    return resolved


def parse_own(text: str, repo: str | None = None) -> Sections:
    """Read the hyperparameters of a run: TOML (``train.max_steps = 100``, or ``max_steps = 100``) or a JSON object.

    Args:
        text: what the caller gave; empty for none.
        repo: the input repo of the pipeline, whose sections alone are allowed; None allows all four.

    Returns:
        section -> name -> value; empty where `text` is.

    Raises:
        RequestError: it does not parse, or a name is unknown, in several sections, or out of range.
    """
    allowed = PARAMETER_SECTIONS[repo] if repo else tuple(SECTIONS)
    where = "hyperparameters"
    try:
        told = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(
            f"{where} {text[:200]!r} cannot be read: {error}; write them like train.max_steps = 100, one a line"
        ) from error
    sections: Sections = {}
    for name, value in told.items():
        if isinstance(value, dict):
            sections.setdefault(_section(name, allowed, where), {}).update(value)
        else:
            section, _, key = name.rpartition(".")
            sections.setdefault(_section(section, allowed, where) if section else _holder(key, allowed), {})[key] = (
                value
            )
    for section, values in sections.items():
        try:
            resolve(section, {name: value for name, value in values.items() if (section, name) != PROMOTION})
        except HyperparameterError as error:
            raise RequestError(f"{where}: {error}") from error
    promote = sections.get("export", {}).get(PROMOTE, NEVER)
    if promote != NEVER:
        raise RequestError(
            f"{where}: promote = {promote!r} in export is not allowed here: the model of a run with hyperparameters of"
            " its own is promoted by hand (pix2pix promote)"
        )
    return sections


def of_pipeline(sections: Sections, repo: str) -> Sections:
    """The part of a run's hyperparameters that belongs to the pipeline of an input repo."""
    return {name: values for name, values in sections.items() if name in PARAMETER_SECTIONS[repo] and values}


def _holder(name: str, allowed: tuple[str, ...]) -> str:
    holders = [section for section in allowed if name in {item.name for item in dataclasses.fields(SECTIONS[section])}]
    if len(holders) == 1:
        return holders[0]
    if holders:
        choices = " or ".join(f"{section}.{name}" for section in holders)
        raise RequestError(f"the hyperparameter {name} is in several sections; say {choices}")
    names = ", ".join(sorted({item.name for section in allowed for item in dataclasses.fields(SECTIONS[section])}))
    raise RequestError(f"there is no hyperparameter {name}; allowed are: {names}")


def _section(name: str, allowed: tuple[str, ...], where: str) -> str:
    if name not in allowed:
        raise RequestError(f"{where}: there is no section {name} here; allowed are: {', '.join(allowed)}")
    return name


def _check(section: str, values: Mapping[str, Any], text: str) -> None:
    """Resolve a section of the file alone; an error that is about one name begins with its place in the text.

    Raises:
        HyperparameterError: an unknown name or a value that is not allowed.
    """
    for name, value in values.items():
        try:
            check_value(section, name, value)
        except HyperparameterError as error:
            raise HyperparameterError(f"{toml_text.place(text, section, name)}{error}") from error
    resolve(section, values)


def _parse(text: str, where: str, allowed: tuple[str, ...]) -> Sections:
    try:
        told = toml_text.parse(text)
    except TomlError as error:
        raise PermanentError(f"{where} is not TOML: {error}; commit a corrected file") from error
    for name, values in told.items():
        if name not in (*allowed, POLICY) or not isinstance(values, dict):
            raise PermanentError(
                f"{where}: {toml_text.place(text, name)}{name} is no section of this file; its sections are "
                f"{', '.join(f'[{one}]' for one in (*allowed, POLICY))}; commit a corrected file"
            )
    promote = told.get("export", {}).get(PROMOTE, PROMOTE_WHEN[0])
    if promote not in PROMOTE_WHEN:
        raise PermanentError(
            f"{where}: {toml_text.place(text, *PROMOTION)}promote = {promote!r} in [export] is not one of"
            f" {', '.join(PROMOTE_WHEN)}; commit a corrected file"
        )
    return told
