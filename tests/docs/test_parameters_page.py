"""docs/parameters.md lists every parameter with its default, and no others."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from pix2pix.hyperparameters import SECTIONS
from workflows.settings.policy import SETTINGS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "parameters.md"


def sections() -> dict[str, str]:
    parts = PAGE.read_text().split("\n## [")[1:]
    return {part.partition("]")[0]: part for part in parts}


def test_every_parameter_is_listed_in_its_section_with_its_default() -> None:
    page = sections()
    for name, kind in SECTIONS.items():
        for item in dataclasses.fields(kind):
            assert f"| `{item.name}` | `{json.dumps(item.default)}` |" in page[name], f"{name}.{item.name}"


def test_no_other_parameter_is_listed() -> None:
    for name, kind in SECTIONS.items():
        known = {item.name for item in dataclasses.fields(kind)} | ({"promote"} if name == "export" else set())
        listed = {line.split("`")[1] for line in sections()[name].splitlines() if line.startswith("| `")}
        assert listed == known


def test_the_settings_of_the_trigger_are_listed() -> None:
    for name in SETTINGS:
        assert f"| `{name}` |" in sections()["trigger"]
