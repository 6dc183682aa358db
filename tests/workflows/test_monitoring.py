"""Dashboard and alerts: they query what is exported, by labels that it has, and each alert has a runbook."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from web.application import Metrics as WebMetrics
from workflows.trigger.metrics import Metrics
from workflows.trigger.snapshot import Snapshot

HOUSE = Path(__file__).resolve().parents[2]
MONITORING = HOUSE / "deploy" / "kustomize" / "components" / "monitoring"
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
RULES = [
    entry for entry in yaml.safe_load_all((MONITORING / "monitoring.yaml").read_text()) if "groups" in entry["spec"]
]
ALERTS = [rule for entry in RULES for group in entry["spec"]["groups"] for rule in group["rules"]]
PAGE = "https://github.com/pix2pix-pipelines/pix2pix-pipelines/blob/main/docs/operations.md"


def queries() -> Iterator[tuple[str, str]]:
    """Yield what asks, and its expression."""
    for alert in ALERTS:
        yield alert["alert"], alert["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """Series that a trigger and a web application export once they have worked -> labels of the series."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def nothing(*_: Any) -> None:
        pass

    trigger, web = Metrics(lambda: 0.0, lambda: 0.0), WebMetrics()
    trigger.record_poll(Snapshot(), (), 0.1, is_leader=True)
    asyncio.run(web.middleware(answer)({"type": "http"}, nothing, nothing))  # type: ignore[arg-type]
    return {**_series(trigger.registry), **_series(web._registry)}


def _series(registry: CollectorRegistry) -> dict[str, set[str]]:
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


@pytest.mark.parametrize(("asked_by", "expression"), [*queries()])
def test_each_query_is_about_series_and_labels_that_are_exported(
    asked_by: str, expression: str, exported: dict[str, set[str]]
) -> None:
    queried = re.findall(r"\b(pix2pix_\w+)", expression)
    assert queried, asked_by
    assert set(queried) <= set(exported), f"{asked_by}: nothing exports {set(queried) - set(exported)}"
    grouped = [name.strip() for names in re.findall(r"\bby \(([^)]*)\)", expression) for name in names.split(",")]
    selected = re.findall(r"[{,]\s*(\w+)\s*[=!]", expression)
    assert {*grouped, *selected} <= set.intersection(*(exported[name] for name in queried)), asked_by


def test_the_dashboard_shows_every_metric(exported: dict[str, set[str]]) -> None:
    shown = {name for _, expression in queries() for name in re.findall(r"\b(pix2pix_\w+)", expression)}
    metrics = {name for name in exported if not name.endswith(("_created", "_count", "_sum"))}
    assert metrics == shown


def test_each_panel_has_a_place_of_its_own_a_title_and_the_data_source_that_a_person_picks() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        x, y, width, height = (panel["gridPos"][key] for key in "xywh")
        cells = {(column, row) for column in range(x, x + width) for row in range(y, y + height)}
        assert x + width <= 24 and not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["title"] and panel["description"] and panel["targets"]
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource"]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_each_alert_links_its_runbook(alert: dict[str, Any]) -> None:
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert page == PAGE
    headings = re.findall(r"^#+ (.*)$", (HOUSE / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert alert["alert"] in headings and anchor == alert["alert"].lower()
