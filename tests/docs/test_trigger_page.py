"""docs/trigger.md lists every setting of the trigger with type and default, every metric, and no others."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from workflows.settings.arguments import settable_arguments
from workflows.settings.configuration import Configuration, load, variables
from workflows.settings.policy import Policy
from workflows.trigger.metrics import Metrics

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "trigger.md").read_text()
TYPES = {str: "text", int: "whole number", float: "number"}


def section(heading: str) -> str:
    """Return the text below a heading, up to the next heading."""
    _, found, rest = PAGE.partition(f"\n{heading}\n")
    assert found, heading
    return re.split(r"\n##", rest)[0]


def rows(heading: str) -> list[list[str]]:
    """Return the cells of a section's table."""
    lines = [line for line in section(heading).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]


def expected() -> dict[str, dict[str, tuple[str, str]]]:
    """Return heading -> name -> type and default, taken from the configuration."""
    headings = {
        (): "### At the top",
        ("kubeflow",): "### [kubeflow]",
        ("lease",): "### [lease]",
        ("notify",): "### [notify]",
    }
    settings: dict[str, dict[str, tuple[str, str]]] = {}
    for place, kind in variables().values():
        *outer, name = place
        policy = outer[:1] == ["policy"]
        value = Policy() if policy else Configuration()
        for part in [name] if policy else place:
            value = getattr(value, part)
        heading = "### [policy.PIPELINE]" if policy else headings[tuple(outer)]
        settings.setdefault(heading, {})[name] = (TYPES[kind], json.dumps(value))
    return settings


@pytest.mark.parametrize("heading", expected())
def test_every_setting_is_listed_in_its_section_with_type_and_default_and_no_other(heading: str) -> None:
    listed = {name.strip("`"): (kind, default) for name, kind, default, _ in rows(heading)}
    wanted = expected()[heading]
    assert set(listed) == set(wanted)
    for name, (kind, default) in wanted.items():
        assert listed[name][0] == kind, name
        assert f"`{default}`" in listed[name][1], name


def test_every_argument_of_a_run_is_listed_and_no_other() -> None:
    listed = [(pipeline.strip("`"), name.strip("`")) for pipeline, name, _ in rows("### [kubeflow.arguments.PIPELINE]")]
    assert sorted(listed) == sorted(settable_arguments())


def test_every_metric_is_listed_and_no_other() -> None:
    families = Metrics(lambda: 0.0, lambda: 0.0).registry.collect()
    known = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    assert {name.strip("`") for name, *_ in rows("## Metrics")} == known


def test_the_example_is_a_valid_configuration(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "trigger.toml").write_text(text)
    configuration = load(tmp_path / "trigger.toml", {})
    assert configuration.kubeflow.arguments == tomllib.loads(text)["kubeflow"]["arguments"]


def test_every_environment_variable_on_the_page_exists() -> None:
    written = set(re.findall(r"`(PIX2PIX_TRIGGER_[A-Z_]+)=([^`]*)`", PAGE))
    assert written
    load(None, dict(written))
