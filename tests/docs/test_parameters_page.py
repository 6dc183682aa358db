"""docs/parameters.md lists every parameter with its default, and no others."""

from __future__ import annotations

import dataclasses

from parameters_page import PAGE, render

from components.parameters import ExportPolicy
from pix2pix.hyperparameters import SECTIONS
from workflows.settings.policy import SETTINGS


def sections() -> dict[str, str]:
    parts = PAGE.read_text().split("\n## [")[1:]
    return {part.partition("]")[0]: part for part in parts}


def test_the_tables_are_those_of_the_docstrings() -> None:
    """If this fails: python tests/docs/parameters_page.py."""
    text = PAGE.read_text(encoding="utf-8")
    assert render(text) == text


def test_no_other_parameter_is_listed() -> None:
    for name, kind in SECTIONS.items():
        known = {item.name for item in dataclasses.fields(kind)} | (
            set(ExportPolicy.TYPES) if name == "export" else set()
        )
        listed = {line.split("`")[1] for line in sections()[name].splitlines() if line.startswith("| `")}
        assert listed == known


def test_the_settings_of_the_trigger_are_listed() -> None:
    for name in SETTINGS:
        assert f"| `{name}` |" in sections()["trigger"]
