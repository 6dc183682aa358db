"""docs/parameters.md lists every parameter with its default, and no others."""

from __future__ import annotations

import dataclasses
import re

from parameters_page import PAGE, render

from components.form import UNSET
from components.parameters import ExportPolicy
from pix2pix.hyperparameters import SECTIONS
from workflows.compile import NAMES
from workflows.runners.compiled import named, shipped
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


def test_the_form_s_table_lists_each_field_of_the_pipelines_and_what_leaves_it_to_the_file() -> None:
    table = (PAGE.parent / "kubeflow.md").read_text().partition("\n### The form\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines() if line.startswith("| `")]
    unset = {name: at_first for names, at_first, _ in rows for name in re.findall(r"`(\w+)`", names)}
    assert set(unset) == {name for pipeline in NAMES for name in named(shipped(), pipeline).parameters}
    for name, value in UNSET.items():
        assert unset[name] == (f"`{value:.0f}`" if value else "empty"), name
        assert f"`{name}`" in PAGE.read_text().partition("Nine of `[train]`")[2].partition("\n\n")[0]
