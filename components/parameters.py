"""Resolution of a stage's parameters: defaults, the input's ``/pix2pix.toml``, the commit set's own hyperparameters."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from components import form
from components.registry import PARAMETER_SECTIONS
from pachyderm.errors import PermanentError, RequestError
from pachyderm.output.stage import Resolved, TimeBudget
from pachyderm.record.stage_record import RecordedParameter
from pix2pix import toml_text
from pix2pix.errors import HyperparameterError
from pix2pix.hyperparameters import SECTIONS, TrainParameters, check_value, resolve
from pix2pix.hyperparameters.budget import open_names
from pix2pix.hyperparameters.parameters_file import check_values
from pix2pix.hyperparameters.section import Section, unknown
from pix2pix.toml_text import TomlError

POLICY = "trigger"
"""The trigger's section, allowed in either parameters file; no stage reads it."""

Sections = dict[str, dict[str, Any]]
"""Section -> name -> value."""


@dataclass(frozen=True)
class ExportPolicy(Section):
    """What [export] holds for the pipeline; its other names are hyperparameters of the stage.

    Attributes:
        promote: when a new model becomes the one in use: ``if_better`` (it is not worse on the held-out pairs),
            ``review`` (a person approves it: `pix2pix review`), ``always`` or ``never``. A model whose weights are not
            finite never does.
        promote_metric: what the two models are compared by with ``if_better``: ``l1``, ``ssim`` or ``psnr``.
        promote_tolerance: how much worse than the model in use a new one may be, as a fraction of that model's figure.
    """

    NAME: ClassVar[str] = "export"

    promote: Literal["always", "if_better", "review", "never"] = "if_better"
    promote_metric: Literal["l1", "ssim", "psnr"] = "l1"
    promote_tolerance: Annotated[float, Meta(ge=0, le=1)] = 0.02


def resolver(repo: str, section: str) -> Callable[[str | None, Mapping[str, Any], str], Resolved]:
    """Return the function that resolves a stage's parameters.

    Args:
        repo: the input repo whose parameters file holds the section.
        section: the stage's name.

    Returns:
        a function of the parameters file's text or None, the commit set's own hyperparameters, and the file's name for
        errors. It raises PermanentError, because the same file gives the same error at each attempt.
    """

    def resolved(text: str | None, own: Mapping[str, Any], where: str) -> Resolved:
        try:
            sections, policy = _parse_file(text or "", PARAMETER_SECTIONS[repo])
            from_file = sections.get(section, {})
            from_run = _without_policy(section, own.get(section, {}))
            given = {**from_file, **from_run}
            values = resolve(section, given)
        except HyperparameterError as error:
            raise PermanentError(f"{where}: {error}; commit a corrected file") from error
        except TomlError as error:
            raise PermanentError(f"{where} is not valid TOML: {error}; commit a corrected file") from error
        origins = {**dict.fromkeys(from_file, "file"), **dict.fromkeys(from_run, "run")}
        recorded = _recorded(values, origins)
        if isinstance(values, TrainParameters) and values.minutes:
            return _within_budget(values, given, recorded, policy, where)
        return Resolved(values, recorded, policy)

    return resolved


def _recorded(values: Section, origins: Mapping[str, str]) -> dict[str, RecordedParameter]:
    return {
        name: RecordedParameter(value, origins.get(name, "default"))
        for name, value in dataclasses.asdict(values).items()
    }


def _within_budget(
    values: TrainParameters,
    given: Mapping[str, Any],
    recorded: Mapping[str, RecordedParameter],
    policy: ExportPolicy,
    where: str,
) -> Resolved:
    """Return the parameters of a training whose time budget is still to be settled."""
    seconds, left_open = values.minutes * 60, open_names(given, values.minutes)

    def settle(chosen: Mapping[str, Any]) -> Resolved:
        """Return the parameters with what the budget chose for those that are left open."""
        try:
            settlement = values.settled({name: chosen.get(name) for name in left_open})
        except HyperparameterError as error:
            raise PermanentError(f"{where}: {error}") from error
        origins = {name: parameter.origin for name, parameter in recorded.items()}
        complete = _recorded(settlement, origins | dict.fromkeys(left_open, "budget"))
        return Resolved(settlement, complete, policy, seconds=seconds)

    unsettled = {name: RecordedParameter(None, "budget") for name in left_open}
    return Resolved(values, {**recorded, **unsettled}, policy, TimeBudget(seconds, given, settle), seconds)


def parse_own(text: str, repo: str | None = None, fields: Mapping[str, object] = {}) -> Sections:
    """Parse the hyperparameters of a run: TOML (``train.max_steps = 100``, or ``max_steps = 100``) or a JSON object.

    Args:
        text: what the caller gave; empty for none.
        repo: the input repo of the pipeline, whose sections alone are allowed; None allows all four.
        fields: hyperparameters that have a field of their own in the run's form; see `components.form`.

    Returns:
        section -> name -> value; empty if neither `text` nor a field holds any.

    Raises:
        RequestError: invalid syntax, a name that is unknown or ambiguous, a value that is out of range, or two values
            for one hyperparameter.
    """
    allowed = PARAMETER_SECTIONS[repo] if repo else tuple(SECTIONS)
    try:
        entries = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(
            f"hyperparameters {text[:200]!r} cannot be parsed: {error}; write them like train.max_steps = 100, one per"
            " line"
        ) from error
    try:
        sections = _with_fields(_by_section(entries, allowed), form.given(fields))
        for section, values in sections.items():
            resolve(section, _without_policy(section, values))
        _check_not_promoted(sections)
    except HyperparameterError as error:
        raise RequestError(f"hyperparameters: {error}") from error
    return sections


def of_pipeline(sections: Sections, repo: str) -> Sections:
    """Return the part of a run's hyperparameters that belongs to the pipeline of an input repo."""
    return {name: values for name, values in sections.items() if name in PARAMETER_SECTIONS[repo] and values}


def _by_section(entries: Mapping[str, Any], allowed: Collection[str]) -> Sections:
    """Sort entries into sections: whole tables, dotted names, and names that exist in one section only."""
    sections: Sections = {}
    for name, value in entries.items():
        section, _, key = name.rpartition(".")
        if isinstance(value, dict):
            section = name
        elif not section:
            section = _section_with(key, allowed)
        if section not in allowed:
            raise unknown("section", section, allowed)
        sections.setdefault(section, {}).update(value if isinstance(value, dict) else {key: value})
    return sections


def _with_fields(sections: Sections, fields: Mapping[str, object]) -> Sections:
    """Add the fields of a form to sections that were given as text."""
    values = sections.get(form.SECTION, {})
    for name, value in fields.items():
        if name in values:
            raise HyperparameterError(
                f"{name} is given twice: {value!r} in its own field, {values[name]!r} in hyperparameters; clear one"
            )
        try:
            check_value(form.SECTION, name, value)
        except HyperparameterError as error:
            unset = form.UNSET[name]
            raise HyperparameterError(f"{error}; {unset or 'an empty field'} takes the parameters file's") from error
    return {**sections, form.SECTION: {**values, **fields}} if fields else sections


def _section_with(name: str, allowed: Collection[str]) -> str:
    """Return the one section that has a hyperparameter of this name."""
    holders = [section for section in allowed if name in SECTIONS[section].TYPES]
    if len(holders) > 1:
        choices = " or ".join(f"{section}.{name}" for section in holders)
        raise HyperparameterError(f"{name} is in several sections; write {choices}")
    if not holders:
        raise unknown("hyperparameter", name, sorted({key for section in allowed for key in SECTIONS[section].TYPES}))
    return holders[0]


def _check_not_promoted(sections: Sections) -> None:
    for name, value in sections.get("export", {}).items():
        if name in ExportPolicy.TYPES and (name, value) != ("promote", "never"):
            raise HyperparameterError(
                f"{name} = {value!r} in export is not allowed here; the model of a run with its own hyperparameters is"
                " promoted by hand (pix2pix promote)"
            )


def _parse_file(text: str, allowed: Collection[str]) -> tuple[Sections, ExportPolicy]:
    """Parse a parameters file; an error about one name begins with its place in the text.

    Raises:
        TomlError: invalid TOML.
        HyperparameterError: an unknown section or name, or a value that is not allowed.
    """
    tables = toml_text.parse(text)
    for name, values in tables.items():
        place = toml_text.place(text, name)
        if not isinstance(values, dict):
            listed = ", ".join(_in_brackets((*allowed, POLICY)))
            raise HyperparameterError(f"{place}{name} is outside a section; the sections of this file are {listed}")
        if name not in (*allowed, POLICY):
            raise HyperparameterError(f"{place}{unknown('section', f'[{name}]', _in_brackets((*allowed, POLICY)))}")
    policy = _export_policy(tables.get("export", {}), text)
    sections = {name: _without_policy(name, values) for name, values in tables.items() if name != POLICY}
    for name, values in sections.items():
        check_values(name, values, text)
        resolve(name, values)
    return sections, policy


def _export_policy(values: Mapping[str, Any], text: str) -> ExportPolicy:
    policy = {name: value for name, value in values.items() if name in ExportPolicy.TYPES}
    for name, value in policy.items():
        try:
            ExportPolicy.convert(name, value)
        except HyperparameterError as error:
            raise HyperparameterError(f"{toml_text.place(text, 'export', name)}{error}") from error
    return ExportPolicy.of(policy)


def _in_brackets(names: Collection[str]) -> tuple[str, ...]:
    return tuple(f"[{name}]" for name in names)


def _without_policy(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a section that are hyperparameters."""
    return {name: value for name, value in values.items() if section != "export" or name not in ExportPolicy.TYPES}
